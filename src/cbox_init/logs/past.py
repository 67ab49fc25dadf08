"""Lines that were written before a client asks: the rings of several processes as one log, and positions
in it."""

from __future__ import annotations

import heapq
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cbox_init.logs.filter import LogFilter
    from cbox_init.logs.ring import NumberedBlock

_LONGEST_NUMBER = 18


class Position(NamedTuple):
    """The position before record ``line`` of block ``number``. Blocks are numbered from 1, records from 0.

    Positions are ordered as the records came, over all processes.
    """

    number: int
    line: int = 0


BEGINNING = Position(1)
"""The position before everything in a run."""


def name_of(position: Position, run: str) -> str:
    """The name of a position, unique among all positions of all runs."""
    return f"{run}-{position.number}-{position.line}"


def position_of(name: str, run: str) -> Position:
    """The position called ``name``; the beginning of ``run`` when it has no such position."""
    prefix, *numbers = name.split("-")
    if prefix != run or len(numbers) != 2 or not all(map(_is_number, numbers)):
        return BEGINNING
    return Position(*map(int, numbers))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER


class BlockSlice(NamedTuple):
    """The records of a block from index ``start`` on."""

    entry: NumberedBlock
    start: int = 0


class Past(NamedTuple):
    """What some rings held at one moment.

    ``gone`` is the number of the last block that they had dropped by then. ``end`` is the position of the
    first later line.
    """

    rings: tuple[tuple[NumberedBlock, ...], ...]
    gone: int
    end: Position

    def newest_first(self) -> Iterator[NumberedBlock]:
        """All blocks as one log, latest first."""
        if len(self.rings) == 1:
            return reversed(self.rings[0])
        return heapq.merge(*map(reversed, self.rings), key=attrgetter("number"), reverse=True)


class StartCollector:
    """Collects what a subscription starts with, from blocks that are added latest first.

    That is everything from the position ``after`` on, or the last ``count`` matching lines, or with both
    None all matching lines; never more than ``room`` bytes.
    """

    def __init__(
        self, chosen: LogFilter, *, room: int, after: Position | None = None, count: int | None = None
    ) -> None:
        self.cut = False
        """Whether something did not fit."""
        self._chosen = chosen
        self._room = room
        self._after = after
        self._left = count
        self._parts: list[BlockSlice] = []

    @property
    def parts(self) -> list[BlockSlice]:
        """What was collected, oldest first."""
        return self._parts[::-1]

    def add(self, entry: NumberedBlock) -> bool:
        """Add what matches in a block; False when no earlier block is needed."""
        after = self._after
        if self._left == 0 or (after is not None and entry.number < after.number):
            return False
        if not self._chosen.may_take(entry.block):
            return True
        start = after.line if after is not None and entry.number == after.number else 0
        if self._left is not None:
            first = self._first_of_last(entry)
            if first is None:
                return True
            start = first
        self._room -= entry.size
        if self._room < 0:
            self.cut = True
            return False
        self._parts.append(BlockSlice(entry, start))
        return True

    def _first_of_last(self, entry: NumberedBlock) -> int | None:
        """The index of the first line that still counts; None when the block has none."""
        assert self._left is not None
        if self._chosen.text is None:
            count = len(entry)
            first = max(0, count - self._left)
        else:
            lines = tuple(self._chosen.indexes(entry.block))
            if not lines:
                return None
            count = len(lines)
            first = lines[max(0, count - self._left)]
        self._left -= min(count, self._left)
        return first
