"""The last lines of a process, limited in bytes."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from cbox_init.logs.record import Block  # noqa: TC001  # a field of a Struct

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cbox_init.logs.filter import LogFilter, TextSearch

RING_BYTES: Final = 256 * 1024
"""The default size of one process's ring, in bytes."""

_ENTRY_BYTES: Final = 96
"""Memory for the number of a block and the object that holds it."""


class NumberedBlock(Struct, gc=False):
    """A block with its number. The blocks of all processes are numbered in the order in which they come,
    from 1.

    Rings and subscriptions share it, so that the lines of a block are counted once. ``found`` is the last
    search in it and its number of matches, None when that is not known.
    """

    number: int
    block: Block
    found: tuple[TextSearch, int | None] | None = None
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

    def count(self, chosen: LogFilter) -> int | None:
        """How many lines match ``chosen``, for a block that ``chosen.may_take`` accepts; None when that is
        not known soon."""
        if chosen.text is None:
            return len(self)
        if self.found is None or self.found[0] != chosen.text:
            self.found = (chosen.text, chosen.count(self.block))
        return self.found[1]


class LogRing:
    """Keeps the latest blocks, whole, and drops the oldest."""

    __slots__ = ("_entries", "_size", "gone", "limit")

    def __init__(self, limit: int = RING_BYTES) -> None:
        self.limit = limit
        """The limit, in bytes of memory."""
        self.gone = 0
        """The number of the last dropped block; 0 when none was dropped."""
        self._entries: deque[NumberedBlock] = deque()
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes of memory in use."""
        return self._size

    @property
    def newest(self) -> int:
        """The number of the latest block; 0 when there was none."""
        return self._entries[-1].number if self._entries else self.gone

    def append(self, entry: NumberedBlock) -> None:
        self._entries.append(entry)
        self._size += entry.size
        if self._size > self.limit:
            self._let_go()

    def resize(self, limit: int) -> None:
        """Change the limit."""
        self.limit = limit
        self._let_go()

    def entries(self) -> tuple[NumberedBlock, ...]:
        """The blocks that are kept now, oldest first."""
        return tuple(self._entries)

    def newest_first(self) -> Iterator[Block]:
        return (entry.block for entry in reversed(self._entries))

    def _let_go(self) -> None:
        while self._size > self.limit:
            oldest = self._entries.popleft()
            self._size -= oldest.size
            self.gone = oldest.number
