"""Format lines of a log for people. Pure: values in, styled text out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, Self
from zlib import crc32

from cbox_init.cli.console import DIM, Span, TextStyle
from cbox_init.words import to_milliseconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cbox_init.client import LogEntry

_LEVEL_STYLES = {"debug": DIM, "warn": TextStyle("yellow"), "error": TextStyle("red")}
_FOUND_STYLE = TextStyle("black", "yellow", bold=True)

# The colours of the levels are not among them.
_PROCESS_COLOURS = (
    *("cyan", "green", "magenta", "blue"),
    *("bright_cyan", "bright_green", "bright_magenta", "bright_blue"),
)


class LineFormat(NamedTuple):
    """How lines are shown: with or without their time, and which text is marked in them."""

    timestamps: bool = True
    marked: re.Pattern[str] | None = None

    @classmethod
    def of(cls, *, timestamps: bool, text: str | None, ignore_case: bool) -> Self:
        marked = re.compile(re.escape(text), re.IGNORECASE if ignore_case else 0) if text else None
        return cls(timestamps, marked)


def log_line(entry: LogEntry, line_format: LineFormat) -> list[Span]:
    """One line of a log: time, instance, level, message. A process always has the same colour."""
    cells = [Span(f"{to_milliseconds(entry.timestamp)} ", DIM)] if line_format.timestamps else []
    return [
        *cells,
        Span(f"{entry.instance} ", process_style(entry.process)),
        Span(f"{entry.level.upper():5} ", _LEVEL_STYLES.get(entry.level)),
        *(
            [Span(entry.message)]
            if line_format.marked is None
            else _marked(entry.message, line_format.marked)
        ),
    ]


def process_style(name: str) -> TextStyle:
    """The colour of a process; it depends on its name alone."""
    return TextStyle(_PROCESS_COLOURS[crc32(name.encode(errors="replace")) % len(_PROCESS_COLOURS)])


def _marked(message: str, pattern: re.Pattern[str]) -> Iterator[Span]:
    end = 0
    for found in pattern.finditer(message):
        yield Span(message[end : found.start()])
        yield Span(found[0], _FOUND_STYLE)
        end = found.end()
    yield Span(message[end:])
