"""What happens to the output of one process: its key ``logging``."""

from msgspec import Struct, field

from cbox_init.config.model.enums import LogFormat, LogLevel, LogOverflow, OutputType, SyslogFacility
from cbox_init.config.model.kinds import PositiveCount, PositiveSeconds, Size
from cbox_init.config.secret import Secret


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
    stdout: bool = True
    stderr: bool = True
    labels: dict[str, str] = field(default_factory=dict)
    min_level: LogLevel = LogLevel.INFO
    redaction: RedactionConfig | None = None
    multiline: MultilineConfig | None = None
    json: JsonConfig | None = None
    level_detection: LevelDetectionConfig | None = None
    filters: FilterConfig | None = None
    files: dict[str, LogFileConfig] = field(default_factory=dict)
    outputs: dict[str, OutputConfig] = field(default_factory=dict)
