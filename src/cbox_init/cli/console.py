"""Standard output of a command: text with colours for a terminal, tables, JSON for programs."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, NamedTuple

from click import style

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import TextIO

_GAP = "  "

#: What a terminal would act on: it could clear the screen, or write over what a line says before. Colours of
#: processes stay, tabs and line ends too.
_CONTROL = re.compile("(\x1b\\[[0-9;:]*m)|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class TextStyle(NamedTuple):
    """Colours by their names in click, and whether the text is bold or dim."""

    fg: str | None = None
    bg: str | None = None
    bold: bool | None = None
    dim: bool | None = None


BOLD = TextStyle(bold=True)
DIM = TextStyle(dim=True)


class Span(NamedTuple):
    """A part of a line, such as a cell of a table, with its style if it has one."""

    text: str
    style: TextStyle | None = None


class Console:
    """Writes the output of a command to ``stream``, with colours where they are wanted."""

    def __init__(self, stream: TextIO, environ: Mapping[str, str], *, colour: bool = True) -> None:
        self._stream = stream
        self._colour = colour and wants_colour(stream, environ)
        self.is_terminal = stream.isatty()

    def lines(self, lines: Iterable[Sequence[Span]]) -> None:
        """Write each line."""
        for line in lines:
            self.line(line)

    def line(self, spans: Sequence[Span]) -> None:
        """Write one line made of ``spans``."""
        shown = ((self._shown(text), how) for text, how in spans)
        texts = (style(text, **how._asdict()) if self._colour and how else text for text, how in shown)
        self._stream.write("".join(texts) + "\n")

    def text(self, line: str) -> None:
        """Write one line without colours."""
        self._stream.write(self._shown(line) + "\n")

    def json(self, value: object) -> None:
        """Write ``value`` as JSON on a line of its own."""
        from msgspec.json import encode

        self._stream.write(encode(value).decode() + "\n")

    def _shown(self, text: str) -> str:
        """``text`` without what a terminal would act on."""
        return _CONTROL.sub(_visible, text) if self.is_terminal and not text.isprintable() else text

    def flush(self) -> None:
        """Write what is buffered, so that a reader sees it now."""
        self._stream.flush()


def _visible(found: re.Match[str]) -> str:
    return found[1] or ascii(found[0])[1:-1]


def stdout(*, colour: bool = True) -> Console:
    """The standard output of this process; never in colours when ``colour`` is false."""
    return Console(sys.stdout, os.environ, colour=colour)


def wants_colour(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether this is a terminal that can show colours, and NO_COLOR is not set (https://no-color.org)."""
    return stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def table_lines(header: Sequence[str], rows: Sequence[Sequence[Span]]) -> list[list[Span]]:
    """The rows under their header, each column as wide as its widest cell, without blanks at the end."""
    lines = [[Span(title, BOLD) for title in header], *rows]
    widths = [max(len(cell.text) for cell in column) for column in zip(*lines, strict=True)]
    return [_padded(line, widths) for line in lines]


def _padded(line: Sequence[Span], widths: Sequence[int]) -> list[Span]:
    last = max((index for index, cell in enumerate(line) if cell.text), default=0)
    cells = [
        Span(cell.text.ljust(width) + _GAP, cell.style)
        for cell, width in zip(line[:last], widths, strict=False)
    ]
    return [*cells, line[last]]
