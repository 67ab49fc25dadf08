"""Whether a command is done: what it wants of a process against what is observed.

Pure. A command changes the desired state; `standing` compares what it wants with the desired state of now (a
later command may have replaced it) and with the instances, and says whether it is done, and why not.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from cbox_init.core.instance import Instance, Phase
from cbox_init.core.rollout import RolloutState
from cbox_init.core.states import State

if TYPE_CHECKING:
    from collections.abc import Collection

    from cbox_init.core.rollout import Rollout
    from cbox_init.core.states import Desired


class ChangeStatus(StrEnum):
    """How a change stands. SUPERSEDED: a later command wants something else. ABORTED: it was abandoned, or
    what it was about is gone."""

    DOING = "doing"
    DONE = "done"
    FAILED = "failed"
    SUPERSEDED = "superseded"
    ABORTED = "aborted"


class Aim(Struct, frozen=True, kw_only=True):
    """What a command wants of one process; None where it does not matter.

    ``generation`` is what a restart has raised it to: older instances have to be replaced. Instances below
    ``first`` are no concern of it: a scale waits for the instances that it adds. With an ``index`` it is
    about that instance alone, which a command has stopped or restarted at the monotonic time ``since``.
    """

    run: bool | None = None
    scale: int | None = None
    generation: int | None = None
    first: int = 0
    index: int | None = None
    since: float = 0.0


class Standing(Struct, frozen=True, kw_only=True):
    """How far a command is: ``done`` of ``total`` instances are as it wants them.

    ``reason`` says why it has failed or goes on, ``index`` which instance that is about. ``mark`` differs
    when one of the instances has gone on.
    """

    status: ChangeStatus
    done: int = 0
    total: int = 0
    reason: str = ""
    index: int | None = None
    mark: int = 0


class Held(Struct, frozen=True, kw_only=True):
    """What else stands in the way: dependencies (``waiting``: for what, ``expired``: not in time), and how
    the rollout is. ``went_back`` is one that was rolled back, with the generation of the return."""

    waiting: str = ""
    expired: bool = False
    rollout: Rollout | None = None
    went_back: tuple[int, Rollout] | None = None
    rolls_back: bool = False


def standing(
    aim: Aim, desired: Desired, instances: Collection[Instance], held: Held, *, oneshot: bool
) -> Standing:
    """How far a command is that wanted ``aim`` of a process."""
    if aim.index is not None:
        return _of_instance(aim, desired, instances, oneshot=oneshot)
    if reason := _superseded(aim, desired):
        return Standing(status=ChangeStatus.SUPERSEDED, reason=reason)
    if not desired.run:
        return _of_stop(instances)
    if aim.generation is not None and held.went_back is not None and held.went_back[0] > aim.generation:
        failed = held.went_back[1]
        return _failed(failed, "; it was rolled back")
    if held.expired:
        return Standing(status=ChangeStatus.FAILED, total=desired.scale, reason=held.waiting)
    if desired.scale == 0 and aim.scale is None and aim.generation is None:
        return Standing(status=ChangeStatus.FAILED, reason="its scale is 0; scale it to have instances")
    done = total = left = mark = 0
    failed_one: Instance | None = None
    doing: Instance | None = None
    oldest = -1 if aim.generation is None else aim.generation
    for instance in instances:
        if (  # true of most, so that it must be cheap
            instance.phase is Phase.RUNNING
            and instance.health is None
            and instance.excess is None
            and instance.overran is None
            and instance.generation >= oldest
            and instance.index < desired.scale
            and not oneshot
        ):
            total += 1
            done += 1
            continue
        step = step_of(aim, desired, instance, oneshot=oneshot, rolls_back=held.rolls_back)
        mark = hash((mark, instance.index, instance.phase, step))
        if instance.index >= desired.scale:
            left += step is not None
            continue
        total += 1
        if step is None or step is ChangeStatus.DONE:
            done += 1
        elif step is ChangeStatus.FAILED:
            failed_one = failed_one or instance
        elif doing is None:
            doing = instance
    if failed_one is not None:
        return _at(failed_one, ChangeStatus.FAILED, done, desired.scale)
    rollout = held.rollout if aim.generation is not None else None
    if rollout is not None and rollout.state is RolloutState.FAILED:
        return _failed(rollout, "")
    if done == total == desired.scale and not left:
        return Standing(status=ChangeStatus.DONE, done=done, total=done)
    if held.waiting:
        reason = f"waiting for {held.waiting}"
        return Standing(status=ChangeStatus.DOING, done=done, total=desired.scale, reason=reason, mark=mark)
    if doing is not None:
        return replace(_at(doing, ChangeStatus.DOING, done, desired.scale), mark=mark)
    return Standing(status=ChangeStatus.DOING, done=done, total=desired.scale, mark=mark)


def step_of(
    aim: Aim, desired: Desired, instance: Instance, *, oneshot: bool, rolls_back: bool = False
) -> ChangeStatus | None:
    """How far the command is with one instance; None when that is no concern of it.

    ``rolls_back``: a rollout that fails is taken back, so that it alone says that it has failed.
    """
    if aim.index is not None:
        return _alone(aim, desired, instance, oneshot=oneshot) if instance.index == aim.index else None
    if not desired.run:
        return ChangeStatus.DONE if _is_down(instance) else ChangeStatus.DOING
    if instance.index >= desired.scale:
        return None if instance.surge and aim.generation is None else ChangeStatus.DOING
    if instance.index < aim.first:
        return None
    if instance.phase is Phase.RUNNING:
        if aim.generation is not None and instance.generation < aim.generation:
            return ChangeStatus.DOING
        if instance.ready and not oneshot and instance.termination is None:
            return ChangeStatus.DONE
        fails = instance.stalled and (instance.proven or aim.generation is None or not rolls_back)
        return ChangeStatus.FAILED if fails else ChangeStatus.DOING
    if instance.phase is not Phase.ENDED or instance.is_outdated(desired.revision):
        return ChangeStatus.DOING
    if instance.outcome is not State.FAILED:
        return ChangeStatus.DONE
    if aim.generation is not None and rolls_back and not instance.proven:
        return ChangeStatus.DOING
    return ChangeStatus.FAILED


def runs_standing(aim: Aim, desired: Desired, runs: Collection[Instance]) -> Standing:
    """How far a command to a schedule is: a start has resumed it, a stop or a restart ends its runs."""
    if reason := _superseded(aim, desired):
        return Standing(status=ChangeStatus.SUPERSEDED, reason=reason)
    if aim.generation is None:
        return Standing(status=ChangeStatus.DONE)
    left = sum(1 for run in runs if run.generation < aim.generation)
    return Standing(status=ChangeStatus.DOING if left else ChangeStatus.DONE, total=left)


def _of_instance(aim: Aim, desired: Desired, instances: Collection[Instance], *, oneshot: bool) -> Standing:
    """How far a command to one instance is."""
    instance = next((one for one in instances if one.index == aim.index), None)
    if instance is None:
        if aim.run is False:
            return Standing(status=ChangeStatus.DONE, done=1, total=1)
        return Standing(status=ChangeStatus.SUPERSEDED, reason="a later command scaled it away")
    status = _alone(aim, desired, instance, oneshot=oneshot)
    if status is ChangeStatus.DONE:
        return Standing(status=status, done=1, total=1)
    if status is ChangeStatus.SUPERSEDED:
        what = "stopped" if aim.run else "started"
        return Standing(status=status, total=1, reason=f"a later command {what} it")
    mark = hash((instance.phase, instance.generation))
    return replace(_at(instance, status, 0, 1), mark=mark)


def _alone(aim: Aim, desired: Desired, instance: Instance, *, oneshot: bool) -> ChangeStatus:
    """How far a command to this instance is."""
    if not aim.run:
        if _is_down(instance):
            return ChangeStatus.DONE
        stops = not desired.run or instance.stays_down(desired.revision)
        return ChangeStatus.DOING if stops else ChangeStatus.SUPERSEDED
    if not desired.run or instance.stays_down(desired.revision):
        return ChangeStatus.SUPERSEDED
    if instance.phase is Phase.RUNNING and instance.up_at >= aim.since:
        if instance.ready and not oneshot:
            return ChangeStatus.DONE
        return ChangeStatus.FAILED if instance.stalled else ChangeStatus.DOING
    if instance.phase is Phase.ENDED and not instance.is_outdated(desired.revision):
        return ChangeStatus.FAILED if instance.outcome is State.FAILED else ChangeStatus.DONE
    return ChangeStatus.DOING


def _superseded(aim: Aim, desired: Desired) -> str:
    """Which later command the aim cannot be reached after; "" when it can."""
    if aim.run and not desired.run:
        return "a later command stopped it"
    if aim.run is False and desired.run:
        return "a later command started it"
    if aim.scale is not None and aim.scale != desired.scale:
        return f"a later command scaled it to {desired.scale}"
    return ""


def _of_stop(instances: Collection[Instance]) -> Standing:
    left = sum(1 for instance in instances if not _is_down(instance))
    status = ChangeStatus.DOING if left else ChangeStatus.DONE
    return Standing(status=status, done=len(instances) - left, total=len(instances))


def _is_down(instance: Instance) -> bool:
    """Whether nothing of it lives, and its restart, if it waited for one, is cancelled."""
    return not instance.alive and instance.phase is not Phase.WAITING


def _failed(rollout: Rollout, what: str) -> Standing:
    reason = f"{rollout.reason or 'the new instances do not get ready'}{what}"
    return Standing(
        status=ChangeStatus.FAILED,
        done=rollout.updated,
        total=rollout.total,
        reason=reason,
        index=rollout.failed,
    )


def _at(instance: Instance, status: ChangeStatus, done: int, total: int) -> Standing:
    reason = instance.reason or (instance.health.reason if instance.health else None)
    if status is ChangeStatus.FAILED and not reason:
        reason = "it does not get healthy" if instance.phase is Phase.RUNNING else "it failed"
    index = instance.index if reason else None
    return Standing(status=status, done=done, total=total, reason=reason or "", index=index)
