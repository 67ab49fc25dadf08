"""What a pattern is made of."""

from __future__ import annotations

from enum import Enum
from typing import Final

from msgspec import Struct

#: The last code point. Bytes that are not UTF-8 are code points too: lone surrogates (``surrogateescape``).
LAST: Final = 0x10FFFF

_FOLDED: Final = 512

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


def folded(ranges: Ranges) -> Ranges:
    """``ranges`` with each letter in both cases; large ranges beyond ASCII are left as they are."""
    pairs = [
        (ord(other), ord(other))
        for low, high in ranges
        for code in range(low, min(high, max(0x7F, low + _FOLDED)) + 1)
        for other in (chr(code).lower(), chr(code).upper())
        if len(other) == 1
    ]
    return union(ranges, tuple(pairs))


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
