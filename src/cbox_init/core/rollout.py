"""A rollout: instances of an older generation are replaced by new ones while the others serve.

    old ready  ──enough others are ready──▶ Stop ──gone──▶ Spawn under the same index ──ready──▶ the next
    surge: an instance beyond the scale, spawned first and ended last, to serve while others are down

Pure. `decide` uses `Replacement` to choose which old instances may be stopped; `progress` tells how far a
rollout is, for the API and for the rollback.
"""

from __future__ import annotations

from bisect import insort
from enum import StrEnum
from math import inf
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from cbox_init.config.model import RolloutStrategy
from cbox_init.config.rules import RolloutRules
from cbox_init.core.health import start_limit_s
from cbox_init.core.instance import Instance, Phase
from cbox_init.core.states import State

if TYPE_CHECKING:
    from collections.abc import Collection

    from cbox_init.core.states import Desired

S = TypeVar("S")

#: One after another, under their own indexes: the default.
ONE_BY_ONE = RolloutRules()


class RolloutState(StrEnum):
    """How a rollout stands. ROLLED_BACK: it failed, and the former configuration is in force again."""

    PROGRESSING = "progressing"
    COMPLETE = "complete"
    FAILED = "failed"
    ROLLED_BACK = "rolled_back"


class Rollout(Struct, frozen=True, kw_only=True):
    """How far a rollout is: ``updated`` of ``total`` instances are of the new generation and ready.

    ``failed`` is the new instance that it has stopped at, ``reason`` why. ``deadline`` is the monotonic time
    by which the next new instance must be ready, None when none is starting.
    """

    state: RolloutState
    updated: int
    total: int
    failed: int | None = None
    reason: str | None = None
    deadline: float | None = None


class _Surge(NamedTuple):
    """A surge instance, as it compares to others: the one that is smaller stays when there may be fewer.

    The ready ones stay first, of these the available ones, then those that have ended well, those that may
    become ready, and last those of which nothing lives.
    """

    unready: bool
    unavailable: bool
    hopeless: bool
    gone: bool
    number: int


