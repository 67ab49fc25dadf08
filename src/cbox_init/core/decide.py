"""What one process needs next: the difference between what is wanted and what is there.

``decide`` is called after every command, every exit and every deadline. It holds no state, so that two
commands at one time cannot race: they change the desired state, and the next decision sees both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from cbox_init.core.instance import Instance, Lineage, Phase

if TYPE_CHECKING:
    from collections.abc import Mapping


class Desired(Struct, frozen=True, kw_only=True):
    """What commands have asked of a process.

    ``generation`` is raised by a restart: instances of an older one are replaced. ``starts`` is raised by a
    start: instances that had ended or wait for a restart are started at once.
    """

    run: bool
    scale: int
    generation: int = 0
    starts: int = 0

    @property
    def lineage(self) -> Lineage:
        return Lineage(self.generation, self.starts)


class Spawn(Struct, frozen=True):
    """Start the instance."""

    index: int


class Stop(Struct, frozen=True):
    """Tell the instance to end, with its stop signal or first a pre-stop hook; its grace period begins."""

    index: int


class Signal(Struct, frozen=True):
    """The instance's pre-stop hook is over, or its time is: send the stop signal."""

    index: int


class Condemn(Struct, frozen=True):
    """Tell the instance to end for its ``doom``; the restart policy says what follows."""

    index: int


class NoteLate(Struct, frozen=True):
    """The instance has not become healthy in the time that a start has."""

    index: int


class Kill(Struct, frozen=True):
    """End what is left of the instance at once."""

    index: int


class Rest(Struct, frozen=True):
    """Its restart is no longer wanted; the instance stays, stopped."""

    index: int


class Forget(Struct, frozen=True):
    """The instance was scaled away and nothing of it is left."""

    index: int


class Wait(Struct, frozen=True):
    """Nothing more until this monotonic time, unless something happens."""

    until: float


Action = Spawn | Stop | Condemn | NoteLate | Signal | Kill | Rest | Forget | Wait


def decide(
    desired: Desired, instances: Mapping[int, Instance], *, may_spawn: bool, now: float
) -> list[Action]:
    """The actions that bring what is there closer to what is wanted.

    Carrying them out and deciding again ends in an empty list or a lone ``Wait``. ``may_spawn`` is false
    while dependencies are not ready. Instances are replaced one after another: the next old one is told to
    stop when every other is up again and ready, and its successor may start. Old ones that are not ready go
    first: nobody misses them.
    """
    wanted = desired.scale if desired.run else 0
    plan = _Plan(desired, now)
    for instance in instances.values():
        if instance.phase is Phase.STOPPING:
            plan.see_through(instance)
        if instance.index < wanted:
            plan.keep(instance)
        else:
            plan.end(instance)
    if plan.kept < wanted:
        plan.spawns += [index for index in range(wanted) if index not in instances]

    actions = plan.actions
    if may_spawn:
        actions += [Spawn(index) for index in sorted(plan.spawns)]
        if plan.outdated and not plan.held_up and not plan.spawns:
            actions.append(Stop(min(plan.outdated)[1]))
    if plan.deadlines:
        actions.append(Wait(min(plan.deadlines)))
    return actions


def next_of_stop(instance: Instance, now: float) -> Signal | Kill | Wait:
    """What follows for an instance that is told to end."""
    held_back = instance.signal_at is not None
    at = instance.kill_at if instance.signal_at is None else instance.signal_at
    if at > now:
        return Wait(at)
    return Signal(instance.index) if held_back else Kill(instance.index)


class _Plan:
    """What a look at each instance adds up to."""

    __slots__ = (
        "actions",
        "deadlines",
        "desired",
        "held_up",
        "kept",
        "lineage",
        "now",
        "outdated",
        "spawns",
    )

    def __init__(self, desired: Desired, now: float) -> None:
        self.desired = desired
        self.lineage = desired.lineage
        self.now = now
        self.actions: list[Action] = []
        self.spawns: list[int] = []
        self.deadlines: list[float] = []
        self.outdated: list[tuple[bool, int]] = []
        self.kept = 0
        self.held_up = False

    def see_through(self, instance: Instance) -> None:
        """A stop ends, whatever has been wanted since."""
        action = next_of_stop(instance, self.now)
        if isinstance(action, Wait):
            self.deadlines.append(action.until)
        else:
            self.actions.append(action)

    def keep(self, instance: Instance) -> None:
        """An instance that should run."""
        self.kept += 1
        phase = instance.phase
        if phase is Phase.RUNNING:
            self._keep_running(instance)
        elif phase is not Phase.STOPPING and self._due(instance):
            self.spawns.append(instance.index)
        else:
            self.held_up |= instance.holds_up
            if phase is Phase.WAITING:
                self.deadlines.append(instance.due_at)

    def _keep_running(self, instance: Instance) -> None:
        if instance.doom is not None:
            self.actions.append(Condemn(instance.index))
            self.held_up = True
            return
        health = instance.health
        if health is not None and health.settling and health.healthy_by is not None:
            if health.healthy_by <= self.now:
                self.actions.append(NoteLate(instance.index))
            else:
                self.deadlines.append(health.healthy_by)
        if instance.generation < self.desired.generation:
            self.outdated.append((instance.ready, instance.index))
        else:
            self.held_up |= instance.holds_up

    def end(self, instance: Instance) -> None:
        """An instance that should not run."""
        phase = instance.phase
        if phase is Phase.RUNNING or (phase is Phase.STOPPING and not instance.asked):
            self.actions.append(Stop(instance.index))
        elif phase is Phase.STOPPING:
            return
        elif instance.index >= self.desired.scale:
            self.actions.append(Forget(instance.index))
        elif phase is Phase.WAITING:
            self.actions.append(Rest(instance.index))

    def _due(self, instance: Instance) -> bool:
        """Whether an instance of which nothing lives is to be spawned now."""
        if instance.phase is Phase.IDLE or instance.behind(self.lineage):
            return True
        return instance.phase is Phase.WAITING and instance.due_at <= self.now
