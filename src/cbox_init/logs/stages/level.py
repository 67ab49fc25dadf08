"""Finds the level of records that have none yet."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from cbox_init.config.levels import level_of_word
from cbox_init.config.model.enums import LogLevel
from cbox_init.logs.stages.batch import LineBatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cbox_init.logs.stages.finder import Finder

_CAPITALS: Final = (
    "ERROR|ERR|FATAL|CRITICAL|CRIT|ALERT|EMERGENCY|EMERG|PANIC|SEVERE|WARNING|WARN|INFO|NOTICE|DEBUG|TRACE"
)
_EITHER: Final = f"{_CAPITALS}|{_CAPITALS.lower()}|Error|Warning|Note|System"


class _Place(NamedTuple):
    """Where programs write their level: the group of ``pattern`` that has matched.

    It is searched only in a text that has one of ``marks``; without marks in every text.
    """

    pattern: re.Pattern[str]
    marks: tuple[str, ...] = ()


#: Each begins with a character that is quickly found, or its lines are few: one expression for all of them
#: would take five times as long.
_PLACES: Final = (
    # A word in capitals.
    _Place(re.compile(rf"({_CAPITALS})(?![A-Za-z0-9_])")),
    # In brackets, perhaps behind the name of a module: [error], [Warning], [php:error].
    _Place(re.compile(rf"\[(?:[a-z0-9_]+:)?({_EITHER})\]")),
    # level=error, "severity": "error".
    _Place(
        re.compile(
            r"(?:level|lvl|severity|LEVEL)(?:_?name)?\\?[\"']?[=:] ?\\?[\"']?"
            rf"({_CAPITALS}|{_CAPITALS.lower()})(?![A-Za-z0-9_])"
        ),
        ("level", "lvl", "severity", "LEVEL"),
    ),
    # What PHP writes, with a time before it or without.
    _Place(
        re.compile(
            r"(PHP (?:Fatal error|Parse error|Recoverable fatal error|Core error|Compile error|Warning"
            r"|Core Warning|Compile Warning|User Warning|User Error|Notice|User Notice|Deprecated"
            r"|User Deprecated)):"
        ),
        ("PHP ",),
    ),
    # Warnings of Python and Node: DeprecationWarning: …
    _Place(re.compile(r"(?<![\w/])([A-Z][A-Za-z]*Warning|Warning): "), ("Warning: ",)),
    # PostgreSQL: what it writes behind LOG: and the like may be the text of a query.
    _Place(
        re.compile(r"(?:^|[\s\]>])(LOG|STATEMENT|DETAIL|HINT|CONTEXT|QUERY|LOCATION|DEBUG[1-5]):  "), (":  ",)
    ),
    # At the beginning of a line:
    _Place(
        re.compile(
            r"\n(?:(?=[0-9\[])(?:"
            # Redis: 1:M 24 Nov 2026 10:00:00.123 # …
            r"\d+:[XCSM] \d\d? [A-Z][a-z]{2} (?:\d{4} )?[\d:.]+ ([-.*#]) "
            # zerolog and Serilog on a terminal: 10:00AM ERR …, [10:00:00 WRN] …
            r"|\[?[\d:.]+(?:[AP]M)? (INF|WRN|DBG|TRC|FTL|PNC|VRB)[ \]]"
            r"|[\d/]+ [\d:.]+ http: (panic) serving "
            r")|(?=[A-Za-z_])(?:"
            # With a colon; java.util.logging has levels of its own.
            rf"({_CAPITALS}|{_CAPITALS.lower()}|[Ee]rror|[Ww]arning|[Ff]atal(?: error)?|[Pp]anic"
            r"|FINE|FINER|FINEST|CONFIG):"
            # Exceptions of Python, Java, Node and Ruby.
            r"|(?:Uncaught |Unhandled |Caused by: |Exception in thread \"[^\"\n]*\" )?"
            r"([A-Za-z_][A-Za-z0-9_.$:]*(?:Error|Exception))(?=:|\n|$| \()"
            r"|(Traceback) \(most recent call last\):"
            # klog, as of Kubernetes: E1124 10:00:00.123456 …
            r"|([IWEF])\d{4} \d\d:\d\d:\d\d\.\d"
            r"|http: (panic) serving "
            r"|npm (warn|error) "
            r"))"
        )
    ),
)
_OTHERS: Final = {
    LogLevel.DEBUG: "FINE FINER FINEST DEBUG1 DEBUG2 DEBUG3 DEBUG4 DEBUG5 DBG TRC VRB . -",
    LogLevel.INFO: "Note System CONFIG LOG STATEMENT DETAIL HINT CONTEXT QUERY LOCATION INF I *",
    LogLevel.WARN: "WRN W #",
    LogLevel.ERROR: "FTL PNC Traceback E F",
}
_LEVELS: Final = {
    **{word: level for level, words in _OTHERS.items() for word in words.split()},
    **{
        form: level_of_word(word) or LogLevel.INFO
        for word in _CAPITALS.split("|")
        for form in (word, word.lower(), word.capitalize())
    },
}
_FROM_PHP: Final = "PHP message: "
_LONGEST_WORD: Final = 2048
_BEFORE_WORDS: Final = " \n\t\"'[("
_ESCAPE: Final = "\x1b"
_COLOURS: Final = re.compile(r"\x1b\[[0-9;:]*m")


def _level_of(word: str) -> LogLevel:
    """The level of the name of an exception or a warning, or of what PHP writes."""
    word = word.lower()
    if word.endswith(("error", "exception")):
        return LogLevel.ERROR
    return LogLevel.WARN if word.endswith("warning") else LogLevel.INFO


class BuiltinLevels:
    """The built-in detection, used without patterns in the configuration. The first level in a line counts.

    Colour codes, and words in paths and URLs, do not count. What PHP has said through php-fpm counts rather
    than the level that php-fpm gives it.
    """

    def lines(self, text: str) -> dict[int, LogLevel]:
        """The level of each line that has one, by the start of the line."""
        if _ESCAPE in text:
            return _at_lines_of(text, self.lines(_COLOURS.sub("", text).replace(_ESCAPE, " ")))
        found = _found(f"\n{text}")  # so that every line begins behind a newline
        if _FROM_PHP in text:
            self._add_from_php(text, found)
        return found

    def record(self, text: str) -> LogLevel | None:
        """The first level in a record, None when there is none."""
        found = self.lines(text)
        return found[min(found)] if found else None

    def _add_from_php(self, text: str, found: dict[int, LogLevel]) -> None:
        place = text.find(_FROM_PHP)
        while place >= 0:
            end = text.find("\n", place)
            said = text[place + len(_FROM_PHP) : end if end >= 0 else None]
            level = self.record(said.lstrip('"'))
            if level is not None:
                found[text.rfind("\n", 0, place) + 1] = level
            place = text.find(_FROM_PHP, end) if end >= 0 else -1


def _found(text: str) -> dict[int, LogLevel]:
    first: dict[int, tuple[int, LogLevel]] = {}
    for place in _PLACES:
        if place.marks and not any(mark in text for mark in place.marks):
            continue
        search = place.pattern.search
        match = search(text)
        while match is not None:
            begin = match.start()
            if (
                text[begin] != "\n"
                and text[begin - 1] not in _BEFORE_WORDS
                and _is_part(text, begin, capitals=place is _PLACES[0])
            ):
                match = search(text, begin + 1)
                continue
            word = match[match.lastindex or 0]
            at = match.start(match.lastindex or 0)
            start = text.rfind("\n", 0, at)
            if start not in first or at < first[start][0]:
                first[start] = (at, _LEVELS.get(word) or _level_of(word))
            end = text.find("\n", at)
            match = search(text, end) if end >= 0 else None
    return {start: level for start, (_, level) in first.items()}


def _is_part(text: str, at: int, *, capitals: bool) -> bool:
    """Whether what stands at ``at`` is part of another word, or of a path or a URL (a request, a referer)."""
    before = text[at - 1]
    if capitals and (before.isalnum() or before == "_"):
        return True
    least = max(0, at - _LONGEST_WORD)
    start = max(least - 1, *(text.rfind(blank, least, at) for blank in " \n\t"))
    word = text[start + 1 : at].lstrip("\"'([{")
    return word.startswith("/") or "://" in word or "?" in word or '"/' in word


def _at_lines_of(text: str, found: dict[int, LogLevel]) -> dict[int, LogLevel]:
    """``found`` in a text without colours, at the starts of the same lines of ``text``."""
    plain = _COLOURS.sub("", text)
    levels: dict[int, LogLevel] = {}
    start = plain_start = 0
    while start >= 0:
        if (level := found.get(plain_start)) is not None:
            levels[start] = level
        start = text.find("\n", start) + 1 or -1
        plain_start = plain.find("\n", plain_start) + 1
    return levels


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
