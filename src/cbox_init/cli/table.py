"""Cells of text in columns. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

_GAP = "  "


class Cell(NamedTuple):
    """A text and, where it has a meaning, its colour (a style of rich)."""

    text: str
    style: str = ""


def table_lines(header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> list[list[Cell]]:
    """The rows under their header, each column as wide as its widest cell, without blanks at the end."""
    lines = [[Cell(title, "bold") for title in header], *rows]
    widths = [max(len(cell.text) for cell in column) for column in zip(*lines, strict=True)]
    return [_padded(line, widths) for line in lines]


def _padded(line: Sequence[Cell], widths: Sequence[int]) -> list[Cell]:
    last = max((index for index, cell in enumerate(line) if cell.text), default=0)
    cells = [
        Cell(cell.text.ljust(width) + _GAP, cell.style)
        for cell, width in zip(line[:last], widths, strict=False)
    ]
    return [*cells, line[last]]