class Replacement:
    """Counts the instances of one decision; tells which may be stopped and which surge ones are needed."""

    __slots__ = (
        "_desired",
        "_failing",
        "_in_flight",
        "_now",
        "_old",
        "_older_alive",
        "_pauses",
        "_rules",
        "_surge_ranked",
        "_unready_surge",
    )

    def __init__(self, desired: Desired, rules: RolloutRules, now: float) -> None:
        self._desired = desired
        self._rules = rules
        self._now = now
        self._old: list[tuple[bool, int]] = []
        self._in_flight = 0
        self._failing = False
        self._older_alive = False
        self._surge_ranked: list[_Surge] = []
        self._unready_surge: list[int] = []
        self._pauses: list[float] = []

    # -- counting -------------------------------------------------------------------------------------

    def note_older(self, instance: Instance) -> None:
        """Note whether an instance of an older generation is alive."""
        self._older_alive |= instance.alive and instance.generation < self._desired.generation

    def add(self, instance: Instance) -> None:
        """Count a wanted instance that is not spawned now."""
        current = instance.generation >= self._desired.generation
        if instance.phase is Phase.RUNNING:
            if not current:
                self._old.append((instance.ready, instance.index))
            elif not self._is_available(instance):
                self._note_pause(instance)
                self._in_flight += 1
        elif instance.phase is not Phase.ENDED or instance.outcome is State.FAILED:
            self._in_flight += 1
        self._failing |= current and _is_failing(instance, self._rules, self._now)

    def add_starting(self, count: int) -> None:
        """Count wanted instances that are spawned now."""
        self._in_flight += count

    def add_surge(self, instance: Instance) -> None:
        """Count a surge instance."""
        current = instance.generation >= self._desired.generation
        if current:
            self._failing |= _is_failing(instance, self._rules, self._now)
        elif instance.phase is Phase.RUNNING and not instance.ready:
            self._unready_surge.append(instance.index)
        goes_on = instance.phase is Phase.RUNNING and instance.termination is None
        ready = goes_on and instance.ready
        if ready:
            self._note_pause(instance)
        # One that has ended well is not missed, unless it is to be spawned again.
        done = _has_ended_well(instance) and not instance.is_outdated(self._desired.revision)
        one = _Surge(
            unready=not ready,
            unavailable=not (done or (ready and self._is_available(instance))),
            hopeless=not (goes_on and current),
            gone=not instance.alive,
            number=instance.index,
        )
        insort(self._surge_ranked, one)

    # -- results --------------------------------------------------------------------------------------

    @property
    def over(self) -> bool:
        """Whether every wanted instance is of the present generation, and ready."""
        return not self._old and not self._in_flight

    @property
    def pauses_until(self) -> list[float]:
        """The ends of the pauses that the next step waits for."""
        return self._pauses if self._old or self._surge_ranked else []

    @property
    def holds_spawns(self) -> bool:
        """Whether spawns wait: with `recreate` every old instance stops first."""
        return self._rules.strategy is RolloutStrategy.RECREATE and self._older_alive

    def surplus(self) -> list[int]:
        """The surge instances that are no longer needed."""
        return [one.number for one in self._surge_ranked[0 if self.over else self._surge :]]

    def surge_spawns(self, taken: Collection[int]) -> list[int]:
        """The indexes of surge instances to be spawned; those in ``taken`` are not free."""
        ready = sum(1 for ready, _ in self._old if ready)
        wanted = min(self._surge, ready) - len(self._surge_ranked)
        if wanted <= 0 or self._failing:
            return []
        first = self._desired.scale
        free = (i for i in range(first, first + self._surge + len(taken) + 1) if i not in taken)
        return [index for index, _ in zip(free, range(wanted), strict=False) if index <= self._highest]

    def needs(self, index: int) -> bool:
        """Whether a surge instance that has ended is to be spawned again, as far as the rules now allow."""
        alive = sum(1 for one in self._surge_ranked if not one.gone)
        allowed = index <= self._highest and alive < self._rules.max_surge
        return bool(self._old) and allowed and index not in self.surplus()

    def stops(self) -> list[int]:
        """The old instances that may be stopped now."""
        outdated = sorted(self._old)
        if self._rules.strategy is not RolloutStrategy.ROLLING:
            return [index for _, index in outdated]
        stops = self._unready_surge if outdated else []
        if self._failing:
            return stops
        available = sum(1 for one in self._surge_ranked[: self._surge] if not one.unavailable)
        in_flight = self._in_flight
        unready = sum(1 for ready, _ in outdated if not ready)
        for ready, index in outdated:
            if in_flight >= self._surge + self._unavailable:
                break
            # Beyond max_unavailable, each instance that is down needs an available surge instance.
            if ready and in_flight + unready + 1 - available > self._unavailable:
                break
            stops.append(index)
            in_flight += 1
            unready -= not ready
        return stops

    @property
    def _highest(self) -> int:
        limit = self._rules.highest_index
        return self._desired.scale + self._rules.max_surge if limit is None else limit

    @property
    def _surge(self) -> int:
        """How many surge instances may exist: `max_surge`, as far as indexes are free."""
        if self._rules.strategy is not RolloutStrategy.ROLLING:
            return 0
        return max(0, min(self._rules.max_surge, self._highest - self._desired.scale + 1))

    @property
    def _unavailable(self) -> int:
        return self._rules.max_unavailable if self._surge else max(1, self._rules.max_unavailable)

    def _is_available(self, instance: Instance) -> bool:
        """Whether it is ready, and has been for the pause between two steps."""
        return instance.ready and instance.ready_at is not None and self._pause_end(instance) <= self._now

    def _pause_end(self, instance: Instance) -> float:
        return (instance.ready_at or 0.0) + self._rules.pause_s

    def _note_pause(self, instance: Instance) -> None:
        """Note when the pause after it became ready ends, where that is still to come."""
        if instance.ready and instance.ready_at is not None and self._pause_end(instance) > self._now:
            self._pauses.append(self._pause_end(instance))


def progress(
    desired: Desired, instances: Collection[Instance], rules: RolloutRules, *, now: float
) -> Rollout:
    """How far the rollout to the desired generation is. A rollout that has failed may still come to its end:
    when the instance that it stopped at gets ready after all.
    """
    new = [one for one in instances if one.generation >= desired.generation]
    updated = sum(1 for one in new if one.index < desired.scale and _serves(one))
    left = any(one.index >= desired.scale for one in instances)
    failed = next((one for one in new if _has_failed(one, rules, now)), None)
    coming = [one for one in new if not one.proven and one.phase is not Phase.ENDED]
    waited_for = [at for one in coming if now < (at := _ready_by(one, rules)) < inf]
    if updated == desired.scale and not left:
        state = RolloutState.COMPLETE
    else:
        state = RolloutState.FAILED if failed else RolloutState.PROGRESSING
    return Rollout(
        state=state,
        updated=updated,
        total=desired.scale,
        failed=None if failed is None else failed.index,
        reason=None if failed is None else _why(failed, rules),
        deadline=min(waited_for, default=None),
    )


class Back(NamedTuple, Generic[S]):
    """A rollout has failed and is to be taken back: instances of the generation ``stable`` that run count as
    of ``generation`` from now on, all others are started again, and ``settings`` are in force again.
    """

    generation: int
    stable: int
    settings: S


