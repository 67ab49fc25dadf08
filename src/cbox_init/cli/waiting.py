"""``--wait``: shows the progress of a change until the daemon says that it has ended."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from msgspec import UnsetType

from cbox_init.cli import complain
from cbox_init.errors import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cbox_init.client import ChangeEntry, Client, StepEntry

#: How long one request waits at most, in seconds: what is between the two may end silent connections.
_ONE_WAIT_S = 25.0


def wait_for(
    client: Client,
    change: str | UnsetType,
    timeout_s: float,
    say: Callable[[str], object] = lambda line: None,
) -> ChangeEntry:
    """Wait for the end of a change; ``say`` gets a line for each instance that is done or has failed.

    Raises ClientError when the change does not end well, or not in time. A Ctrl-C ends the wait alone, and
    says so.
    """
    if isinstance(change, UnsetType):
        raise ClientError("this daemon does not say when a command is done: it is older than this command")
    until = time.monotonic() + timeout_s
    shown: set[str] = set()
    try:
        entry = client.change(change)
        while True:
            _show(entry, shown, say)
            left = until - time.monotonic()
            if entry.status != "doing":
                break
            if left <= 0:
                raise ClientError(_late(entry, timeout_s))
            entry = client.change(change, wait_s=min(left, _ONE_WAIT_S), seen=entry.version)
    except KeyboardInterrupt:
        where = f"`cbox-init changes {change}` shows its progress"
        complain(f"stopped waiting; the command remains in effect: {where}")
        raise
    if entry.status != "done":
        raise ClientError(f"{subject(entry)}: {outcome(entry)}")
    return entry


def outcome(entry: ChangeEntry) -> str:
    """How a change has ended, in words."""
    verb = {"done": "is done", "failed": "failed"}.get(entry.status, f"was {entry.status}")
    reason = f": {entry.reason}" if isinstance(entry.reason, str) else ""
    return f"{entry.kind} {verb}{reason}"


def subject(entry: ChangeEntry) -> str:
    """What a change is about: a process, several, or the configuration."""
    if not isinstance(entry.processes, UnsetType):
        return ", ".join(entry.processes)
    return "configuration" if entry.process == "*" else entry.process


def _show(entry: ChangeEntry, shown: set[str], say: Callable[[str], object]) -> None:
    """Say which instances are done or have failed since the last time."""
    for step in entry.instances:
        if step.status != "doing" and step.id not in shown:
            shown.add(step.id)
            say(f"{step.id}: {_step(step)}")


def _step(step: StepEntry) -> str:
    if step.status != "failed":
        return step.state
    reason = step.reason if isinstance(step.reason, str) else "it failed"
    last = step.last_output[-1] if isinstance(step.last_output, tuple) and step.last_output else ""
    return f"failed: {reason}; its last output: {last}" if last else f"failed: {reason}"


def _late(entry: ChangeEntry, timeout_s: float) -> str:
    at = f"{entry.progress.done}/{entry.progress.total}"
    why = f", {entry.reason}" if isinstance(entry.reason, str) else ""
    return (
        f"{subject(entry)}: {entry.kind} is not done after {timeout_s:g} s: {at}{why}; "
        f"it continues; `cbox-init changes {entry.id}` shows its progress"
    )
