"""Lines that are JSON objects: takes out their level and message, and their other members as fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import DecodeError, Raw
from msgspec.json import Decoder, Encoder

from cbox_init.config.levels import level_of_word
from cbox_init.config.model.enums import LogLevel
from cbox_init.logs.stages.batch import LineBatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from cbox_init.config.model import JsonConfig

LEVELS: Final = ("level_name", "levelname", "level", "severity", "lvl", "log.level", "@l", "loglevel")
"""Members that hold the level; the first one that is understood counts."""

MESSAGES: Final = ("msg", "message", "@message", "@m", "log", "event")
"""Members that hold the message; the first one that is a text counts."""

OURS: Final = frozenset(("time", "level", "msg", "process", "instance_id", "stream", "labels", "partial"))
"""Members that a record has already: a field of such a name becomes ``fields.NAME``."""


_MOST_LEVELS: Final = 256
"""How many spellings of levels are cached."""


def level_of(value: str | float) -> LogLevel | None:
    """The level that a word or a number stands for, None for none.

    Numbers below 8 are those of syslog; up to 60 those of pino and bunyan; from 100 on those of Monolog.
    """
    if isinstance(value, str):
        if not (value.isascii() and value.isdigit()):
            return level_of_word(value)
        value = float(value)
    if value < 8:
        steps = ((4, LogLevel.ERROR), (5, LogLevel.WARN), (7, LogLevel.INFO), (8, LogLevel.DEBUG))
    elif value < 100:
        steps = ((30, LogLevel.DEBUG), (40, LogLevel.INFO), (50, LogLevel.WARN), (100, LogLevel.ERROR))
    else:
        steps = ((200, LogLevel.DEBUG), (300, LogLevel.INFO), (400, LogLevel.WARN), (1000, LogLevel.ERROR))
    return next((level for below, level in steps if value < below), None)


class JsonLines:
    """Parses the lines of one process. ``redact`` is applied again to texts that had JSON escapes, which
    hide secrets from redaction."""

    key: Final = "json"

    def __init__(self, config: JsonConfig, redact: Callable[[str], str] | None) -> None:
        self._level = config.extract_level
        self._message = config.extract_message
        self._merge = config.merge_fields
        self._redact = redact
        self._decode = Decoder(dict[str, Raw]).decode
        self._scalar: Callable[[bytes | Raw], str | float | None] = Decoder(str | float | None).decode
        self._levels: dict[bytes, LogLevel | None] = {}
        self._any = Decoder().decode
        self._encode = Encoder().encode

    def __call__(self, batch: LineBatch) -> list[LineBatch]:
        if "{" not in batch.text:
            return [batch]
        if batch.single:
            return [self._parsed(batch.text, batch.time_ns) or batch]
        batches: list[LineBatch] = []
        plain: list[str] = []
        for line in batch.text.split("\n"):
            parsed = self._parsed(line, batch.time_ns)
            if parsed is None:
                plain.append(line)
                continue
            if plain:
                batches.append(LineBatch("\n".join(plain), batch.time_ns))
                plain = []
            batches.append(parsed)
        if plain:
            batches.append(LineBatch("\n".join(plain), batch.time_ns))
        return batches

    def _parsed(self, line: str, time_ns: int) -> LineBatch | None:
        """The record of a line; None when it is no object, or nothing that is configured is found in it."""
        text = line.strip()
        if text[:1] != "{" or text[-1:] != "}":
            return None
        try:
            return self._taken(line, self._decode(text), time_ns)
        except (DecodeError, ValueError, RecursionError):
            # No JSON; or a number or nesting that cannot be decoded: the line stays as it is.
            return None

    def _taken(self, line: str, members: dict[str, Raw], time_ns: int) -> LineBatch | None:
        level = self._take_level(members) if self._level else None
        message = self._take_message(members) if self._message else None
        fields = self._fields(members) if self._merge and members else b""
        if level is None and message is None and not fields:
            return None
        if message is None:
            return LineBatch(line, time_ns, "\n" in line or bool(fields), level, fields)
        return LineBatch(message, time_ns, "\n" in message or bool(fields), level, fields, line)

    def _take_level(self, members: dict[str, Raw]) -> LogLevel | None:
        for name in LEVELS:
            raw = members.get(name)
            level = self._level_of(bytes(raw)) if raw is not None else None
            if level is not None:
                del members[name]
                if name == "level_name":
                    members.pop("level", None)  # Monolog's number for the same level
                return level
        return None

    def _level_of(self, raw: bytes) -> LogLevel | None:
        try:
            return self._levels[raw]
        except KeyError:
            value = self._value(raw)
            level = level_of(value) if value is not None else None
            if len(self._levels) < _MOST_LEVELS:
                self._levels[raw] = level
            return level

    def _take_message(self, members: dict[str, Raw]) -> str | None:
        for name in MESSAGES:
            raw = members.get(name)
            value = self._value(raw) if raw is not None else None
            if isinstance(value, str):
                is_escaped = b"\\" in bytes(members.pop(name))
                return self._redact(value) if is_escaped and self._redact else value
        return None

    def _value(self, raw: bytes | Raw) -> str | float | None:
        try:
            return self._scalar(raw)
        except (DecodeError, ValueError, RecursionError):  # a value of another kind
            return None

    def _fields(self, members: dict[str, Raw]) -> bytes:
        if not OURS.isdisjoint(members):
            members = {f"fields.{name}" if name in OURS else name: value for name, value in members.items()}
        fields = self._encode(members)
        if self._redact is not None and b"\\" in fields:
            fields = self._encode(_redacted(self._any(fields), self._redact))
        if b"\n" in fields or b"\r" in fields:  # between the members of an object of several lines
            fields = fields.replace(b"\n", b" ").replace(b"\r", b" ")
        return fields


def _redacted(value: object, redact: Callable[[str], str]) -> object:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list):
        return [_redacted(item, redact) for item in value]
    if isinstance(value, dict):
        return {name: _redacted(item, redact) for name, item in value.items()}
    return value
