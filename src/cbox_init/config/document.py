"""Reads YAML text into plain values, each scalar as the text that stands there.

YAML's own idea of types would turn a version 1.10 into 1.1, a mode 0755 into 493 and a country no into false;
here the key's type decides instead. Only null and the merge key ``<<`` are resolved.

The values are built from the parser's events rather than from its node tree: depth, aliases, duplicate keys
and lines are then under control, in one pass and in half the memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import yaml
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from yaml.reader import ReaderError

from cbox_init.config.problems import Problem, Severity
from cbox_init.config.raw import NULLS, PlainText, RawList, RawMap, path_text
from cbox_init.config.substitute import hidden_sign, hide_references, show_references

if TYPE_CHECKING:
    from collections.abc import Iterator

    from yaml.events import Event

    from cbox_init.config.raw import Path, Raw

#: Levels of nesting; the deepest key of the model is at eight.
_DEEPEST: Final = 64
#: Values that aliases may add to what the file spells out.
_MOST_ALIASED: Final = 100_000
#: Values that a file may have: 10,000 processes with 20 keys each, and as much again.
_MOST_VALUES: Final = 400_000

# The C parser is there in every wheel of PyYAML; without it the same events come from the slow one.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parse_document(text: str) -> tuple[Raw, list[Problem]]:
    """The first document of ``text``, and what is wrong with it.

    When the text cannot be read to its end, the value is None and the problem an error.
    """
    builder = _Builder()
    if (at := hidden_sign(text)) >= 0:
        return None, [
            _problem_at(text[:at], "not valid YAML: a Unicode noncharacter", "remove the character")
        ]
    try:
        return builder.build(_events(hide_references(text))), builder.problems
    except _UnreadableError as unreadable:
        return None, [*builder.problems, unreadable.problem]
    except ReaderError as error:
        before = text.encode()[: error.position].decode(errors="replace")
        return None, [_problem_at(before, f"not valid YAML: {error.reason}", "remove the character")]
    except yaml.YAMLError as error:
        return None, [*builder.problems, _syntax_problem(error, text)]


class _UnreadableError(Exception):
    """The document cannot be used at all."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class _OpenValue:
    """A mapping or list that is being filled."""

    __slots__ = ("anchor", "key", "key_line", "key_plain", "line", "merges", "size", "value")

    def __init__(self, value: RawMap | RawList, anchor: str | None, line: int) -> None:
        self.value = value
        self.anchor = anchor
        self.line = line
        self.size = 1
        self.key: str | None = None
        self.key_line = 0
        self.key_plain = False
        self.merges: list[RawMap] = []


