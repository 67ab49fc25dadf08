"""Reads files of sections and ``key = value`` with the line of each key, which configparser does not keep.

The forms are those of supervisord and circus (`configparser.RawConfigParser`), and of systemd.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_SECTION = re.compile(r"\[(.+)\]")
_INLINE_COMMENT = re.compile(r"(?:^|\s)[;#]")


class IniEntry(NamedTuple):
    """One key, its value and its line. ``value`` is None where the line has no ``=``."""

    key: str
    value: str | None
    line: int


class IniSection(NamedTuple):
    """One section; the same name may come several times in a file."""

    name: str
    line: int
    entries: list[IniEntry]


def parse_ini(text: str) -> list[IniSection]:
    """The sections of a file as ``RawConfigParser(inline_comment_prefixes=(";", "#"), strict=False)`` has
    them: an indented line continues the value before it, keys are kept as they are written.

    What stands before the first section has the section "".
    """
    sections = [IniSection("", 0, [])]
    open_value: list[str] | None = None
    open_at = 0
    for number, raw in enumerate(_lines(text), 1):
        stripped = raw.strip()
        value = "" if stripped.startswith(("#", ";")) else _without_comment(raw)
        if not value.strip():
            if open_value is not None and not stripped:
                open_value.append("")
            continue
        indent = len(raw) - len(raw.lstrip())
        if open_value is not None and indent > open_at:
            open_value.append(value.strip())
            continue
        _close(sections, open_value)
        open_value = None
        if section := _SECTION.match(value.strip()):
            sections.append(IniSection(section[1], number, []))
            continue
        open_at = indent
        key, sign, first = _divided(value.strip())
        sections[-1].entries.append(IniEntry(key, None if not sign else "", number))
        if sign:
            open_value = [first]
    _close(sections, open_value)
    return sections


def parse_unit(text: str) -> list[IniSection]:
    """The sections of a unit of systemd: a backslash at its end continues a line, values have no comments."""
    sections = [IniSection("", 0, [])]
    started = 0
    joined = ""
    for number, raw in enumerate(_lines(text), 1):
        line = raw.strip()
        if line.startswith(("#", ";")):
            continue
        if not joined:
            started = number
        if raw.rstrip("\r").endswith("\\"):
            joined += raw.rstrip("\r")[:-1].strip() + " "
            continue
        line = joined + line
        joined = ""
        if line.strip():
            _add_unit_line(sections, line.strip(), started)
    if joined.strip():
        _add_unit_line(sections, joined.strip(), started)
    return sections


def _add_unit_line(sections: list[IniSection], line: str, number: int) -> None:
    if line.startswith("[") and line.endswith("]"):
        sections.append(IniSection(line[1:-1], number, []))
        return
    key, sign, value = line.partition("=")
    sections[-1].entries.append(IniEntry(key.strip(), value.strip() if sign else None, number))


def _lines(text: str) -> Iterator[str]:
    return (line.removesuffix("\r") for line in text.split("\n"))


def _without_comment(line: str) -> str:
    found = _INLINE_COMMENT.search(line)
    return line if found is None else line[: found.start()]


def _divided(line: str) -> tuple[str, str, str]:
    """Key, sign and value; the first of = and : divides."""
    at = min((place for sign in "=:" if (place := line.find(sign)) >= 0), default=-1)
    if at < 0:
        return line, "", ""
    return line[:at].strip(), line[at], line[at + 1 :].strip()


def _close(sections: list[IniSection], value: list[str] | None) -> None:
    if value is None:
        return
    entries = sections[-1].entries
    while value and not value[-1]:
        value.pop()
    entries[-1] = entries[-1]._replace(value="\n".join(value))
