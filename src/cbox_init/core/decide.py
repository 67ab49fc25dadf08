"""What one process needs next: the difference between the desired and the observed state.

``decide`` is called after every command, every exit and every deadline. It holds no state, so that two
commands at one time cannot race: they change the desired state, and the next decision sees both.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from msgspec import Struct

from cbox_init.core.instance import Instance, Phase
from cbox_init.core.rollout import ONE_BY_ONE, Replacement

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cbox_init.config.rules import RolloutRules, RunLimit
    from cbox_init.core.states import Desired


class Spawn(Struct, frozen=True):
    """Start the instance. ``surge``: it is one beyond the scale, for the time of a rollout."""

    index: int
    surge: bool = False


class Stop(Struct, frozen=True):
    """Stop the instance: begin its grace period, with its pre-stop hook or the stop signal."""

    index: int


class Signal(Struct, frozen=True):
    """Send the stop signal: the pre-stop hook is over, or its time is."""

    index: int


class Terminate(Struct, frozen=True):
    """Stop the instance for its ``termination``; the restart policy decides what follows."""

    index: int


class Expire(Struct, frozen=True):
    """Note that the instance has run as long as it may."""

    index: int


class NoteOverdue(Struct, frozen=True):
    """Note that the instance has not become healthy within its time to start."""

    index: int


class Kill(Struct, frozen=True):
    """Kill what is left of the instance."""

    index: int


class CancelRestart(Struct, frozen=True):
    """Cancel its restart; the instance stays, stopped."""

    index: int


class Forget(Struct, frozen=True):
    """Forget the instance: it was scaled away and nothing of it is left."""

    index: int


class Wait(Struct, frozen=True):
    """Nothing more until this monotonic time, unless something happens."""

    until: float


Action = Spawn | Stop | Terminate | Expire | NoteOverdue | Signal | Kill | CancelRestart | Forget | Wait


class Decision:
    """Actions that are carried out one after another; ``until`` is the time to wait for behind them."""

    __slots__ = ("_actions", "_may_spawn", "until")

    def __init__(self, actions: Sequence[Action], *, may_spawn: bool = False) -> None:
        last = actions[-1] if actions else None
        self.until = last.until if isinstance(last, Wait) else None
        self._actions = deque(action for action in actions if action is not last or self.until is None)
        self._may_spawn = may_spawn

    def holds(self, *, may_spawn: bool, now: float) -> bool:
        """Whether actions are left and nothing else has become due."""
        due = self.until is not None and self.until <= now
        return bool(self._actions) and may_spawn == self._may_spawn and not due

    def drop(self) -> None:
        """Discard the rest, since something has happened."""
        self._actions.clear()

    def __iter__(self) -> Iterator[Action]:
        while self._actions:
            yield self._actions.popleft()


def decide(
    desired: Desired,
    instances: Mapping[int, Instance],
    *,
    may_spawn: bool,
    now: float,
    rules: RolloutRules = ONE_BY_ONE,
    limit: RunLimit | None = None,
) -> list[Action]:
    """The actions that bring the observed state closer to the desired one.

    Carrying them out and deciding again ends in an empty list or a lone ``Wait``. ``may_spawn`` is false
    while dependencies are not ready. Instances of an older generation are replaced as ``rules`` say: the next
    is stopped when enough others are ready, and its successor may start. Old ones that are not ready are
    stopped first, since they serve nobody. ``limit`` is how long each may run.
    """
    wanted = desired.scale if desired.run else 0
    plan = _Planner(desired, rules, limit, now)
    surge = []
    for instance in instances.values():
        if instance.index < wanted:
            plan.kept += 1
            if plan.is_as_wanted(instance):
                continue
        elif plan.has_ended(instance):
            continue
        if wanted:
            plan.rollout.note_older(instance)
        if instance.phase is Phase.STOPPING:
            plan.continue_stop(instance)
        if instance.index < wanted:
            plan.keep(instance)
        elif instance.surge and wanted:
            surge.append(instance)
            plan.rollout.add_surge(instance)
        else:
            plan.end(instance)
    if plan.kept < wanted:
        plan.spawn_absent([index for index in range(wanted) if index not in instances])
    surplus = plan.rollout.surplus() if surge else ()
    for instance in surge:
        if instance.index in surplus:
            plan.end(instance)
        else:
            plan.keep_surge(instance)

    actions = plan.actions
    if may_spawn:
        spawns = (
            [] if plan.rollout.holds_spawns else [Spawn(index) for index in plan.spawns_in_order(instances)]
        )
        spawns += [Spawn(index, surge=True) for index in plan.rollout.surge_spawns(instances)]
        # What cannot be started at all is known before the first old one has gone.
        actions += spawns or [Stop(index) for index in plan.rollout.stops()]
    plan.deadlines += plan.rollout.pauses_until
    if plan.deadlines:
        actions.append(Wait(min(plan.deadlines)))
    return actions


def next_of_stop(instance: Instance, now: float) -> Signal | Kill | Wait:
    """The next step of a stop that has begun: the stop signal, the kill, or the wait for either."""
    in_pre_stop = instance.signal_at is not None
    at = instance.kill_at if instance.signal_at is None else instance.signal_at
    if at > now:
        return Wait(at)
    return Signal(instance.index) if in_pre_stop else Kill(instance.index)


class _Planner:
    """Collects the actions, spawns and deadlines of one decision."""

    __slots__ = (
        "actions",
        "deadlines",
        "desired",
        "kept",
        "limit",
        "now",
        "revision",
        "rollout",
        "spawns",
        "stable_since",
    )

    def __init__(self, desired: Desired, rules: RolloutRules, limit: RunLimit | None, now: float) -> None:
        self.desired = desired
        self.limit = limit
        self.revision = desired.revision
        self.now = now
        self.stable_since = now - rules.pause_s
        self.rollout = Replacement(desired, rules, now)
        self.actions: list[Action] = []
        self.spawns: list[int] = []
        self.deadlines: list[float] = []
        self.kept = 0

    def is_as_wanted(self, instance: Instance) -> bool:
        """Whether a wanted instance needs nothing: true of most, so that this must be cheap.

        It runs, is of the present generation, has no checks, and has been ready for the pause of a rollout.
        """
        return (
            instance.phase is Phase.RUNNING
            and instance.health is None
            and instance.excess is None
            and self.limit is None
            and instance.overran is None
            and not instance.held
            and instance.proven
            and instance.generation >= self.desired.generation
            and instance.ready_at is not None
            and instance.ready_at <= self.stable_since
        )

    def has_ended(self, instance: Instance) -> bool:
        """Whether it is not wanted and nothing of it is left to stop: it is kept to be shown."""
        ended = instance.phase is Phase.IDLE or instance.phase is Phase.ENDED
        kept = not self.desired.run and instance.index < self.desired.scale
        return ended and kept and not instance.deferred_until

    def continue_stop(self, instance: Instance) -> None:
        """Add the next step of a stop: once begun it is carried out, whatever was asked since."""
        action = next_of_stop(instance, self.now)
        if isinstance(action, Wait):
            self.deadlines.append(action.until)
        else:
            self.actions.append(action)

    def keep(self, instance: Instance) -> None:
        """Add what an instance that should run needs."""
        if self._is_due(instance):
            self._spawn(instance)
            self.rollout.add_starting(1)
            return
        if instance.phase is Phase.RUNNING and instance.stops_alone(self.revision):
            self.actions.append(Stop(instance.index))
            self.rollout.add_starting(1)
            return
        self._wait_for(instance)
        if instance.phase is Phase.RUNNING and instance.termination is not None:
            self.actions.append(Terminate(instance.index))
            self.rollout.add_starting(1)
        else:
            self.rollout.add(instance)

    def keep_surge(self, instance: Instance) -> None:
        """Add what a surge instance needs while others are replaced."""
        if self._is_due(instance):
            if self.rollout.needs(instance.index):
                self._spawn(instance)
            else:
                self.end(instance)
            return
        self._wait_for(instance)
        if instance.phase is Phase.RUNNING and instance.termination is not None:
            self.actions.append(Terminate(instance.index))

    def spawn_absent(self, indexes: Sequence[int]) -> None:
        """Add spawns of instances that are wanted and do not exist yet."""
        self.spawns += indexes
        self.rollout.add_starting(len(indexes))

    def spawns_in_order(self, instances: Mapping[int, Instance]) -> list[int]:
        """The spawns, longest due first, so that instances that crash repeatedly do not delay the others."""

        def since(index: int) -> tuple[float, int]:
            instance = instances.get(index)
            return (instance.due_at if instance and instance.phase is Phase.WAITING else 0.0, index)

        return sorted(self.spawns, key=since)

    def _spawn(self, instance: Instance) -> None:
        """Add the spawn of an instance that is due, or the time of the next try."""
        if instance.deferred_until > self.now:
            self.deadlines.append(instance.deferred_until)
        else:
            self.spawns.append(instance.index)

    def _wait_for(self, instance: Instance) -> None:
        """Add the time at which the instance is next due: for its restart, or to be healthy."""
        if instance.phase is Phase.WAITING:
            self.deadlines.append(instance.due_at)
        elif instance.phase is Phase.RUNNING and instance.termination is None:
            health = instance.health
            if health is not None and health.may_become_healthy and health.healthy_by is not None:
                if health.healthy_by <= self.now:
                    self.actions.append(NoteOverdue(instance.index))
                else:
                    self.deadlines.append(health.healthy_by)
            if self.limit is not None and instance.generation >= self.desired.generation:
                ends_at = instance.up_at + self.limit.seconds
                if ends_at <= self.now:
                    self.actions.append(Expire(instance.index))
                else:
                    self.deadlines.append(ends_at)

    def end(self, instance: Instance) -> None:
        """An instance that should not run."""
        phase = instance.phase
        if phase is Phase.RUNNING or (phase is Phase.STOPPING and not instance.asked):
            self.actions.append(Stop(instance.index))
        elif phase is Phase.STOPPING:
            return
        elif instance.index >= self.desired.scale:
            self.actions.append(Forget(instance.index))
        elif phase is Phase.WAITING or instance.deferred_until:
            self.actions.append(CancelRestart(instance.index))

    def _is_due(self, instance: Instance) -> bool:
        """Whether an instance of which nothing lives should be spawned now."""
        if instance.alive:
            return False
        if instance.phase is Phase.IDLE or instance.is_outdated(self.revision):
            return True
        return instance.phase is Phase.WAITING and instance.due_at <= self.now
