"""Words whose values are secret: patterns that mask them in `key=value`, `key: value`, JSON and URLs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from cbox_init.patterns.builtin import BuiltinPattern

if TYPE_CHECKING:
    from collections.abc import Sequence

_WORD: Final = re.compile(r"[\w.-]+")


def is_word(text: str) -> bool:
    """Whether ``text`` is meant as a word: it has nothing but letters, digits, ``_``, ``-`` and ``.``."""
    return _WORD.fullmatch(text) is not None


def word_patterns(words: Sequence[str]) -> tuple[BuiltinPattern, ...]:
    """What masks the values of keys that end with one of ``words``, in either case.

    A value in quotes keeps them, so that JSON stays JSON; a number or a word of JSON becomes a text.
    """
    if not words:
        return ()
    key = f"(?:{'|'.join(re.escape(word) for word in words)})"
    to = rf"(?i)({key}(?:\\?[\"'])?\s{{0,8}}[:=]\s{{0,8}}"
    return (
        BuiltinPattern(rf"{to}\")(?:[^\"\\]|\\.)*", "${1}{mask}"),
        BuiltinPattern(rf"{to}\\\")(?:[^\"\\]|\\[^\"])*", "${1}{mask}"),
        BuiltinPattern(rf"{to}')(?:[^'\\]|\\.)*", "${1}{mask}"),
        BuiltinPattern(
            rf'(?i)({key}"\s{{0,8}}:\s{{0,8}})(?:-?[0-9][0-9.e+-]*|true|false|null)([\s,}}\]]|$)',
            '${1}"{mask}"${2}',
        ),
        BuiltinPattern(
            rf"{to})(?:(?:bearer|basic|token|digest)\s{{1,8}})?[^\s&,;\"'\\<>)}}\]]+",
            "${1}{mask}",
        ),
    )
