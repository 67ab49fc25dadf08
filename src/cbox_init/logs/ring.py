"""The last lines of a process, bounded in bytes."""

from __future__ import annotations

import heapq
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cbox_init.logs.levels import Level
    from cbox_init.logs.record import Block, Record

RING_BYTES = 256 * 1024
"""Memory of one process's ring."""

BLOCK_OVERHEAD = 160
"""What a block costs beyond its bytes: the objects around them and their place in the ring."""


class Ring:
    """Keeps whole blocks in the order of their arrival and lets go of the oldest."""

    __slots__ = ("_blocks", "_limit", "_size")

    def __init__(self, limit: int = RING_BYTES) -> None:
        self._blocks: deque[Block] = deque()
        self._limit = limit
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes of memory that count against the limit."""
        return self._size

    def append(self, block: Block) -> None:
        blocks = self._blocks
        blocks.append(block)
        self._size += len(block.data) + BLOCK_OVERHEAD
        while self._size > self._limit:
            self._size -= len(blocks.popleft().data) + BLOCK_OVERHEAD

    def newest_first(self) -> Iterator[Block]:
        return reversed(self._blocks)

    @property
    def newest_ns(self) -> int:
        """The time of the last block, 0 when there is none."""
        return self._blocks[-1].time_ns if self._blocks else 0


def latest(rings: Iterable[Ring], *, limit: int, newest_first: bool, min_level: Level | None) -> list[Record]:
    """The last ``limit`` records of all ``rings`` together; either order shows the same records."""
    if min_level is None:  # each ring has a record in its last block, so that no more rings can matter
        rings = heapq.nlargest(limit, rings, key=lambda ring: ring.newest_ns)
    blocks = heapq.merge(*(ring.newest_first() for ring in rings), key=lambda block: -block.time_ns)
    chosen = islice(
        (
            record
            for block in blocks
            if min_level is None or block.level >= min_level
            for record in block.records(newest_first=True)
        ),
        limit,
    )
    records = list(chosen)
    if not newest_first:
        records.reverse()
    return records
