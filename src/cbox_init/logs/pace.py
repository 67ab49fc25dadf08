"""How much to read at once, and when to let more come together first. Pure.

One line a read costs some ten times as much as a line of a block: the wake-up, the read and the way of a
block are the same for one line and for a thousand. Two things follow. Where pipes are full again and again,
a read takes more. And where very many reads bring little each, as with hundreds of children that flush every
line, the reader rests for a moment, in which each of them writes more.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

READ_BYTES: Final = 24 * 1024
"""One read, as a rule. As JSON it becomes some 50 KB, and some 4 MB where all its lines are empty."""

FLOOD_READ_BYTES: Final = 64 * 1024
"""One read of a pipe that is full again and again: as much as a pipe holds."""

MOST_REST_S: Final = 0.05
"""How long the reader rests at most, in seconds: so late may a line be while there are very many."""

_FLOOD_READS: Final = 64
_SHORT_LINE: Final = 32

_WINDOW_S: Final = 0.01
_MANY_READS: Final = 20
_SMALL_BYTES: Final = 4096
_REST_FOR_WORK: Final = 5

# From malloc.h of glibc.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3

_KEPT_BYTES: Final = 4 * 1024 * 1024
_MAPPED_BYTES: Final = 2 * 1024 * 1024


class ReadSize:
    """How much is read at once of one stream, ``size`` in bytes: more in a flood, where ``may_grow``."""

    __slots__ = ("_full", "_may_grow", "size")

    def __init__(self, *, may_grow: bool = True) -> None:
        self.size = READ_BYTES
        self._may_grow = may_grow
        self._full = 0

    def grows(self, data: bytes) -> bool:
        """Whether a read that has brought ``data``, as much as was asked for, makes the next ones larger.

        They never are where lines are short: what is written around each would make a block very large.
        """
        self._full += 1
        if self._full != _FLOOD_READS or self.size == FLOOD_READ_BYTES or not self._may_grow:
            return False
        self._full = 0
        if data.count(b"\n") * _SHORT_LINE > len(data):
            return False
        self.size = FLOOD_READ_BYTES
        return True


class ReadPace:
    """Whether so many small reads come that the reader should rest, and for how long."""

    __slots__ = ("_busy_s", "_reads", "_since", "_size")

    def __init__(self) -> None:
        self._begin(0.0)

    def note(self, reads: int, size: int, began: float, ended: float) -> None:
        """So many reads, between these monotonic times, have brought ``size`` bytes in all."""
        if began - self._since > _WINDOW_S:
            self._begin(began)
        self._reads += reads
        self._size += size
        self._busy_s += ended - began

    def rest(self) -> float:
        """For how many seconds to rest now, before it begins anew; 0 to go on.

        It is 2,000 reads a second and more, of less than 4 KiB as a rule, that are worth a rest: below that,
        lines come as soon as they are written. A rest is some times as long as the work before it, so that
        such reads take no more than a sixth of a core, but for the longest rests.
        """
        if self._reads < _MANY_READS or self._size >= self._reads * _SMALL_BYTES:
            return 0.0
        rest_s = min(_REST_FOR_WORK * self._busy_s, MOST_REST_S)
        self._begin(0.0)
        return rest_s

    def _begin(self, now: float) -> None:
        self._since, self._busy_s, self._reads, self._size = now, 0.0, 0, 0


def keep_freed_memory() -> None:
    """Keep up to 4 MiB of freed memory rather than give it back at once, only to ask for it again.

    For a stream of blocks of some 100 KB: the kernel would have to clear each page of them each time, which
    is a third of all work. Does nothing where the C library has no such setting.
    """
    import ctypes  # 1.5 ms, and only where something floods

    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        libc.mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES)
