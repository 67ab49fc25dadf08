"""What happens to records of an output that cannot be written: they wait for the next try, or are dropped."""

from __future__ import annotations

from math import inf
from threading import Event
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cbox_init.logs.daemon import DaemonLog

BRIEFLY_S = 10.0
"""How long records wait for what is short for a while (descriptors, memory, a FIFO's reader), in seconds."""

_FIRST_S = 0.1
_LONGEST_S = 5.0
_CALM_S = 30.0
_FAREWELL_S = 5.0
_LONGEST_WAIT_S = 60.0


class Retry:
    """The pauses between tries of one destination, and its current error.

    A failure is logged once, and once more when it works again. The pauses grow, also when it works for a
    moment in between, so that an output that comes and goes is not logged each time.
    """

    def __init__(self, log: DaemonLog, target: str) -> None:
        self.error: str | None = None
        self._log = log
        self._target = target
        self._pause_s = _FIRST_S
        self._failed_at = -_CALM_S
        self._failing_since = 0.0
        self._dropping = False
        self._dropping_until = 0.0
        self._refusal: str | None = None
        self._hurry = Event()
        self._until: float | None = None

    @property
    def given_up(self) -> bool:
        """Whether to stop trying: no route leads here any more, and the time for what was queued is over."""
        return self._until is not None and monotonic() >= self._until

    @property
    def drops(self) -> bool:
        """Whether records are dropped at once: it cannot be written, and the next try is not due yet."""
        return self._dropping and monotonic() < self._dropping_until and not self._hurry.is_set()

    def failed(self, error: str, *, hold_s: float = inf, at_least_s: float = 0.0, waits: str = "") -> bool:
        """Log ``error``, if it is not known yet, and wait before the next try. ``waits`` is logged behind it.

        False when it has failed for ``hold_s``, or more: the records are to be dropped, without waiting.
        """
        now = monotonic()
        if self.error is None:
            self._failing_since = now
        drops = now - self._failing_since >= hold_s
        if self.error is None or drops > self._dropping:
            what = f"{error}; records are dropped until it can be written" if drops else error + waits
            self._log.error("Log output cannot be written", output=self._target, error=what)
        self.error = error
        self._dropping = drops
        calm = now - self._failed_at > _CALM_S
        self._pause_s = _FIRST_S if calm else min(2 * self._pause_s, _LONGEST_S)
        pause_s = min(max(self._pause_s, at_least_s), _LONGEST_WAIT_S)
        if drops:
            self._dropping_until = now + pause_s
        else:
            self._hurry.wait(pause_s)
        self._hurry.clear()
        self._failed_at = monotonic()
        return not drops

    def over(self) -> None:
        """Note that it was written."""
        if self.error is not None:
            self.error = None
            self._dropping = False
            self._log.info("Log output can be written again", output=self._target)

    def hurry(self) -> None:
        """Retry at once; from any thread."""
        self._hurry.set()

    def leave(self, within_s: float = _FAREWELL_S) -> None:
        """No route leads here any more: what is queued has ``within_s``; from any thread."""
        self._until = monotonic() + within_s
        self._hurry.set()

    def stay(self) -> None:
        """A route leads here again; from any thread."""
        self._until = None

    def refused(self, error: str) -> None:
        """Log that records are lost because they are refused; once for the same reason."""
        if self._refusal != error:
            self._refusal = error
            self._log.error("Log output refuses records", output=self._target, error=error)
