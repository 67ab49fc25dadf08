"""Whether a process may start: its dependencies, and how long it waits for them."""

from __future__ import annotations

from msgspec import Struct


class Gate(Struct, frozen=True, kw_only=True):
    """``waiting_for`` names what is not ready; ``since`` is the monotonic time when the wait began.

    Once open it stays open until the process is started anew: a dependency that goes down later stops
    nobody, and does not keep an instance from coming back.
    """

    waiting_for: tuple[str, ...] = ()
    since: float = 0.0
    timeout_s: float = 0.0
    expired: bool = False

    @property
    def open(self) -> bool:
        return not self.waiting_for

    @property
    def deadline(self) -> float | None:
        """When the wait is given up; None when there is no wait or it has no end."""
        if self.open or self.expired or self.timeout_s <= 0:
            return None
        return self.since + self.timeout_s

    @property
    def reason(self) -> str | None:
        if self.open:
            return None
        names = ", ".join(self.waiting_for)
        if self.expired:
            return f"gave up after {self.timeout_s:g} s: not ready: {names}"
        return f"waiting for {names}"


def begin(waiting_for: tuple[str, ...], *, now: float, timeout_s: float) -> Gate:
    """The gate of a process that is started now. ``timeout_s`` of 0 or less waits for ever."""
    return Gate(waiting_for=waiting_for, since=now, timeout_s=timeout_s)


def updated(gate: Gate, waiting_for: tuple[str, ...], *, now: float) -> Gate:
    """The gate after another look at what is not ready. A dependency that comes late still opens it."""
    if gate.open or not waiting_for:
        return Gate(since=gate.since, timeout_s=gate.timeout_s)
    deadline = gate.deadline
    expired = gate.expired or (deadline is not None and deadline <= now)
    return Gate(waiting_for=waiting_for, since=gate.since, timeout_s=gate.timeout_s, expired=expired)
