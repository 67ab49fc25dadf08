"""Writes a pattern's tree as an expression of Python's ``re``, over text.

There are two of each. One is for a record by itself. The other is for many lines at once, each of them a
record: there no set holds the newline, and the ends of the record are those of the line, so that no match
goes from one line into another.
"""

from __future__ import annotations

from re import escape
from typing import TYPE_CHECKING, Final

from cbox_init.patterns.sets import ANY
from cbox_init.patterns.tree import LAST, Alt, Anchor, Cat, Group, Repeat, Set, Where, complement, without

if TYPE_CHECKING:
    from cbox_init.patterns.tree import Node, Ranges

_NEWLINE: Final = 10
_NEVER: Final = "(?!)"
_ANCHORS: Final = {
    Where.START: r"\A",
    Where.END: r"\Z",
    Where.LINE_START: "(?m:^)",
    Where.LINE_END: "(?m:$)",
    Where.WORD: r"(?a:\b)",
    Where.INSIDE: r"(?a:\B)",
}
_OF_LINES: Final = {**_ANCHORS, Where.START: "(?m:^)", Where.END: "(?m:$)"}


def rendered(node: Node, *, lines: bool) -> str:
    """The expression for ``node``: over ``lines``, or over one record."""
    match node:
        case Set():
            return _set(without(node.ranges, _NEWLINE) if lines else node.ranges)
        case Anchor():
            return (_OF_LINES if lines else _ANCHORS)[node.where]
        case Cat():
            texts = (rendered(item, lines=lines) for item in node.items)
            return "".join(
                f"(?:{text})" if isinstance(item, Alt) else text
                for item, text in zip(node.items, texts, strict=True)
            )
        case Alt():
            return "|".join(rendered(branch, lines=lines) for branch in node.branches)
        case Group():
            return f"({rendered(node.item, lines=lines)})"
        case Repeat():
            lazy = "" if node.greedy else "?"
            return f"{_item(node.item, lines=lines)}{_times(node.least, node.most)}{lazy}"


def _item(node: Node, *, lines: bool) -> str:
    text = rendered(node, lines=lines)
    return text if isinstance(node, Set | Group) else f"(?:{text})"


def _times(least: int, most: int | None) -> str:
    known = {(0, None): "*", (1, None): "+", (0, 1): "?"}.get((least, most))
    if known is not None:
        return known
    return f"{{{least}}}" if least == most else f"{{{least},{'' if most is None else most}}}"


def _set(ranges: Ranges) -> str:
    if not ranges:
        return _NEVER
    if len(ranges) == 1 and ranges[0][0] == ranges[0][1]:
        return _character(ranges[0][0])
    if ranges == ANY:
        return "(?s:.)"
    if ranges[-1][1] == LAST:
        return f"[^{_ranges(complement(ranges))}]"  # so it compiles a hundred times as fast
    return f"[{_ranges(ranges)}]"


def _ranges(ranges: Ranges) -> str:
    return "".join(_range(low, high) for low, high in ranges)


def _range(low: int, high: int) -> str:
    return _character(low) if low == high else f"{_character(low)}-{_character(high)}"


def _character(code: int) -> str:
    if 0x20 < code < 0x7F:
        letter = chr(code)
        return escape(letter) if letter.isalnum() else f"\\{letter}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\U{code:08x}"
