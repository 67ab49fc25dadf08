"""Limits the time of a search: Python's ``re`` has no timeout, but a signal can stop it.

``re`` handles signals while it searches, and a handler that raises ends the search. The timer counts CPU
time of this process, so that a busy machine changes nothing. Only the main thread gets signals; in others
there is no limit.
"""

from __future__ import annotations

import signal
import threading
from time import monotonic, thread_time
from typing import TYPE_CHECKING, Final, TypeVar

from cbox_init.logs.framing import LINE_LIMIT

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterator
    from types import FrameType

T = TypeVar("T")

LIMIT_S: Final = 0.012
"""CPU time for one stage and one block or record, in seconds. A block of usual lines takes a tenth of it."""

LONGEST: Final = 2 * LINE_LIMIT
"""The longest record that is searched, in characters, while none was too slow: the longest there is."""

_RECOVERY_S: Final = 60.0
_FIRST_AGAIN: Final = 64
_COOLING_S: Final = 0.1

_USUAL_S: Final = 0.25e-6
"""CPU time of a search for each character that is usual at most; a simple pattern takes a tenth of it."""

_MOST_EXCESS_S: Final = 0.02
"""How much longer than usual the searches of a stage may take, one after another."""

_MOST_OF_BLOCK_S: Final = 0.016
"""How much longer than usual those of all stages of a process may take in one block that was read. A search
that has begun by then may use up its own limit, and the kernel's timer is 4 ms late: below 40 ms in all."""

_WINDOWS: Final = (512, 2048, 8192, 32768)
_WINDOW_S: Final = 0.001

#: Characters of short lines that are searched together where a whole block cannot be.
_PIECE: Final = 4096


class TooSlow(Exception):
    """A search was stopped because it took too long."""


class BlockSpent(TooSlow):
    """The stages of a process have used up what they may take in one block."""


class BlockBudget:
    """What all stages of one process may take in one block; a turn of the event loop waits for it."""

    __slots__ = ("_excess_s",)

    def __init__(self) -> None:
        self._excess_s = 0.0

    def begin(self) -> None:
        """Another block begins."""
        self._excess_s = 0.0

    def check(self) -> None:
        """Raises BlockSpent when nothing is left."""
        if self._excess_s >= _MOST_OF_BLOCK_S:
            raise BlockSpent

    def add(self, excess_s: float) -> None:
        """A search took this much longer than usual, or shorter."""
        self._excess_s = max(0.0, self._excess_s + excess_s)


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

    Python handles signals only now and then within one attempt at a match. A repeat of single characters
    takes the square of the record's length without any: ten seconds for 64 KiB. So a long record is searched
    in windows first, each size four times that of the one before, until a window takes too long.

    A record that was too slow lowers the length of records that are searched to a sixteenth, and for a tenth
    of a second no other is searched but the shortest, so that all of them together cost little more than the
    first; each minute without a slow one quadruples the length.
    """

    __slots__ = ("_alarm", "_budget", "_excess_s", "_longest", "_on_slow", "_slow_at")

    def __init__(self, alarm: SearchTimer, on_slow: Callable[[], None], budget: BlockBudget) -> None:
        """``on_slow`` is called each time a record was not searched completely."""
        self._alarm = alarm
        self._budget = budget
        self._on_slow = on_slow
        self._longest = LONGEST
        self._slow_at = 0.0
        self._excess_s = 0.0

    def block(self, search: Callable[[str], T], text: str, probe: re.Pattern[str] | None = None) -> T:
        """``search`` in many records. Raises TooSlow; then search each by itself."""
        most = self._longest if probe is None else min(self._longest, _WINDOWS[0])
        if len(text) > most and max(map(len, text.split("\n"))) > most:
            raise TooSlow
        return self._timed(search, text)

    def record(
        self, search: Callable[[str], T], text: str, otherwise: T, probe: re.Pattern[str] | None = None
    ) -> T:
        """``search`` in one record; ``otherwise`` when it takes too long.

        ``probe`` is the expression that ``search`` looks for, None when its time is that of the length.
        """
        longest = self._longest if self._longest == LONGEST else self._recover()
        if len(text) <= longest:
            try:
                if probe is not None and len(text) > _WINDOWS[0]:
                    return self._timed(lambda text: _by_windows(search, text, probe), text)
                return self._timed(search, text)
            except BlockSpent:  # by other stages, or by other records
                pass
            except TooSlow:
                self._longest = min(self._longest, len(text)) // 16
                self._slow_at = monotonic()
                self._excess_s = 0.0
        self._on_slow()
        return otherwise

    def _timed(self, search: Callable[[str], T], text: str) -> T:
        """``search`` within the time limit, and within what all of them may take. Raises TooSlow."""
        if self._excess_s > _MOST_EXCESS_S:
            raise TooSlow
        self._budget.check()
        began = thread_time()
        try:
            return self._alarm.limited(search, text)
        finally:
            excess_s = thread_time() - began - len(text) * _USUAL_S - _USUAL_S * _WINDOWS[0]
            self._excess_s = max(0.0, self._excess_s + excess_s)
            self._budget.add(excess_s)

    def _recover(self) -> int:
        """The longest record that is searched now."""
        since_s = monotonic() - self._slow_at
        if since_s < _COOLING_S:
            return min(self._longest, _FIRST_AGAIN)
        if since_s >= _RECOVERY_S:
            self._longest = min(max(4 * self._longest, _FIRST_AGAIN), LONGEST)
            self._slow_at += since_s
        return self._longest


def pieces(text: str) -> Iterator[str]:
    """Lines that cannot be searched as one block in pieces: long lines by themselves, others together.

    A block can have 12,000 short lines beside a long one, and a search takes 5 µs before it begins.
    """
    start = end = 0
    for line in text.split("\n"):
        long = len(line) > _WINDOWS[0]
        if end > start and (long or end - start > _PIECE):
            yield text[start : end - 1]
            start = end
        end += len(line) + 1
        if long:
            yield line
            start = end
    if end > start:
        yield text[start : end - 1]


def _by_windows(search: Callable[[str], T], text: str, probe: re.Pattern[str]) -> T:
    """``search(text)``, after it has been found out that this does not take long. Raises TooSlow."""
    for size in _WINDOWS:
        if size >= len(text):
            break
        most_s = max(_WINDOW_S, size * _USUAL_S)
        for start in range(0, len(text), size):
            began = thread_time()
            for _ in probe.finditer(text, start, start + size):
                pass
            if thread_time() - began > most_s:
                raise TooSlow
    return search(text)
