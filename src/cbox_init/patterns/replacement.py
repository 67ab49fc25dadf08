"""Replacements in Go's syntax: ``$1``, ``${1}``, ``$name``, ``${name}``, and ``$$`` for a dollar."""

from __future__ import annotations

from string import ascii_letters, digits
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_WORDS: Final = ascii_letters + digits + "_"


def template(replacement: str, groups: int, names: Mapping[str, int]) -> tuple[str, list[str]]:
    """``replacement`` for Python's ``re``, and the groups that it names though the pattern has none such.

    As in Go the longest name counts (``$1x`` is the group ``1x``), and an unknown one stands for nothing.
    """
    parts: list[str] = []
    unknown: list[str] = []
    rest = replacement
    while rest:
        before, dollar, rest = rest.partition("$")
        parts.append(before.replace("\\", r"\\"))
        if not dollar:
            break
        if rest.startswith("$"):
            parts.append("$")
            rest = rest[1:]
            continue
        name, rest = _name(rest)
        if name is None:
            parts.append("$")
            continue
        number = int(name[:6]) if name.isascii() and name.isdigit() else names.get(name)
        if number is None or number > groups:
            unknown.append(name)
        else:
            parts.append(rf"\g<{number}>")
    return "".join(parts), unknown


def _name(text: str) -> tuple[str | None, str]:
    """The name behind a dollar and what follows it; None when there is none."""
    if text.startswith("{"):
        name, brace, rest = text[1:].partition("}")
        if brace and name and not name.strip(_WORDS):
            return name, rest
        return None, text
    length = len(text) - len(text.lstrip(_WORDS))
    return (text[:length], text[length:]) if length else (None, text)
