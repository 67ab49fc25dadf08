"""A process's state as the sum of its instances."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbox_init.core.instance import Instance, Phase
from cbox_init.core.states import State

if TYPE_CHECKING:
    from collections.abc import Collection

    from cbox_init.core.states import Desired


def process_state(
    desired: Desired, instances: Collection[Instance], *, blocked: bool, expired: bool
) -> State:
    """The state of the whole process.

    ``blocked``: dependencies are not ready; ``expired``: they were not ready in time. A process that should
    run is RUNNING when at least one of its instances is; ``scale`` against ``desired_scale`` tells the rest.
    """
    states = {instance.state for instance in instances}
    if not desired.run or desired.scale == 0:
        alive = any(instance.alive for instance in instances)
        return State.STOPPING if alive else State.STOPPED
    if State.RUNNING in states:
        return State.RUNNING
    if expired:
        return State.FAILED
    if blocked or State.STARTING in states or len(instances) < desired.scale:
        return State.STARTING
    for state in (State.STOPPING, State.FAILED, State.STOPPED):
        if state in states:
            return state
    return State.COMPLETED


def is_ready(desired: Desired, instances: Collection[Instance], *, oneshot: bool) -> bool:
    """Whether what depends on this process may start: all of it is ready, or the oneshot has completed.

    An instance without a readiness check is ready when it runs. Those that a command has stopped alone do not
    count, as long as there are others.
    """
    wanted = [instance for instance in instances if instance.index < desired.scale]
    if not desired.run or desired.scale == 0 or len(wanted) < desired.scale:
        return oneshot and _completed(wanted, desired)
    if oneshot:
        return _completed(wanted, desired)
    counted = [instance for instance in wanted if not instance.stays_down(desired.revision)]
    return bool(counted) and all(instance.ready for instance in counted)


def has_settled(desired: Desired, instances: Collection[Instance]) -> bool:
    """Whether a command has had its effect, or an instance that cannot be had stands in its way.

    Then every wanted instance runs, waits for its next try or has ended, and no other is left. Instances
    that a rollout has still to replace, and its surge instances, do not count when one that waits, has failed
    or does not get ready holds it up. Readiness alone is not waited for.
    """
    if not desired.run:
        return not any(instance.alive for instance in instances)
    revision = desired.revision
    outdated = held_up = False
    wanted = 0
    for instance in instances:
        if instance.phase in (Phase.IDLE, Phase.STOPPING):
            return False
        if instance.index >= desired.scale:
            if not instance.surge or not desired.scale:
                return False
            outdated = True
            held_up |= instance.stalled if instance.phase is Phase.RUNNING else instance.blocks_rollout
            continue
        wanted += 1
        if instance.phase is Phase.RUNNING:
            if instance.generation < revision.generation:
                outdated = True
            else:
                held_up |= instance.stalled
            continue
        if instance.is_outdated(revision):
            return False
        held_up |= instance.blocks_rollout
    return wanted == desired.scale and (held_up or not outdated)


def ended_for_good(desired: Desired, instances: Collection[Instance]) -> bool:
    """Whether every instance that should live has ended by itself and does not come back."""
    revision = desired.revision
    return (
        desired.run
        and desired.scale > 0
        and sum(1 for instance in instances if instance.index < desired.scale) == desired.scale
        and all(
            instance.phase is Phase.ENDED and not instance.held and not instance.is_outdated(revision)
            for instance in instances
        )
    )


def first_ended(desired: Desired, instances: Collection[Instance]) -> Instance | None:
    """The instance that ended first, with whatever code, of those that should live and do not come back."""
    revision = desired.revision
    ended = (
        instance
        for instance in instances
        if instance.phase is Phase.ENDED
        and instance.ending is not None
        and desired.run
        and instance.index < desired.scale
        and not instance.held
        and not instance.is_outdated(revision)
    )
    return min(ended, key=lambda instance: instance.ended_at, default=None)


def first_given_up(desired: Desired, instances: Collection[Instance]) -> Instance | None:
    """The instance that failed first of those that should live and do not come back by themselves."""
    return first_ended(desired, [one for one in instances if one.outcome is State.FAILED])


def _completed(instances: Collection[Instance], desired: Desired) -> bool:
    """Whether all have completed, and no start was requested since."""
    return bool(instances) and all(
        instance.phase is Phase.ENDED
        and instance.outcome is State.COMPLETED
        and not instance.is_outdated(desired.revision)
        for instance in instances
    )
