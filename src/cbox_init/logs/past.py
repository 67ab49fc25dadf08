"""What was written before: the rings of several processes as one log, and where a reader begins in it."""

from __future__ import annotations

import heapq
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cbox_init.logs.filter import LogFilter
    from cbox_init.logs.position import Position
    from cbox_init.logs.ring import Entry


class Part(NamedTuple):
    """The records of a block from ``start`` on."""

    entry: Entry
    start: int = 0


class Past(NamedTuple):
    """What some rings held at one moment.

    ``gone`` is the number of the last block that they had let go of by then, ``end`` the place where that
    begins which came later.
    """

    rings: tuple[tuple[Entry, ...], ...]
    gone: int
    end: Position

    def newest_first(self) -> Iterator[Entry]:
        """All blocks as one log, the last that came first."""
        if len(self.rings) == 1:
            return reversed(self.rings[0])
        return heapq.merge(*map(reversed, self.rings), key=attrgetter("number"), reverse=True)


class Start:
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
        self._parts: list[Part] = []

    @property
    def parts(self) -> list[Part]:
        """What was collected, oldest first."""
        return self._parts[::-1]

    def add(self, entry: Entry) -> bool:
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
        self._parts.append(Part(entry, start))
        return True

    def _first_of_last(self, entry: Entry) -> int | None:
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
