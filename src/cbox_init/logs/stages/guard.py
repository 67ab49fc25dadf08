"""A limit on the time of a search: Python's ``re`` cannot be told to stop, but a signal can stop it.

``re`` lets signals through while it searches, and a handler that raises ends the search. The timer counts
the CPU time of this process, so that a machine that is busy with others changes nothing. Only the main thread
gets signals; elsewhere there is no limit.
"""

from __future__ import annotations

import signal
import threading
from time import monotonic
from typing import TYPE_CHECKING, Final, TypeVar

from cbox_init.logs.framing import LINE_LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

T = TypeVar("T")

LIMIT_S: Final = 0.1
"""CPU time for one stage and one block, in seconds. A block of plain lines takes a hundredth of it."""

LONGEST: Final = 2 * LINE_LIMIT
"""Characters of a record that is searched while none has been too slow: what a record can have."""

_RECOVERY_S: Final = 60.0
_FIRST_AGAIN: Final = 64


class TooSlow(Exception):
    """A search was given up."""


class SearchTimer:
    """The timer of the process and the handler of its signal: one for all guards, made in the main thread."""

    def __init__(self, limit_s: float = LIMIT_S) -> None:
        self._limit_s = limit_s
        self._armed = False
        self._usable = threading.current_thread() is threading.main_thread()
        if self._usable:
            signal.signal(signal.SIGVTALRM, self._ring)

    def limited(self, search: Callable[[str], T], text: str) -> T:
        """``search(text)``. Raises TooSlow."""
        if not self._usable:
            return search(text)
        signal.setitimer(signal.ITIMER_VIRTUAL, self._limit_s)
        try:
            self._armed = True
            return search(text)
        finally:
            self._armed = False
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)

    def _ring(self, signum: int, frame: FrameType | None) -> None:
        if self._armed:  # else the search was over in time
            self._armed = False
            raise TooSlow


class SearchGuard:
    """Runs searches that may not take long. For one stage of one process.

    Python looks for signals only within one try of a match, so that a long record of which each character
    begins a try is noticed late. Hence a record that was too slow halves the length of those that are tried,
    so that in all they cost little more than the first; with each minute without one the length doubles.
    """

    __slots__ = ("_alarm", "_longest", "_on_slow", "_slow_at")

    def __init__(self, alarm: SearchTimer, on_slow: Callable[[], None]) -> None:
        """``on_slow`` is called each time a record was not searched to its end."""
        self._alarm = alarm
        self._on_slow = on_slow
        self._longest = LONGEST
        self._slow_at = 0.0

    def block(self, search: Callable[[str], T], text: str) -> T:
        """``search`` over many records. Raises TooSlow; then each is to be searched by itself."""
        if len(text) > self._longest and max(map(len, text.split("\n"))) > self._longest:
            raise TooSlow
        return self._alarm.limited(search, text)

    def record(self, search: Callable[[str], T], text: str, otherwise: T) -> T:
        """``search`` over one record, and ``otherwise`` when that cannot be had in time."""
        if self._longest < LONGEST:
            self._recover()
        if len(text) <= self._longest:
            try:
                return self._alarm.limited(search, text)
            except TooSlow:
                self._longest = min(self._longest, len(text)) // 2
                self._slow_at = monotonic()
        self._on_slow()
        return otherwise

    def _recover(self) -> None:
        now = monotonic()
        if now - self._slow_at >= _RECOVERY_S:
            self._longest = max(2 * self._longest, _FIRST_AGAIN)
            self._slow_at = now
