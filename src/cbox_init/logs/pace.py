"""How much to read at once, and when to pause so that more comes together.

A read of one line costs some ten times as much as a line of a large block: the wake-up, the read and the
handling of a block cost the same for one line as for a thousand. So where pipes are full again and again,
reads become larger. Where very many reads are small, as with hundreds of children that flush every line,
the reader pauses for a moment in which each of them writes more.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

READ_BYTES: Final = 24 * 1024
"""The usual size of a read. Encoded as JSON it becomes some 50 KB, or some 4 MB where all lines are empty."""

FLOOD_READ_BYTES: Final = 64 * 1024
"""The size of a read of a pipe that is full again and again: what a pipe holds."""

MOST_REST_S: Final = 0.05
"""The longest pause of the reader, in seconds, and so the longest delay of a line by it."""

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
    """The size of reads of one stream: ``size`` in bytes, larger in a flood where ``may_grow``."""

    __slots__ = ("_full", "_may_grow", "size")

    def __init__(self, *, may_grow: bool = True) -> None:
        self.size = READ_BYTES
        self._may_grow = may_grow
        self._full = 0

    def grows(self, data: bytes) -> bool:
        """Note a read that returned ``data``, as much as was asked for. Returns whether later reads are
        larger.

        They never become larger where lines are short, since encoding such a block needs many times its
        size.
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
    """Decides whether reads are so frequent and small that the reader should pause, and how long."""

    __slots__ = ("_busy_s", "_reads", "_since", "_size")

    def __init__(self) -> None:
        self._begin(0.0)

    def note(self, reads: int, size: int, began: float, ended: float) -> None:
        """Note ``reads`` reads between these monotonic times, of ``size`` bytes in all."""
        if began - self._since > _WINDOW_S:
            self._begin(began)
        self._reads += reads
        self._size += size
        self._busy_s += ended - began

    def rest(self) -> float:
        """How many seconds to pause now; 0 for none. Starts another count after a pause.

        A pause is worth it from 2,000 reads a second on, of less than 4 KiB on average: below that, lines
        are read as soon as they are written. It is a multiple of the work before it, so that such reads
        take at most a sixth of a core, except during the longest pauses.
        """
        if self._reads < _MANY_READS or self._size >= self._reads * _SMALL_BYTES:
            return 0.0
        rest_s = min(_REST_FOR_WORK * self._busy_s, MOST_REST_S)
        self._begin(0.0)
        return rest_s

    def _begin(self, now: float) -> None:
        self._since, self._busy_s, self._reads, self._size = now, 0.0, 0, 0


def keep_freed_memory() -> None:
    """Make the C library keep up to 4 MiB of freed memory.

    For a stream of blocks of some 100 KB, memory would otherwise be given back to the kernel and cleared
    by it each time, which takes a third of the time. Does nothing where the C library has no such setting.
    """
    import ctypes  # 1.5 ms, and only where something floods

    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        libc.mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES)
