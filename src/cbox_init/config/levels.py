"""The names that programs use for the levels of messages."""

from __future__ import annotations

from typing import Final

from cbox_init.config.model.enums import LogLevel

_WORDS: Final = {
    LogLevel.DEBUG: "trace debug verbose fine dbg trc",
    LogLevel.INFO: "info information informational notice inf",
    LogLevel.WARN: "warn warning wrn",
    LogLevel.ERROR: ("error err fatal ftl critical crit severe alert emergency emerg panic dpanic"),
}
_LEVELS: Final = {word: level for level, words in _WORDS.items() for word in words.split()}


def level_of_word(word: str) -> LogLevel | None:
    """The level that ``word`` means in whatever case, None when it means none."""
    return _LEVELS.get(word.strip().lower())