class Rolling(Generic[S]):
    """The rollouts of one process, one after another: how far the present one is, and what was before it.

    ``settings`` is what its instances are started from. A failed rollout goes back to the configuration of
    the last one that came to its end.
    """

    def __init__(self, settings: S) -> None:
        self.shown: Rollout | None = None
        self._current = self._former = settings
        self._changed = False
        self._done = self._stable = 0
        self._went_back: tuple[int, Rollout] | None = None

    def adopted(self, settings: S, *, replaces: bool) -> None:
        """The configuration has changed; ``replaces``: so that instances of the former one cannot go on."""
        self._current = settings
        self._changed |= replaces
        if replaces:
            self.shown = None
        if not self._changed:
            self._former = settings

    def follow(
        self, desired: Desired, instances: Collection[Instance], rules: RolloutRules, *, now: float
    ) -> Back[S] | None:
        """See how far it is; what to go back to, when it has failed and is to be taken back."""
        if not desired.run or not desired.scale:
            self._settle(desired.generation)
            self.shown = None
            return None
        if desired.generation == self._done:
            return None
        rollout = progress(desired, instances, rules, now=now)
        self.shown = self._as_of_return(rollout) if self._goes_back(desired) else rollout
        if rollout.state is RolloutState.COMPLETE:
            self._settle(desired.generation)
        elif rollout.failed is not None and rules.rollback and self._can_go_back(desired, instances):
            return self._go_back(desired, rollout)
        return None

    @property
    def went_back(self) -> tuple[int, Rollout] | None:
        """The last rollout that was rolled back, with the generation of the return."""
        return self._went_back

    def abandon(self, desired: Desired) -> bool:
        """Let the present rollout be over as far as it is; whether there is one."""
        if not desired.run or desired.generation == self._done:
            return False
        self._settle(desired.generation)
        self.shown = None
        return True

    def _can_go_back(self, desired: Desired, instances: Collection[Instance]) -> bool:
        if self._goes_back(desired):
            return False
        return self._changed or any(one.alive and one.generation == self._stable for one in instances)

    def _goes_back(self, desired: Desired) -> bool:
        return self._went_back is not None and self._went_back[0] == desired.generation

    def _as_of_return(self, rollout: Rollout) -> Rollout:
        """How far the return is, and why there is one."""
        assert self._went_back
        failed = self._went_back[1]
        return replace(rollout, state=RolloutState.ROLLED_BACK, failed=failed.failed, reason=failed.reason)

    def _go_back(self, desired: Desired, failed: Rollout) -> Back[S]:
        back = Back(desired.generation + 1, self._stable, self._former)
        self._stable = back.generation
        self._current, self._changed = self._former, False
        self._went_back = (back.generation, failed)
        self.shown = self._as_of_return(failed)
        return back

    def _settle(self, generation: int) -> None:
        self._done = self._stable = generation
        self._former, self._changed = self._current, False


def _serves(instance: Instance) -> bool:
    """Whether it does its part: it is ready, or has ended well."""
    return instance.ready or _has_ended_well(instance)


def _has_ended_well(instance: Instance) -> bool:
    return instance.phase is Phase.ENDED and instance.outcome is not State.FAILED


def _is_failing(instance: Instance, rules: RolloutRules, now: float) -> bool:
    """Whether a new instance does not come up, so that no further old one may be stopped."""
    return instance.phase is Phase.WAITING or instance.stalled or _has_failed(instance, rules, now)


def _has_failed(instance: Instance, rules: RolloutRules, now: float) -> bool:
    """Whether it was given up, or was not ready within the time limit of the rollout."""
    if instance.phase is Phase.ENDED:
        return instance.outcome is State.FAILED
    return not instance.proven and now >= _ready_by(instance, rules)


def _ready_by(instance: Instance, rules: RolloutRules) -> float:
    """The monotonic time by which a new instance must be ready; ``inf`` for no limit."""
    if rules.ready_timeout_s:
        return instance.renewed_at + rules.ready_timeout_s
    if rules.ready_timeout_s == 0 or not rules.start_timeout_s:
        return inf
    health = instance.health
    if health is None:
        return instance.renewed_at + rules.start_timeout_s
    usual = instance.renewed_at + health.rules.initial_delay_s + start_limit_s(health.rules)
    return max(usual, health.healthy_by or 0.0)  # it may have asked for more time (EXTEND_TIMEOUT_USEC)


def _why(instance: Instance, rules: RolloutRules) -> str:
    health = instance.health
    failed = health.last.reason if health and health.last else None
    if instance.phase is Phase.RUNNING:
        late = f"not ready within {_ready_by(instance, rules) - instance.renewed_at:g} s"
        return f"{late}: {failed}" if failed else late
    return instance.reason or "it does not start"
