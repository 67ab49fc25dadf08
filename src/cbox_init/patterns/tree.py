"""What a pattern is made of."""

from __future__ import annotations

from enum import Enum
from functools import lru_cache
from typing import Final

from msgspec import Struct

from cbox_init.errors import PatternError

#: The last code point. Bytes that are not UTF-8 are code points too: lone surrogates (``surrogateescape``).
LAST: Final = 0x10FFFF

_FOLDED: Final = 512
_FEW: Final = 16

#: Steps that reading and examining one pattern may take: some 0.2 s.
MOST_STEPS: Final = 400_000
#: Characters and ranges of characters that one pattern may have, those of its sets included.
MOST_RANGES: Final = 25_000
#: Code points that count as one more range: compiling a set takes time for each.
CODES_A_RANGE: Final = 32
#: Steps that compiling takes for each range.
_STEPS_A_RANGE: Final = 10


class WorkBudget:
    """Limits the work that one pattern may cause before it is used."""

    __slots__ = ("_ranges", "_steps")

    def __init__(self) -> None:
        self._steps = MOST_STEPS
        self._ranges = MOST_RANGES

    @property
    def spent(self) -> int:
        """Steps up to now, with those that compiling will take."""
        return MOST_STEPS - self._steps + (MOST_RANGES - self._ranges) * _STEPS_A_RANGE

    def spend(self, steps: int) -> None:
        """Count ``steps``. Raises PatternError when they are more than are left."""
        self._steps -= steps
        if self._steps < 0:
            raise PatternError("is too complex: it has too many optional or repeated parts and alternatives")

    def add_set(self, ranges: Ranges) -> None:
        """Count a set of characters, as large as it is when compiled. Raises PatternError."""
        shown = complement(ranges) if ranges and ranges[-1][1] == LAST else ranges
        codes = sum(min(high, 0xFFFF) - low + 1 for low, high in shown if low <= 0xFFFF)
        self._ranges -= len(shown) + codes // CODES_A_RANGE
        if self._ranges < 0:
            raise PatternError("is too complex: it has too many sets of characters, or too large ones")


Ranges = tuple[tuple[int, int], ...]
"""A set of code points: ranges in rising order, both ends included."""


class Where(Enum):
    """What an anchor requires."""

    START = "the beginning of the record"
    END = "the end of the record"
    LINE_START = "the beginning of a line"
    LINE_END = "the end of a line"
    WORD = "the edge of a word"
    INSIDE = "no edge of a word"


class Set(Struct, frozen=True):
    """One character of a set."""

    ranges: Ranges


class Anchor(Struct, frozen=True):
    """A place, of no width."""

    where: Where


class Cat(Struct, frozen=True):
    """One after another."""

    items: tuple[Node, ...] = ()


class Alt(Struct, frozen=True):
    """One of these, the first that leads to a match."""

    branches: tuple[Node, ...]


class Repeat(Struct, frozen=True):
    """``least`` to ``most`` times (None: without limit). ``text`` is how the pattern has it."""

    item: Node
    least: int
    most: int | None
    greedy: bool
    text: str


class Group(Struct, frozen=True):
    """What a replacement can refer to. Groups are numbered in the order of their beginnings."""

    item: Node


Node = Set | Anchor | Cat | Alt | Repeat | Group


def may_backtrack(node: Node) -> bool:
    """Whether ``node`` repeats something so often that a search may take more than linear time."""
    match node:
        case Repeat():
            return node.most is None or node.most > _FEW or may_backtrack(node.item)
        case Group():
            return may_backtrack(node.item)
        case Cat():
            return any(map(may_backtrack, node.items))
        case Alt():
            return any(map(may_backtrack, node.branches))
        case _:
            return False


def union(*sets: Ranges) -> Ranges:
    """The set of what is in any of ``sets``."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(one for ranges in sets for one in ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def complement(ranges: Ranges) -> Ranges:
    """The set of what is not in ``ranges``, which are in order and apart."""
    found: list[tuple[int, int]] = []
    after = 0
    for low, high in ranges:
        if low > after:
            found.append((after, low - 1))
        after = high + 1
    if after <= LAST:
        found.append((after, LAST))
    return tuple(found)


@lru_cache(256)
def folded(ranges: Ranges) -> Ranges:
    """``ranges`` with each letter in both cases; large ranges beyond ASCII are left as they are."""
    pairs = [
        (ord(other), ord(other))
        for low, high in ranges
        for code in range(low, _last_folded(low, high) + 1)
        for other in (chr(code).lower(), chr(code).upper())
        if len(other) == 1
    ]
    return union(ranges, tuple(pairs))


def work_of_folding(ranges: Ranges) -> int:
    """The steps of `folded`."""
    return sum(_last_folded(low, high) - low + 1 for low, high in ranges)


def _last_folded(low: int, high: int) -> int:
    return min(high, max(0x7F, low + _FOLDED))


def without(ranges: Ranges, code: int) -> Ranges:
    """``ranges`` without one code point."""
    found: list[tuple[int, int]] = []
    for low, high in ranges:
        if not low <= code <= high:
            found.append((low, high))
            continue
        if low < code:
            found.append((low, code - 1))
        if code < high:
            found.append((code + 1, high))
    return tuple(found)
