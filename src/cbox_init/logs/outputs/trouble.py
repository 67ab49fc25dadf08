"""An output that cannot be written for the moment: said once, tried again, and said once when it is over."""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cbox_init.logs.daemon import DaemonLog

_FIRST_S = 0.1
_LONGEST_S = 5.0


class Trouble:
    """For one target: its waits between two tries, which grow, and what is wrong with it at the moment."""

    def __init__(self, log: DaemonLog, target: str) -> None:
        self.given_up = False
        self.error: str | None = None
        self._log = log
        self._target = target
        self._pause_s = _FIRST_S
        self._hurry = Event()

    def wait(self, error: str, *, at_least_s: float = 0.0) -> None:
        """Say what is wrong, unless that is known, and wait before the next try."""
        if self.error is None:
            self._log.error("Log output cannot be written", output=self._target, error=error)
        self.error = error
        self._hurry.wait(max(self._pause_s, at_least_s))
        self._hurry.clear()
        self._pause_s = min(2 * self._pause_s, _LONGEST_S)

    def over(self) -> None:
        """It could be written."""
        self._pause_s = _FIRST_S
        if self.error is not None:
            self.error = None
            self._log.info("Log output can be written again", output=self._target)

    def hurry(self) -> None:
        """Try at once; from any thread."""
        self._hurry.set()

    def give_up(self) -> None:
        """Nobody wants it written any more; from any thread."""
        self.given_up = True
        self._hurry.set()

    def reject(self, error: str) -> None:
        """Say that records are lost since they are not wanted there, unless that is known."""
        if self.error is None:
            self._log.error("Log output refuses records", output=self._target, error=error)
        self.error = error
