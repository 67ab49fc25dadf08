"""Draws what a terminal showed: text with colours on standard input, an SVG on standard output.

The picture in README.md is made from a real run of examples/image, as CONTRIBUTING.md says.
"""

from __future__ import annotations

import re
import sys
from html import escape

_CHARACTER, _LINE, _MARGIN = 8, 19, 16
_COLOURS = {
    2: "#8b949e",
    31: "#f97583",
    32: "#85e89d",
    33: "#ffdf5d",
    34: "#79b8ff",
    35: "#d2a8ff",
    36: "#76e3ea",
    90: "#8b949e",
}
_SEQUENCE = re.compile(r"\x1b\[([\d;]*)m")


def draw(text: str) -> str:
    """The picture of ``text``, in which SGR sequences set colours and bold."""
    lines = text.replace("\r", "").rstrip("\n").split("\n")
    columns = max(len(_SEQUENCE.sub("", line)) for line in lines)
    width, height = columns * _CHARACTER + 2 * _MARGIN, len(lines) * _LINE + 2 * _MARGIN
    rows = [_row(line, _MARGIN + (number + 0.75) * _LINE) for number, line in enumerate(lines)]
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
            'font-family="ui-monospace, Menlo, Consolas, DejaVu Sans Mono, monospace" font-size="13.3">',
            f'<rect width="{width}" height="{height}" rx="8" fill="#0d1117"/>',
            *rows,
            "</svg>\n",
        )
    )


def _row(line: str, y: float) -> str:
    """One line: a text for each run of one colour, put where its first character belongs."""
    parts: list[str] = []
    column, colour, bold = 0, "#e6edf3", False
    pieces = _SEQUENCE.split(line)
    for text, codes in zip(pieces[::2], [*pieces[1::2], ""], strict=True):
        if text.strip():
            x, length = _MARGIN + column * _CHARACTER, len(text) * _CHARACTER
            weight = ' font-weight="bold"' if bold else ""
            parts.append(
                f'<text xml:space="preserve" x="{x}" y="{y:g}" textLength="{length}" '
                f'fill="{colour}"{weight}>{escape(text)}</text>'
            )
        column += len(text)
        for code in map(int, filter(None, codes.split(";"))):
            if code == 0:
                colour, bold = "#e6edf3", False
            elif code == 1:
                bold = True
            else:
                colour = _COLOURS.get(code, colour)
    return "".join(parts)


if __name__ == "__main__":
    sys.stdout.write(draw(sys.stdin.read()))
