"""The file's content before conversion, with the line of each key."""

from __future__ import annotations

from typing import Final, TypeAlias

#: What a YAML file or a JSON body holds. Scalars of a file are always their text, or None.
Raw: TypeAlias = "bool | int | float | str | list[Raw] | dict[str, Raw] | None"

#: The way from the root to a value: keys, and positions in lists.
Path: TypeAlias = tuple[str | int, ...]


#: The texts that YAML takes for null where they are not quoted.
NULLS: Final = frozenset(("", "~", "null", "Null", "NULL"))


class PlainText(str):
    """A scalar without quotes that refers to variables: with their values it may be null, or a list."""

    __slots__ = ()


class FlowText(str):
    """A `PlainText` that became a list or a mapping by its first sign: read so where a key takes one."""

    __slots__ = ()


class RawMap(dict[str, "Raw"]):
    """A mapping of the file; ``lines`` holds the line of each key, counted from 1."""

    __slots__ = ("lines",)

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, int] = {}


class RawList(list["Raw"]):
    """A list of the file; ``lines`` holds the line of each item, counted from 1."""

    __slots__ = ("lines",)

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[int] = []


def copied(raw: dict[str, Raw]) -> dict[str, Raw]:
    """A copy of one level, with its lines. Anchors share one mapping among several places of the file."""
    if not isinstance(raw, RawMap):
        return dict(raw)
    copy = RawMap()
    copy.update(raw)
    copy.lines = raw.lines
    return copy


def line_of(root: Raw, path: Path) -> int | None:
    """The line of the value at ``path``, or of what holds it where it is not in the file itself."""
    line: int | None = None
    value = root
    for step in path:
        if isinstance(value, RawMap) and isinstance(step, str) and step in value:
            line = value.lines.get(step, line)
            value = value[step]
        elif isinstance(value, RawList) and isinstance(step, int) and step < len(value):
            line = value.lines[step]
            value = value[step]
        else:
            break
    return line


def printable(text: str) -> str:
    """``text`` in one line of a report: line ends, control characters and stray bytes are escaped."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def path_text(path: Path) -> str:
    """``path`` as people write it, in one line: ``hooks.pre-start[0].command``."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return printable(text)


def kind_of(raw: Raw) -> str:
    """What ``raw`` is, for a message that must not show its value, which may be a secret."""
    if raw is None:
        return "nothing"
    if isinstance(raw, dict):
        return "a mapping"
    return "a list" if isinstance(raw, list) else "a single value"


def quoted(text: str) -> str:
    """The start of a text, in a message."""
    return repr(text if len(text) <= 40 else text[:37] + "...")


def scalar_text(raw: bool | float | str) -> str:
    """A scalar as the file would write it."""
    if isinstance(raw, bool):
        return "true" if raw else "false"
    return raw if isinstance(raw, str) else repr(raw)
