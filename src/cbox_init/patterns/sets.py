"""The sets of characters that have names. As in Go, those of Perl and POSIX are ASCII."""

from __future__ import annotations

from functools import cache
from typing import Final

from cbox_init.patterns.tree import LAST, Ranges, complement


def _ranges(text: str) -> Ranges:
    """From pairs of ends, as in ``"09AZ"``."""
    return tuple((ord(low), ord(high)) for low, high in zip(text[::2], text[1::2], strict=True))


_DIGIT: Final = _ranges("09")
_WORD: Final = _ranges("09AZ__az")
_SPACE: Final = _ranges("\t\n\f\r  ")

PERL: Final = {
    "d": _DIGIT,
    "D": complement(_DIGIT),
    "w": _WORD,
    "W": complement(_WORD),
    "s": _SPACE,
    "S": complement(_SPACE),
}

POSIX: Final = {
    "alnum": _ranges("09AZaz"),
    "alpha": _ranges("AZaz"),
    "ascii": _ranges("\0\x7f"),
    "blank": _ranges("\t\t  "),
    "cntrl": _ranges("\0\x1f\x7f\x7f"),
    "digit": _DIGIT,
    "graph": _ranges("!~"),
    "lower": _ranges("az"),
    "print": _ranges(" ~"),
    "punct": _ranges("!/:@[`{~"),
    "space": _ranges("\t\r  "),
    "upper": _ranges("AZ"),
    "word": _WORD,
    "xdigit": _ranges("09AFaf"),
}

#: Everything, the newline as well.
ANY: Final[Ranges] = ((0, LAST),)

_ASSIGNED: Final = (range(0x32400), range(0xE0000, 0xE0200))
"""Where characters have categories; beyond are private ones (Co), to which \\p{Co} is not worth a search."""


def category(name: str) -> Ranges | None:
    """The characters of a category of Unicode such as ``L`` or ``Lu``, None where there is no such name.

    The search takes some 100 ms, once, and only for patterns that use one.
    """
    return ANY if name == "Any" else _categories().get(name)


@cache
def _categories() -> dict[str, Ranges]:
    from unicodedata import category as of

    found: dict[str, list[list[int]]] = {}
    for part in _ASSIGNED:
        for code in part:
            name = of(chr(code))
            for one in (name, name[0]):
                ranges = found.setdefault(one, [])
                if ranges and ranges[-1][1] == code - 1:
                    ranges[-1][1] = code
                else:
                    ranges.append([code, code])
    return {name: tuple((low, high) for low, high in ranges) for name, ranges in found.items()}
