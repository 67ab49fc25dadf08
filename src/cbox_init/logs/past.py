"""What was written before: the rings of several processes as one log, and where a reader begins in it."""

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
    """The place before record ``line`` of block ``number``. Blocks are numbered from 1, records from 0.

    Destinations are ordered, over all processes, as the records came.
    """

    number: int
    line: int = 0


BEGINNING = Position(1)
"""The place before all that a run has to say."""


def name_of(position: Position, run: str) -> str:
    """The name of a place in the log of ``run``: no other place of any run has it."""
    return f"{run}-{position.number}-{position.line}"


def position_of(name: str, run: str) -> Position:
    """The place called ``name``; the beginning of ``run`` when that is the name of no place in it."""
    prefix, *numbers = name.split("-")
    if prefix != run or len(numbers) != 2 or not all(map(_is_number, numbers)):
        return BEGINNING
    return Position(*map(int, numbers))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER


class BlockSlice(NamedTuple):
    """The records of a block from ``start`` on."""

    entry: NumberedBlock
    start: int = 0


class Past(NamedTuple):
    """What some rings held at one moment.

    ``gone`` is the number of the last block that they had let go of by then, ``end`` the place where that
    begins which came later.
    """

    rings: tuple[tuple[NumberedBlock, ...], ...]
    gone: int
    end: Position

    def newest_first(self) -> Iterator[NumberedBlock]:
        """All blocks as one log, the last that came first."""
        if len(self.rings) == 1:
            return reversed(self.rings[0])
        return heapq.merge(*map(reversed, self.rings), key=attrgetter("number"), reverse=True)


class StartCollector:
    """Collects what a reader begins with, from blocks that are handed in newest first.

    That is everything from the place ``after`` on, or the last ``count`` wanted lines, or with both None
    everything wanted; no more of it than ``room`` bytes.
    """

    def __init__(
        self, chosen: LogFilter, *, room: int, after: Position | None = None, count: int | None = None
    ) -> None:
        self.cut = False
        """Whether there was more than fits."""
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
        """Take what is wanted of a block; False when nothing before it is."""
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
        """Where the lines begin that still count; None when the block has none."""
        assert self._left is not None
        if self._chosen.text is None:
            count = len(entry)
            first = max(0, count - self._left)
        else:
            lines = [index for index, _ in self._chosen.lines(entry.block)]
            if not lines:
                return None
            count = len(lines)
            first = lines[max(0, count - self._left)]
        self._left -= min(count, self._left)
        return first
