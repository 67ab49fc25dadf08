"""The section ``logging`` of a process with the defaults of ``global``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from cbox_init.config.model.enums import LogLevel
from cbox_init.config.model.logging import (
    FilterConfig,
    JsonConfig,
    LevelDetectionConfig,
    LogFileConfig,
    LoggingConfig,
    MultilineConfig,
    RedactionConfig,
    RedactionPattern,
)

if TYPE_CHECKING:
    from cbox_init.config.model.global_ import GlobalConfig


MULTILINE_TIMEOUT_S: Final = 1.0
"""Where the timeout is 0."""


class LogDefaults:
    """The defaults for ``logging`` of every process; made once for all of them."""

    def __init__(self, global_: GlobalConfig) -> None:
        self._global = global_
        self._patterns = global_patterns(global_) if global_.log_redaction_enabled else ()
        filtering = global_.log_filter_enabled
        self._level = (global_.log_filter_level if filtering else None) or LogLevel.INFO
        self._exclude = global_.log_filter_patterns if filtering else ()

    def applied(self, logging: LoggingConfig) -> LoggingConfig:
        """``logging`` with every default in its place, in its files as well."""
        return replace(
            logging,
            min_level=logging.min_level or self._level,
            redaction=self._redaction(logging.redaction),
            multiline=self._multiline(logging.multiline),
            json=self._json(logging.json),
            level_detection=self._level_detection(logging.level_detection),
            filters=self._filters(logging.filters),
            files={name: self._file(file) for name, file in logging.files.items()},
        )

    def _file(self, file: LogFileConfig) -> LogFileConfig:
        return replace(
            file,
            multiline=self._multiline(file.multiline),
            json=self._json(file.json),
            level_detection=self._level_detection(file.level_detection),
            filters=self._filters(file.filters),
        )

    def _redaction(self, own: RedactionConfig | None) -> RedactionConfig | None:
        """The own patterns first, then those for all: only ``enabled: false`` is without them."""
        if own is None:
            return RedactionConfig(enabled=True, patterns=self._patterns) if self._patterns else None
        enabled = self._global.log_redaction_enabled if own.enabled is None else own.enabled
        more = tuple(pattern for pattern in self._patterns if pattern not in own.patterns)
        return replace(own, enabled=enabled, patterns=own.patterns + (more if enabled else ()))

    def _multiline(self, own: MultilineConfig | None) -> MultilineConfig | None:
        settings = self._global
        if own is None and not settings.log_multiline_enabled:
            return None
        own = own or MultilineConfig()
        return MultilineConfig(
            enabled=settings.log_multiline_enabled if own.enabled is None else own.enabled,
            pattern=own.pattern or settings.log_multiline_pattern,
            max_lines=own.max_lines or settings.log_multiline_max_lines,
            timeout=own.timeout or settings.log_multiline_timeout or MULTILINE_TIMEOUT_S,
        )

    def _json(self, own: JsonConfig | None) -> JsonConfig | None:
        """For all of them, parsing means that everything is taken out of the object."""
        enabled = self._global.log_json_parsing
        if own is not None:
            return replace(own, enabled=enabled) if own.enabled is None else own
        if not enabled:
            return None
        return JsonConfig(
            enabled=True, detect_auto=True, extract_level=True, extract_message=True, merge_fields=True
        )

    def _level_detection(self, own: LevelDetectionConfig | None) -> LevelDetectionConfig | None:
        enabled = self._global.log_level_detection
        if own is not None:
            return replace(own, enabled=enabled) if own.enabled is None else own
        return LevelDetectionConfig(enabled=True) if enabled else None

    def _filters(self, own: FilterConfig | None) -> FilterConfig | None:
        if not self._exclude:
            return own
        own = own or FilterConfig()
        more = tuple(pattern for pattern in self._exclude if pattern not in own.exclude)
        return replace(own, exclude=own.exclude + more)


def default_logging(global_: GlobalConfig) -> LoggingConfig:
    """What counts for output that belongs to no process, such as that of hooks."""
    return LogDefaults(global_).applied(LoggingConfig())


def global_patterns(global_: GlobalConfig) -> tuple[RedactionPattern, ...]:
    """``log_redaction_patterns`` as patterns of a process: a word masks its value, and stands for the ready
    pattern of that name too."""
    from cbox_init.patterns.builtin import builtin_patterns, is_word, word_patterns

    mask = global_.log_redaction_placeholder
    words = [text for text in global_.log_redaction_patterns if is_word(text)]
    own = [
        RedactionPattern(name="global", pattern=text, replacement=mask.replace("$", "$$"))
        for text in global_.log_redaction_patterns
        if not is_word(text)
    ]
    named = [RedactionPattern(name=word, replacement=mask) for word in words if builtin_patterns(word)]
    masking = [
        RedactionPattern(name="words", pattern=one.pattern, replacement=one.with_mask(mask or "***"))
        for one in word_patterns(words)
    ]
    return (*named, *own, *masking)
