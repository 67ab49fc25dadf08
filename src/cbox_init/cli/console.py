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
_LEAST_CUT = 12
"""The last column of a table keeps this width on the narrowest terminal."""

#: What a terminal would act on: it could clear the screen, or write over what a line says before, or show the
#: characters of a line in another order. Colours of processes stay, tabs and line ends too.
_CONTROL = re.compile(
    "(\x1b\\[[0-9;:]*m)|[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]"
)
_RESET = "\x1b[0m"


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
        self._stream.write(f"{self.rendered(spans)}\n")

    def rendered(self, spans: Sequence[Span]) -> str:
        """The text of one line, with its colours where they are wanted."""
        shown = [(self._shown(text), how) for text, how in spans]
        texts = (style(text, **how._asdict()) if self._colour and how else text for text, how in shown)
        # A colour that a process has turned on must not go on in the lines of others.
        coloured = self.is_terminal and any("\x1b[" in text for text, _ in shown)
        return "".join(texts) + (_RESET if coloured else "")

    def text(self, line: str) -> None:
        """Write one line without colours."""
        self._stream.write(self._shown(line) + "\n")

    def json(self, value: object) -> None:
        """Write ``value`` as JSON on a line of its own."""
        from msgspec.json import encode

        text = encode(value).decode()
        if self.is_terminal and not text.isprintable():
            text = _CONTROL.sub(_in_json, text)
        self._stream.write(text + "\n")

    def _shown(self, text: str) -> str:
        """``text`` without what a terminal would act on; without colours where they are not wanted."""
        if not self.is_terminal or text.isprintable():
            return text
        return _CONTROL.sub(_visible if self._colour else _visible_without_colour, text)

    @property
    def columns(self) -> int | None:
        """How wide the terminal is; None where the output is none."""
        return self.size[0] if self.is_terminal else None

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines of the terminal."""
        try:
            found = os.get_terminal_size(self._stream.fileno())
        except (OSError, ValueError):
            return 80, 24
        return found.columns or 80, found.lines or 24

    def write(self, text: str) -> None:
        """Write what the command itself has made for a terminal, as it is."""
        self._stream.write(text)

    def flush(self) -> None:
        """Write what is buffered, so that a reader sees it now."""
        self._stream.flush()


def _in_json(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def _visible_without_colour(found: re.Match[str]) -> str:
    return "" if found[1] else _visible(found)


def _visible(found: re.Match[str]) -> str:
    return found[1] or ascii(found[0])[1:-1]


def stdout(*, colour: bool = True) -> Console:
    """The standard output of this process; never in colours when ``colour`` is false."""
    return Console(sys.stdout, os.environ, colour=colour)


def wants_colour(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether this is a terminal that can show colours, and NO_COLOR is not set (https://no-color.org)."""
    return stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def table_lines(
    header: Sequence[str], rows: Sequence[Sequence[Span]], width: int | None = None
) -> list[list[Span]]:
    """The rows under their header, each column as wide as its widest cell, without blanks at the end.

    The last column is cut so that a line is not wider than ``width``.
    """
    lines = [[Span(title, BOLD) for title in header], *rows]
    widths = [max(_wide(cell.text) for cell in column) for column in zip(*lines, strict=True)]
    if width is not None and len(widths) > 1:
        most = max(_LEAST_CUT, width - sum(widths[:-1]) - len(_GAP) * (len(widths) - 1))
        lines = [[*line[:-1], Span(cut(line[-1].text, most), line[-1].style)] for line in lines]
    return [_padded(line, widths) for line in lines]


def fit(line: Sequence[Span], width: int) -> list[Span]:
    """The line, or its beginning, in at most ``width`` columns of a terminal."""
    kept: list[Span] = []
    for text, how in line:
        if width <= 0:
            break
        kept.append(Span(cut(text, width), how))
        width -= _wide(text)
    return kept


def cut(text: str, width: int) -> str:
    """The text, or its beginning with an ellipsis, in at most ``width`` columns of a terminal."""
    if _wide(text) <= width:
        return text
    kept, room = [], width - 1
    for one in text:
        room -= _wide(one)
        if room < 0:
            break
        kept.append(one)
    return "".join(kept) + "\N{HORIZONTAL ELLIPSIS}"


def _wide(text: str) -> int:
    """How many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(one) else 2 if east_asian_width(one) in "WF" else 1 for one in text)


def _padded(line: Sequence[Span], widths: Sequence[int]) -> list[Span]:
    last = max((index for index, cell in enumerate(line) if cell.text), default=0)
    cells = [
        Span(cell.text + " " * (width - _wide(cell.text)) + _GAP, cell.style)
        for cell, width in zip(line[:last], widths, strict=False)
    ]
    return [*cells, line[last]]
