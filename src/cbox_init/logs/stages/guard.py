"""Limits the time of a search: Python's ``re`` has no timeout, but a signal can stop it.

``re`` handles signals while it searches, and a handler that raises ends the search. The timer counts CPU
time of this process, so that a busy machine changes nothing. Only the main thread gets signals; in others
there is no limit.
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
"""CPU time for one stage and one block, in seconds. A block of usual lines takes a hundredth of it."""

LONGEST: Final = 2 * LINE_LIMIT
"""The longest record that is searched, in characters, while none was too slow: the longest there is."""

_RECOVERY_S: Final = 60.0
_FIRST_AGAIN: Final = 64


class TooSlow(Exception):
    """A search was stopped because it took too long."""


class SearchTimer:
    """The timer of the process and its signal handler: one for all guards, made in the main thread."""

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
        if self._armed:  # otherwise the search has ended in time
            self._armed = False
            raise TooSlow


class SearchGuard:
    """Runs searches of one stage of one process with a time limit.

    Python handles signals only between attempts at a match, so a long record in which each character
    begins an attempt is stopped late. Hence a record that was too slow halves the length of records that
    are searched, so that all of them together cost little more than the first; each minute without a slow
    one doubles it.
    """

    __slots__ = ("_alarm", "_longest", "_on_slow", "_slow_at")

    def __init__(self, alarm: SearchTimer, on_slow: Callable[[], None]) -> None:
        """``on_slow`` is called each time a record was not searched completely."""
        self._alarm = alarm
        self._on_slow = on_slow
        self._longest = LONGEST
        self._slow_at = 0.0

    def block(self, search: Callable[[str], T], text: str) -> T:
        """``search`` in many records. Raises TooSlow; then search each by itself."""
        if len(text) > self._longest and max(map(len, text.split("\n"))) > self._longest:
            raise TooSlow
        return self._alarm.limited(search, text)

    def record(self, search: Callable[[str], T], text: str, otherwise: T) -> T:
        """``search`` in one record; ``otherwise`` when it takes too long."""
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
