"""The last lines of a process, bounded in bytes."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from cbox_init.logs.record import Block  # noqa: TC001  # a field of a Struct

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cbox_init.logs.filter import LogFilter, TextSearch

RING_BYTES: Final = 256 * 1024
"""Memory of one process's ring, where nothing else is configured."""

_ENTRY_BYTES: Final = 96
"""What the number of a block costs, and the object that holds it."""


class NumberedBlock(Struct, gc=False):
    """A block with its number: the blocks of all processes are numbered as they come, from 1.

    Rings and readers share it, so that a block's lines are counted once, whoever asks. ``found`` is the last
    search in it, and how many lines that has found.
    """

    number: int
    block: Block
    found: tuple[TextSearch, int] | None = None
    _length: int = -1

    def __len__(self) -> int:
        """Number of records."""
        if self._length < 0:
            self._length = len(self.block)
        return self._length

    @property
    def size(self) -> int:
        """Bytes of memory."""
        return self.block.size + _ENTRY_BYTES

    def count(self, chosen: LogFilter) -> int:
        """How many lines are wanted, where the block may have some."""
        if chosen.text is None:
            return len(self)
        if self.found is None or self.found[0] != chosen.text:
            self.found = (chosen.text, chosen.count(self.block))
        return self.found[1]


class LogRing:
    """Keeps whole blocks in the order of their arrival and lets go of the oldest."""

    __slots__ = ("_entries", "_size", "gone", "limit")

    def __init__(self, limit: int = RING_BYTES) -> None:
        self.limit = limit
        """Bytes of memory that it may take."""
        self.gone = 0
        """The number of the last block that it has let go of; 0 when it has everything."""
        self._entries: deque[NumberedBlock] = deque()
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes of memory that count against the limit."""
        return self._size

    @property
    def newest(self) -> int:
        """The number of the last block that came; 0 when none has come."""
        return self._entries[-1].number if self._entries else self.gone

    def append(self, entry: NumberedBlock) -> None:
        self._entries.append(entry)
        self._size += entry.size
        if self._size > self.limit:
            self._let_go()

    def resize(self, limit: int) -> None:
        """Keep so many bytes from now on."""
        self.limit = limit
        self._let_go()

    def entries(self) -> tuple[NumberedBlock, ...]:
        """What there is now, oldest first."""
        return tuple(self._entries)

    def newest_first(self) -> Iterator[Block]:
        return (entry.block for entry in reversed(self._entries))

    def _let_go(self) -> None:
        while self._size > self.limit:
            oldest = self._entries.popleft()
            self._size -= oldest.size
            self.gone = oldest.number
