"""``--wait``: find out from the list of processes whether a command is done. Pure, except ``wait_for``.

The daemon changes the desired state before it answers, so the list shows at once what the command asked for
(``wanted``, ``desired_scale``). When it shows something else, another command came later. Instances follow.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal, NamedTuple

from msgspec import UnsetType

from cbox_init.errors import ClientError

if TYPE_CHECKING:
    from cbox_init.client import Client, InstanceEntry, ProcessEntry, RolloutEntry

STALE_S = 1.0
"""For this long after the command, an end that looks like the one before it may still be the same."""

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 0.5


class Goal(NamedTuple):
    """A command, and the process as it was before. ``scale`` is the requested number."""

    command: Literal["start", "stop", "restart", "scale"]
    before: ProcessEntry
    scale: int | None = None


class Outcome(NamedTuple):
    """Whether the wait is over, and why the command failed, if it did."""

    over: bool
    failure: str | None = None


_PENDING = Outcome(over=False)
_DONE = Outcome(over=True)


def judge(goal: Goal, now: ProcessEntry, age_s: float) -> Outcome:
    """Whether the command is done, ``age_s`` seconds after the daemon accepted it."""
    if goal.command == "stop":
        return _failed("another command started it") if now.wanted else _gone(now)
    if goal.command == "scale":
        if now.desired_scale != goal.scale:
            return _failed(f"another command scaled it to {now.desired_scale}")
        return _up(goal, now, age_s) if now.wanted else _gone(now)
    if now.type == "scheduled":
        old = _living(goal.before) if goal.command == "restart" else set()
        return _PENDING if old & _living(now) else _DONE
    if not now.wanted:
        if now.desired_scale == 0:
            return _failed("its scale is 0; scale it to have instances")
        return _failed("another command stopped it")
    return _up(goal, now, age_s)


def wait_for(client: Client, goal: Goal, timeout_s: float) -> ProcessEntry:
    """Poll until the command is done; raises ClientError when it has failed, or is not done in time."""
    name = goal.before.name
    began = time.monotonic()
    pause_s = _FIRST_PAUSE_S
    while True:
        now = client.status(name)
        age_s = time.monotonic() - began
        outcome = judge(goal, now, age_s)
        if outcome.failure is not None:
            raise ClientError(f"{name}: {goal.command} failed: {outcome.failure}")
        if outcome.over:
            return now
        if age_s >= timeout_s:
            raise ClientError(
                f"{name}: {goal.command} is not done after {timeout_s:g} s: it is {_describe(now)}; "
                "it continues; `cbox-init status` shows its progress"
            )
        time.sleep(min(pause_s, max(0.0, timeout_s - age_s)))
        pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)


def _up(goal: Goal, now: ProcessEntry, age_s: float) -> Outcome:
    """Every wanted instance runs and is ready (of a oneshot: has completed); after a restart none is old."""
    old = _living(goal.before) if goal.command == "restart" else set()
    if not isinstance(now.rollout, UnsetType) and now.rollout.state != "progressing":
        return _failed(_why_not_rolled(now.rollout))
    if old & _living(now):
        return _stuck(now, old) or _PENDING
    stale = {_end(one) for one in goal.before.instances} if age_s < STALE_S else set()
    finals = ("completed",) if now.type == "oneshot" else ("running", "completed", "stopped")
    for instance in now.instances:
        if instance.state in ("failed", "completed", "stopped") and _end(instance) in stale:
            return _PENDING
    for instance in now.instances:
        if instance.state == "failed":
            return _failed(f"{instance.id}: {instance.reason or 'it failed'}")
    if stuck := _stuck(now, set()):
        return stuck
    if now.state == "failed":
        return _failed(now.reason or "it failed")
    up = sum(1 for instance in now.instances if instance.state in finals and _ready(instance))
    return _DONE if up == len(now.instances) == now.desired_scale else _PENDING


def _stuck(now: ProcessEntry, old: set[tuple[str, int, int]]) -> Outcome | None:
    """The failure when a new instance does not get ready, so that the restart has stopped."""
    for instance in now.instances:
        if instance.state == "running" and _life(instance) not in old and _overdue(instance):
            return _failed(f"{instance.id}: {instance.reason or 'it does not get healthy'}")
    return None


def _why_not_rolled(rollout: RolloutEntry) -> str:
    back = "; it was rolled back" if rollout.state == "rolled_back" else ""
    if isinstance(rollout.instance, str) and isinstance(rollout.reason, str):
        return f"{rollout.instance}: {rollout.reason}{back}"
    return f"the new instances do not get ready{back}"


def _gone(now: ProcessEntry) -> Outcome:
    return _PENDING if now.scale or _living(now) else _DONE


def _failed(reason: str) -> Outcome:
    return Outcome(over=True, failure=reason)


def _living(entry: ProcessEntry) -> set[tuple[str, int, int]]:
    """The processes that are alive. A pid alone may be reused."""
    return {_life(one) for one in entry.instances if one.pid}


def _life(one: InstanceEntry) -> tuple[str, int, int]:
    return (one.id, one.pid, one.started_at)


def _ready(one: InstanceEntry) -> bool:
    """Whether it is ready, or has no health check."""
    return isinstance(one.health, UnsetType) or one.health.ready


def _overdue(one: InstanceEntry) -> bool:
    return not isinstance(one.health, UnsetType) and not one.health.ready and one.health.overdue is True


def _end(one: InstanceEntry) -> tuple[str, str, int, int, int | None]:
    """What distinguishes the end of one run from that of the next, as far as the list shows it."""
    code = one.exit_code if isinstance(one.exit_code, int) else None
    return (one.id, one.state, one.started_at, one.restart_count, code)


def _describe(entry: ProcessEntry) -> str:
    text = f"{entry.state}, {entry.scale}/{entry.desired_scale}"
    if entry.waiting_for:
        return f"{text}, waiting for {', '.join(entry.waiting_for)}"
    return f"{text} ({entry.reason})" if entry.reason else text
