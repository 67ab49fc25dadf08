"""A rollout: the instances of an older generation give way to new ones, and nobody who is served notices.

    old ready  ──enough others are ready──▶ Stop ──gone──▶ Spawn under the same index ──ready──▶ the next
    surge: an instance beyond the scale, spawned first and ended last, that stands in for who is down

Pure. `decide` asks `Replacement` which old instance may go; `progress` says how far a rollout is, for people
and for who rolls it back.
"""

from __future__ import annotations

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

    from cbox_init.core.decide import Desired

S = TypeVar("S")

#: One after another, under their own indexes: for processes that say nothing else.
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
    by which the next new instance has to be ready, None when none is waited for.
    """

    state: RolloutState
    updated: int
    total: int
    failed: int | None = None
    reason: str | None = None
    deadline: float | None = None


class Replacement:
    """Adds up the instances of one decision, and says who may be stopped and which surge ones are needed."""

    __slots__ = (
        "_desired",
        "_in_flight",
        "_lent",
        "_now",
        "_older_alive",
        "_outdated",
        "_pauses",
        "_rules",
        "_stale",
        "_standing_in",
        "_trouble",
    )

    def __init__(self, desired: Desired, rules: RolloutRules, now: float) -> None:
        self._desired = desired
        self._rules = rules
        self._now = now
        self._outdated: list[tuple[bool, int]] = []
        self._in_flight = 0
        self._standing_in = 0
        self._trouble = False
        self._older_alive = False
        self._lent: list[tuple[bool, bool, int]] = []
        self._stale: list[int] = []
        self._pauses: list[float] = []

    # -- what there is ---------------------------------------------------------------------------------

    def see(self, instance: Instance) -> None:
        """An instance of any kind."""
        self._older_alive |= instance.alive and instance.generation < self._desired.generation

    def add(self, instance: Instance) -> None:
        """A wanted instance that is not spawned now."""
        current = instance.generation >= self._desired.generation
        if instance.phase is Phase.RUNNING:
            if not current:
                self._outdated.append((instance.ready, instance.index))
            elif not self._steady(instance):
                self._in_flight += 1
        elif instance.phase is not Phase.ENDED or instance.outcome is State.FAILED:
            self._in_flight += 1
        self._trouble |= current and _in_trouble(instance, self._rules, self._now)

    def add_missing(self, count: int) -> None:
        """So many wanted instances are spawned now."""
        self._in_flight += count

    def lend(self, instance: Instance) -> None:
        """A surge instance."""
        if instance.generation >= self._desired.generation:
            self._trouble |= _in_trouble(instance, self._rules, self._now)
        elif instance.phase is Phase.RUNNING and not instance.ready:
            self._stale.append(instance.index)
        ended_well = instance.phase is Phase.ENDED and instance.outcome is not State.FAILED
        stands_in = ended_well or (instance.termination is None and self._steady(instance))
        self._standing_in += stands_in
        # Those that serve come first, then those that may soon.
        self._lent.append((not stands_in, not instance.alive, instance.index))

    # -- what follows ----------------------------------------------------------------------------------

    @property
    def over(self) -> bool:
        """Whether every wanted instance is of the present generation, and ready."""
        return not self._outdated and not self._in_flight

    @property
    def pauses_until(self) -> list[float]:
        """When the pauses are over that the next step waits for."""
        return self._pauses if self._outdated or self._lent else []

    @property
    def holds_spawns(self) -> bool:
        """Whether nothing new starts yet, since everything old goes first."""
        return self._rules.strategy is RolloutStrategy.RECREATE and self._older_alive

    def surplus(self) -> list[int]:
        """Surge instances that are no longer needed."""
        lent = [index for _, _, index in sorted(self._lent)]
        return lent if self.over else lent[self._surge :]

    def surge_spawns(self, taken: Collection[int]) -> list[int]:
        """The indexes of surge instances to be spawned; those in ``taken`` are not free."""
        ready = sum(1 for ready, _ in self._outdated if ready)
        wanted = min(self._surge, ready) - len(self._lent)
        if wanted <= 0 or self._trouble:
            return []
        first = self._desired.scale
        free = (i for i in range(first, first + self._surge + len(taken) + 1) if i not in taken)
        return [index for index, _ in zip(free, range(wanted), strict=False) if index <= self._highest]

    def needs(self, index: int) -> bool:
        """Whether a surge instance that has ended is to be spawned again."""
        return bool(self._outdated) and index not in self.surplus()

    def stops(self) -> list[int]:
        """The old instances that may be stopped now."""
        outdated = sorted(self._outdated)
        if self._rules.strategy is not RolloutStrategy.ROLLING:
            return [index for _, index in outdated]
        stops = self._stale if outdated else []
        if self._trouble:
            return stops
        in_flight = self._in_flight
        unready = sum(1 for ready, _ in outdated if not ready)
        for ready, index in outdated:
            if in_flight >= self._surge + self._unavailable:
                break
            # Each of those that are down but for the permitted number needs one that stands in for it.
            if ready and in_flight + unready + 1 - self._standing_in > self._unavailable:
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
        """So many surge instances there may be: as many as there is room for."""
        if self._rules.strategy is not RolloutStrategy.ROLLING:
            return 0
        return max(0, min(self._rules.max_surge, self._highest - self._desired.scale + 1))

    @property
    def _unavailable(self) -> int:
        return self._rules.max_unavailable if self._surge else max(1, self._rules.max_unavailable)

    def _steady(self, instance: Instance) -> bool:
        """Whether it is ready, and has been for the pause between two steps."""
        if not instance.ready or instance.ready_at is None:
            return False
        until = instance.ready_at + self._rules.pause_s
        if until > self._now:
            self._pauses.append(until)
            return False
        return True


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
    """A rollout has failed and is to be taken back: instances of the generation ``stable`` count as of
    ``generation`` from now on, and ``settings`` are in force again.
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
    """Whether nobody misses it: it is ready, or has done its work."""
    if instance.phase is Phase.ENDED:
        return instance.outcome is not State.FAILED
    return instance.ready


def _in_trouble(instance: Instance, rules: RolloutRules, now: float) -> bool:
    """Whether a new instance has shown that more of its kind would not help."""
    return instance.phase is Phase.WAITING or instance.stuck or _has_failed(instance, rules, now)


def _has_failed(instance: Instance, rules: RolloutRules, now: float) -> bool:
    """Whether it was given up, or has not been ready in the time that a rollout gives."""
    if instance.phase is Phase.ENDED:
        return instance.outcome is State.FAILED
    return not instance.proven and now >= _ready_by(instance, rules)


def _ready_by(instance: Instance, rules: RolloutRules) -> float:
    """The monotonic time by which a new instance has to be ready; ``inf`` for never."""
    if rules.ready_timeout_s:
        return instance.renewed_at + rules.ready_timeout_s
    if rules.ready_timeout_s == 0 or not rules.start_timeout_s:
        return inf
    health = instance.health
    if health is None:
        return instance.renewed_at + rules.start_timeout_s
    usual = instance.renewed_at + health.rules.initial_delay_s + start_limit_s(health.rules)
    return max(usual, health.healthy_by or 0.0)  # it may have asked for more time (sd_notify)


def _why(instance: Instance, rules: RolloutRules) -> str:
    health = instance.health
    failed = health.last.reason if health and health.last else None
    if instance.phase is Phase.RUNNING:
        late = f"not ready within {_ready_by(instance, rules) - instance.renewed_at:g} s"
        return f"{late}: {failed}" if failed else late
    return instance.reason or "it does not start"
