"""Standard output: colours only for a terminal, lines that a pipe takes at once, JSON for programs."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import TextIO

    from cbox_init.cli.table import Cell


class Output:
    """Where a command writes. rich is imported only when there is something to colour."""

    def __init__(self, stream: TextIO, environ: Mapping[str, str], *, colour: bool = True) -> None:
        self._stream = stream
        self._colour = colour and wants_colour(stream, environ)

    def lines(self, lines: Iterable[Sequence[Cell]]) -> None:
        """Write each line."""
        for line in lines:
            self.line(line)

    def line(self, cells: Sequence[Cell]) -> None:
        """Write one line made of ``cells``."""
        texts = (_painted(cell) if self._colour and cell.style else cell.text for cell in cells)
        self._stream.write("".join(texts) + "\n")

    def text(self, line: str) -> None:
        """Write one line without colours."""
        self._stream.write(line + "\n")

    def json(self, value: object) -> None:
        """Write ``value`` as JSON on a line of its own."""
        self._stream.write(msgspec.json.encode(value).decode() + "\n")

    def flush(self) -> None:
        """Hand over what is buffered, so that a reader sees it now."""
        self._stream.flush()


def stdout(*, colour: bool = True) -> Output:
    """The standard output of this process, without ``colour`` never in colours."""
    return Output(sys.stdout, os.environ, colour=colour)


def wants_colour(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """A terminal that can show colours and whose user did not refuse them (https://no-color.org)."""
    return stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def _painted(cell: Cell) -> str:
    # Style alone: rich's console would measure and wrap each line, 50 times the work for a line of a log.
    from rich.style import Style

    return Style.parse(cell.style).render(cell.text)
