"""Finds the level of records that have none yet."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from cbox_init.config.levels import level_of_word
from cbox_init.config.model.enums import LogLevel
from cbox_init.logs.stages.batch import LineBatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cbox_init.logs.stages.finder import Finder

_CAPITALS: Final = (
    "ERROR|ERR|FATAL|CRITICAL|CRIT|ALERT|EMERGENCY|EMERG|PANIC|SEVERE|WARNING|WARN|INFO|NOTICE|DEBUG|TRACE"
)
_EITHER: Final = f"{_CAPITALS}|{_CAPITALS.lower()}"

#: Where programs write their level. Each begins with a character that is quickly found, or its lines are few:
#: one expression for all of them would take five times as long.
_PLACES: Final = (
    # A word in capitals.
    rf"({_CAPITALS})(?![A-Za-z0-9_])",
    # In brackets.
    rf"\[({_EITHER})\]",
    # level=error, "severity": "error".
    rf"(?:level|lvl|severity|LEVEL)(?:_?name)?\\?[\"']?[=:] ?\\?[\"']?({_EITHER})(?![A-Za-z0-9_])",
    # At the beginning, with a colon.
    rf"\n({_EITHER}|[Ee]rror|[Ww]arning|[Ff]atal|PHP (?:Fatal|Parse) error|PHP Warning|[Pp]anic):",
)
_MARKS: Final = ("level", "lvl", "severity", "LEVEL")
_PHRASES: Final = {
    "PHP Fatal error": LogLevel.ERROR,
    "PHP Parse error": LogLevel.ERROR,
    "PHP Warning": LogLevel.WARN,
}
_LEVELS: Final = _PHRASES | {
    form: level_of_word(word) or LogLevel.INFO
    for word in _CAPITALS.split("|")
    for form in (word, word.lower(), word.capitalize())
}


class BuiltinLevels:
    """The built-in detection, used without patterns in the configuration. The first level in a line
    counts."""

    def __init__(self) -> None:
        self._capitals, self._brackets, self._members, self._beginning = map(re.compile, _PLACES)

    def lines(self, text: str) -> dict[int, LogLevel]:
        """The level of each line that has one, by the start of the line."""
        text = f"\n{text}"  # so that every line begins behind a newline
        first: dict[int, tuple[int, LogLevel]] = {}
        for pattern in self._patterns(text):
            search = pattern.search
            match = search(text)
            while match is not None:
                place = match.start(1)
                if pattern is self._capitals and (text[place - 1].isalnum() or text[place - 1] == "_"):
                    match = search(text, place + 1)
                    continue
                start = text.rfind("\n", 0, place)
                if start not in first or place < first[start][0]:
                    first[start] = (place, _LEVELS[match[1]])
                end = text.find("\n", place)
                match = search(text, end) if end >= 0 else None
        return {start: level for start, (_, level) in first.items()}

    def record(self, text: str) -> LogLevel | None:
        """The first level in a record, None when there is none."""
        found = self.lines(text)
        return found[min(found)] if found else None

    def _patterns(self, text: str) -> Sequence[re.Pattern[str]]:
        marked = (self._members,) if any(mark in text for mark in _MARKS) else ()
        return (self._capitals, self._brackets, *marked, self._beginning)


class PatternLevels:
    """Detection by the configuration's patterns: of those that match, the most serious level counts."""

    def __init__(self, finders: Sequence[tuple[LogLevel, Finder]]) -> None:
        self._finders = sorted(finders, key=lambda one: -one[0].rank)

    def lines(self, text: str) -> dict[int, LogLevel]:
        found: dict[int, LogLevel] = {}
        for level, finder in self._finders:
            for start in finder.lines(text):
                found.setdefault(start, level)
        return found

    def record(self, text: str) -> LogLevel | None:
        return next((level for level, finder in self._finders if finder.matches(text)), None)


class LevelDetection:
    """Gives each record a level; ``default`` when no pattern matches."""

    key: Final = "level_detection"

    def __init__(self, levels: BuiltinLevels | PatternLevels, default: LogLevel) -> None:
        self._levels = levels
        self._default = default

    def __call__(self, batch: LineBatch) -> list[LineBatch]:
        if batch.level is not None:
            return [batch]
        if batch.single:
            return [batch.with_level(self._levels.record(batch.text) or self._default)]
        found = self._levels.lines(batch.text)
        if not found:
            return [batch.with_level(self._default)]
        levels = set(found.values())
        if len(levels) == 1 and len(found) == len(batch):
            return [batch.with_level(levels.pop())]
        return self._split(batch, found)

    def _split(self, batch: LineBatch, found: dict[int, LogLevel]) -> list[LineBatch]:
        """A batch for each run of lines of one level."""
        text, batches = batch.text, []
        begin = at = 0
        current: LogLevel | None = None
        while True:
            level = found.get(at, self._default)
            if current is not None and level is not current:
                batches.append(LineBatch(text[begin : at - 1], batch.time_ns, level=current))
                begin = at
            current = level
            at = text.find("\n", at) + 1
            if not at:
                batches.append(LineBatch(text[begin:], batch.time_ns, level=current))
                return batches
