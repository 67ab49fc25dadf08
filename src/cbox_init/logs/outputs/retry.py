"""Retries for an output that cannot be written: logged once, tried again, and logged once when it works
again."""

from __future__ import annotations

from threading import Event
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cbox_init.logs.daemon import DaemonLog

_FIRST_S = 0.1
_LONGEST_S = 5.0
_CALM_S = 30.0
_FAREWELL_S = 5.0
_LONGEST_WAIT_S = 60.0


class Retry:
    """The pauses between tries of one destination, and its current error.

    The pauses grow, also when it works for a moment in between, so that an output that comes and goes is
    not logged each time.
    """

    def __init__(self, log: DaemonLog, target: str) -> None:
        self.error: str | None = None
        self._log = log
        self._target = target
        self._pause_s = _FIRST_S
        self._failed_at = -_CALM_S
        self._refusal: str | None = None
        self._hurry = Event()
        self._until: float | None = None

    @property
    def given_up(self) -> bool:
        """Whether to stop trying: no route leads here any more, and the time to write what was queued is
        over."""
        return self._until is not None and monotonic() >= self._until

    def wait(self, error: str, *, at_least_s: float = 0.0) -> None:
        """Log what is wrong, if it is not known yet, and wait before the next try."""
        if self.error is None:
            self._log.error("Log output cannot be written", output=self._target, error=error)
        self.error = error
        calm = monotonic() - self._failed_at > _CALM_S
        pause_s = self._pause_s = _FIRST_S if calm else min(2 * self._pause_s, _LONGEST_S)
        self._hurry.wait(min(max(pause_s, at_least_s), _LONGEST_WAIT_S))
        self._hurry.clear()
        self._failed_at = monotonic()

    def over(self) -> None:
        """Note that it was written."""
        if self.error is not None:
            self.error = None
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