class _Builder:
    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._stack: list[_OpenValue] = []
        self._anchors: dict[str, tuple[Raw, int]] = {}
        self._aliased = 0
        self._values = 0
        self._root: Raw = None

    def build(self, events: Iterator[Event]) -> Raw:
        for event in events:
            self._values += 1
            if self._values > _MOST_VALUES:
                hint = "divide it: one daemon runs fewer processes"
                raise self._unreadable(_line(event), f"more than {_MOST_VALUES} keys and values", hint)
            if isinstance(event, ScalarEvent):
                self._scalar(event)
            elif isinstance(event, MappingStartEvent):
                self._open(RawMap(), event)
            elif isinstance(event, SequenceStartEvent):
                self._open(RawList(), event)
            elif isinstance(event, MappingEndEvent | SequenceEndEvent):
                self._close()
            elif isinstance(event, AliasEvent):
                self._alias(event)
            elif isinstance(event, DocumentEndEvent):
                self._look_for_another(events)
                break
        return self._root

    def _scalar(self, event: ScalarEvent) -> None:
        text: str = event.value
        plain: bool = event.implicit[0]
        shown = show_references(text)
        if shown is not text:
            text = PlainText(shown) if plain else shown
        value = None if plain and text in NULLS else text
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, 1)
        if not self._take_key(text, plain, event):
            self._put(value, 1, _line(event))

    def _alias(self, event: AliasEvent) -> None:
        line = _line(event)
        if event.anchor not in self._anchors:
            if any(frame.anchor == event.anchor for frame in self._stack):
                raise self._unreadable(
                    line, f"the alias *{event.anchor} is inside its own anchor", "write the value in full"
                )
            raise self._unreadable(
                line, f"the alias *{event.anchor} has no anchor", f"write &{event.anchor} before its value"
            )
        value, size = self._anchors[event.anchor]
        self._aliased += size
        if self._aliased > _MOST_ALIASED:
            raise self._unreadable(
                line,
                f"aliases expand to more than {_MOST_ALIASED} values",
                "write the values in full, or use fewer aliases of aliases",
            )
        if isinstance(value, str) and self._take_key(value, False, event):
            return
        self._put(value, size, line)

    def _take_key(self, text: str, plain: bool, event: Event) -> bool:
        """Take the text as the key of the innermost mapping, if that waits for one; return whether it did."""
        if not self._stack:
            return False
        frame = self._stack[-1]
        if frame.key is not None or isinstance(frame.value, RawList):
            return False
        frame.key, frame.key_plain, frame.key_line = text, plain, _line(event)
        return True

    def _open(self, value: RawMap | RawList, event: MappingStartEvent | SequenceStartEvent) -> None:
        line = _line(event)
        if len(self._stack) >= _DEEPEST:
            raise self._unreadable(
                line, f"nested more than {_DEEPEST} levels deep", "close what is open before it"
            )
        if self._stack and self._stack[-1].key is None and isinstance(self._stack[-1].value, RawMap):
            raise self._unreadable(line, "a key must be text, not a list or a mapping", "write KEY: VALUE")
        if event.anchor is not None:
            self._anchors.pop(event.anchor, None)
        self._stack.append(_OpenValue(value, event.anchor, line))

    def _close(self) -> None:
        frame = self._stack.pop()
        value: Raw = frame.value
        if frame.merges:
            value = _merged(frame.merges, frame.value)
        if frame.anchor is not None:
            self._anchors[frame.anchor] = (value, frame.size)
        self._put(value, frame.size, frame.line)

    def _put(self, value: Raw, size: int, line: int) -> None:
        """Add a finished value to the mapping or list that contains it."""
        if not self._stack:
            self._root = value
            return
        frame = self._stack[-1]
        frame.size += size
        if isinstance(frame.value, RawList):
            frame.value.append(value)
            frame.value.lines.append(line)
            return
        key, frame.key = frame.key, None
        if key is None:
            raise self._unreadable(line, "a key must be text", "write KEY: VALUE")
        if key == "<<" and frame.key_plain:
            self._merge(frame, value)
        elif key in frame.value:
            first = frame.value.lines[key]
            self.problems.append(
                Problem(
                    field=path_text((*self._path()[:-1], key)),
                    message=f"the key occurs twice, on lines {first} and {frame.key_line}",
                    recommendation="remove one of them",
                    line=frame.key_line,
                )
            )
        else:
            frame.value[key] = value
            frame.value.lines[key] = frame.key_line

    def _merge(self, frame: _OpenValue, value: Raw) -> None:
        sources = value if isinstance(value, RawList) else [value]
        for source in sources:
            if not isinstance(source, RawMap):
                raise self._unreadable(
                    frame.key_line, "<< merges mappings only", "give it *anchor of a mapping"
                )
            frame.merges.append(source)

    def _look_for_another(self, events: Iterator[Event]) -> None:
        event = next(events)
        if isinstance(event, DocumentStartEvent):
            self.problems.append(
                Problem(
                    field="",
                    message="the file contains more than one YAML document; only the first is used",
                    recommendation="move the others into files of their own",
                    severity=Severity.WARNING,
                    line=_line(event),
                )
            )

    def _path(self) -> Path:
        """The path of what is being read."""
        return tuple(
            len(frame.value) if isinstance(frame.value, RawList) else frame.key or "" for frame in self._stack
        )

    def _unreadable(self, line: int, message: str, hint: str) -> _UnreadableError:
        field = path_text(self._path()[:_DEEPEST])
        return _UnreadableError(Problem(field=field[:200], message=message, recommendation=hint, line=line))


def _merged(sources: list[RawMap], own: RawMap | RawList) -> RawMap:
    """The mapping's own keys over those that it merges; an earlier source wins over a later one."""
    result = RawMap()
    assert isinstance(own, RawMap)
    for source in (*sources, own):
        override = source is own
        for key, value in source.items():
            if override or key not in result:
                result[key] = value
                result.lines[key] = source.lines[key]
    return result


def _problem_at(before: str, message: str, hint: str) -> Problem:
    return Problem(field="", message=message, recommendation=hint, line=before.count("\n") + 1)


def _line(event: Event) -> int:
    return event.start_mark.line + 1 if event.start_mark is not None else 0


def _events(text: str) -> Iterator[Event]:
    return yaml.parse(text, Loader=_LOADER)


def _syntax_problem(error: yaml.YAMLError, text: str) -> Problem:
    """What the parser did not understand, in one line."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    words = getattr(error, "problem", None) or str(error)
    line = mark.line + 1 if mark is not None else None
    hint = "check the indentation of this line and the one before, and quote values with : # { } [ ] or *"
    if mark is not None and _starts_with_tab(text, mark.line):
        words, hint = "a tab in the indentation", "indent with spaces"
    return Problem(
        field="", message=f"not valid YAML: {' '.join(words.split())}", recommendation=hint, line=line
    )


def _starts_with_tab(text: str, line: int) -> bool:
    lines = text.splitlines()
    if line >= len(lines):
        return False
    return "\t" in lines[line][: len(lines[line]) - len(lines[line].lstrip())]
