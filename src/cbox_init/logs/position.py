"""Destinations in the log of one run of the daemon, and their names."""

from __future__ import annotations

from typing import NamedTuple

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
