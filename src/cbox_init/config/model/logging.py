"""What happens to the output of one process: its key ``logging``."""

from typing import Annotated, ClassVar

from msgspec import Meta, Struct, field

from cbox_init.config.model.enums import LogFormat, LogLevel, LogOverflow, OutputType, SyslogFacility
from cbox_init.config.model.kinds import PositiveCount, PositiveSeconds, RingSize, Size
from cbox_init.config.secret import Secret


class RedactionPattern(Struct, frozen=True, kw_only=True):
    """An empty replacement is ``***``. The pattern is in Go's RE2 syntax; without one, ``name`` is that of a
    ready pattern (`cbox_init.patterns.builtin`)."""

    name: str = ""
    pattern: str = ""
    replacement: str = ""


class RedactionConfig(Struct, frozen=True, kw_only=True):
    """``enabled`` is None only before loading."""

    enabled: bool | None = None
    patterns: tuple[RedactionPattern, ...] = ()


class MultilineConfig(Struct, frozen=True, kw_only=True):
    """``pattern`` matches the first line of a record. What is None before loading is that of ``global``."""

    enabled: bool | None = None
    pattern: str = ""
    max_lines: PositiveCount | None = None
    timeout: PositiveSeconds | None = None


class JsonConfig(Struct, frozen=True, kw_only=True):
    """``enabled`` is None only before loading."""

    enabled: bool | None = None
    detect_auto: bool = False
    extract_level: bool = False
    extract_message: bool = False
    merge_fields: bool = False


class LevelDetectionConfig(Struct, frozen=True, kw_only=True):
    """``patterns`` maps a level to the regular expression of its lines; none: the built-in detection.

    ``enabled`` is None only before loading.
    """

    enabled: bool | None = None
    patterns: dict[str, str] = field(default_factory=dict)
    default_level: LogLevel = LogLevel.INFO


class FilterConfig(Struct, frozen=True, kw_only=True):
    """``exclude`` beats ``include``."""

    exclude: tuple[str, ...] = ()
    include: tuple[str, ...] = ()


class RateLimitConfig(Struct, frozen=True, kw_only=True):
    """``lines`` a second, and ``burst`` at once (0: as many as ``lines``); 0 lines: no limit."""

    lines: Annotated[int, Meta(ge=0, le=100_000_000)] = 0
    burst: Annotated[int, Meta(ge=0, le=100_000_000)] = 0


class RotateConfig(Struct, frozen=True, kw_only=True):
    """In the file an empty section is one with its defaults."""

    empty_counts: ClassVar[bool] = True

    max_size: Size = 50_000_000
    max_files: PositiveCount = 5
    compress: bool = False


class LogFileConfig(Struct, frozen=True, kw_only=True):
    """A file that the application writes itself."""

    path: str = ""
    rotate: RotateConfig | None = None
    min_level: LogLevel = LogLevel.INFO
    json: JsonConfig | None = None
    level_detection: LevelDetectionConfig | None = None
    multiline: MultilineConfig | None = None
    filters: FilterConfig | None = None


class OutputConfig(Struct, frozen=True, kw_only=True):
    """A place where records go. What ``type`` is None for follows from ``path`` or ``address``
    (`cbox_init.config.outputs`); ``overflow`` of None is that of the type, ``format`` of None
    ``global.log_format``, ``min_level`` of None what counts for standard output.
    """

    enabled: bool = True
    type: OutputType | None = None
    path: str | None = None
    address: str | None = None
    rotate: RotateConfig | None = None
    min_level: LogLevel | None = None
    filters: FilterConfig | None = None
    format: LogFormat | None = None
    overflow: LogOverflow | None = None
    facility: SyslogFacility = SyslogFacility.DAEMON
    headers: dict[str, Secret] = field(default_factory=dict)


class LoggingConfig(Struct, frozen=True, kw_only=True):
    """``min_level`` is None only before loading; ``ring_size`` of None is the global ``log_ring_size``."""

    stdout: bool = True
    stderr: bool = True
    labels: dict[str, str] = field(default_factory=dict)
    min_level: LogLevel | None = None
    ring_size: RingSize | None = None
    rate_limit: RateLimitConfig | None = None
    redaction: RedactionConfig | None = None
    multiline: MultilineConfig | None = None
    json: JsonConfig | None = None
    level_detection: LevelDetectionConfig | None = None
    filters: FilterConfig | None = None
    files: dict[str, LogFileConfig] = field(default_factory=dict)
    outputs: dict[str, OutputConfig] = field(default_factory=dict)

    @property
    def has_stages(self) -> bool:
        """Whether lines go through anything at all between being read and being written."""
        sections = (self.redaction, self.multiline, self.json, self.level_detection)
        if any(section is not None and section.enabled for section in sections):
            return True
        filters, limit = self.filters, self.rate_limit
        return (filters is not None and bool(filters.exclude or filters.include)) or (
            limit is not None and limit.lines > 0
        )
