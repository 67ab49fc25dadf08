"""What a line of a log looks like to a person. Pure: values in, cells out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, Self
from zlib import crc32

from cbox_init.cli.table import Cell
from cbox_init.cli.words import to_milliseconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cbox_init.client import LogEntry

_LEVEL_STYLES = {"debug": "dim", "warn": "yellow", "error": "red"}
_FOUND_STYLE = "bold black on yellow"

# Those of the levels are not among them.
_PROCESS_STYLES = (
    *("cyan", "green", "magenta", "blue"),
    *("bright_cyan", "bright_green", "bright_magenta", "bright_blue"),
)


class Look(NamedTuple):
    """How lines are shown: with their time or without, and which text is marked in them."""

    timestamps: bool = True
    marked: re.Pattern[str] | None = None

    @classmethod
    def of(cls, *, timestamps: bool, text: str | None, ignore_case: bool) -> Self:
        marked = re.compile(re.escape(text), re.IGNORECASE if ignore_case else 0) if text else None
        return cls(timestamps, marked)


def log_line(entry: LogEntry, look: Look) -> list[Cell]:
    """One line of a log: when, which instance, how grave, what. A process has the same colour always."""
    cells = [Cell(f"{to_milliseconds(entry.timestamp)} ", "dim")] if look.timestamps else []
    return [
        *cells,
        Cell(f"{entry.instance} ", process_style(entry.process)),
        Cell(f"{entry.level.upper():5} ", _LEVEL_STYLES.get(entry.level, "")),
        *([Cell(entry.message)] if look.marked is None else _marked(entry.message, look.marked)),
    ]


def process_style(name: str) -> str:
    """The colour of a process: it follows from its name alone."""
    return _PROCESS_STYLES[crc32(name.encode(errors="replace")) % len(_PROCESS_STYLES)]


def _marked(message: str, pattern: re.Pattern[str]) -> Iterator[Cell]:
    end = 0
    for found in pattern.finditer(message):
        yield Cell(message[end : found.start()])
        yield Cell(found[0], _FOUND_STYLE)
        end = found.end()
    yield Cell(message[end:])
