"""What happens to the output of one process: its key ``logging``."""

from msgspec import Struct, field

from cbox_init.config.model.enums import LogLevel
from cbox_init.config.model.kinds import PositiveCount, PositiveSeconds, RingSize, Size


class RedactionPattern(Struct, frozen=True, kw_only=True):
    """An empty replacement is ``***``. The pattern is in Go's RE2 syntax."""

    name: str = ""
    pattern: str = ""
    replacement: str = ""


class RedactionConfig(Struct, frozen=True, kw_only=True):
    enabled: bool = False
    patterns: tuple[RedactionPattern, ...] = ()


class MultilineConfig(Struct, frozen=True, kw_only=True):
    """``pattern`` matches the first line of a record."""

    enabled: bool = False
    pattern: str = ""
    max_lines: PositiveCount = 100
    timeout: PositiveSeconds = 1.0


class JsonConfig(Struct, frozen=True, kw_only=True):
    enabled: bool = False
    detect_auto: bool = False
    extract_level: bool = False
    extract_message: bool = False
    merge_fields: bool = False


class LevelDetectionConfig(Struct, frozen=True, kw_only=True):
    """``patterns`` maps a level to the regular expression of its lines."""

    enabled: bool = False
    patterns: dict[str, str] = field(default_factory=dict)
    default_level: LogLevel = LogLevel.INFO


class FilterConfig(Struct, frozen=True, kw_only=True):
    """``exclude`` beats ``include``."""

    exclude: tuple[str, ...] = ()
    include: tuple[str, ...] = ()


class RotateConfig(Struct, frozen=True, kw_only=True):
    max_size: Size = 50_000_000
    max_files: PositiveCount = 5


class LogFileConfig(Struct, frozen=True, kw_only=True):
    """A file that the application writes itself."""

    path: str = ""
    rotate: RotateConfig | None = None
    min_level: LogLevel = LogLevel.INFO
    json: JsonConfig | None = None
    level_detection: LevelDetectionConfig | None = None
    multiline: MultilineConfig | None = None
    filters: FilterConfig | None = None


class LoggingConfig(Struct, frozen=True, kw_only=True):
    """``ring_size`` of None is the global ``log_ring_size``."""

    stdout: bool = True
    stderr: bool = True
    labels: dict[str, str] = field(default_factory=dict)
    min_level: LogLevel = LogLevel.INFO
    ring_size: RingSize | None = None
    redaction: RedactionConfig | None = None
    multiline: MultilineConfig | None = None
    json: JsonConfig | None = None
    level_detection: LevelDetectionConfig | None = None
    filters: FilterConfig | None = None
    files: dict[str, LogFileConfig] = field(default_factory=dict)
