"""The keys that take one of a few words."""

from enum import StrEnum
from typing import Self


class ProcessType(StrEnum):
    """``notify`` is a longrun that reports itself when it is ready (sd_notify(3))."""

    LONGRUN = "longrun"
    ONESHOT = "oneshot"
    NOTIFY = "notify"

    @property
    def shown(self) -> "ProcessType":
        """What the API calls it: its clients know no other types."""
        return ProcessType.LONGRUN if self is ProcessType.NOTIFY else self


class InitialState(StrEnum):
    RUNNING = "running"
    STOPPED = "stopped"


class RestartPolicyName(StrEnum):
    ALWAYS = "always"
    ON_FAILURE = "on-failure"
    NEVER = "never"


class Misfire(StrEnum):
    """What follows when the time of a scheduled run was missed: one run for all of them, or none."""

    RUN = "run"
    SKIP = "skip"


class AutoscaleMetric(StrEnum):
    """What decides how many instances a process has; the last two ask the user's own program or server."""

    CPU = "cpu"
    MEMORY = "memory"
    COMMAND = "command"
    HTTP = "http"


class EnvFileFormat(StrEnum):
    """How a file of variables is read: as Docker Compose does by default, or each value as it stands."""

    DOTENV = "dotenv"
    RAW = "raw"


class OnGiveUp(StrEnum):
    """What becomes of the container when an instance has failed for good."""

    KEEP = "keep"
    SHUTDOWN = "shutdown"


class OnExit(StrEnum):
    """What becomes of the container when a process has ended for good, with whatever exit code."""

    KEEP = "keep"
    SHUTDOWN = "shutdown"


class Stdin(StrEnum):
    """The standard input of an instance: /dev/null, a pipe that stays open and empty, or the daemon's own."""

    NULL = "null"
    PIPE = "pipe"
    INHERIT = "inherit"


class RolloutStrategy(StrEnum):
    """How new instances take the place of old ones: a few at a time, all at once, or after all old ones."""

    ROLLING = "rolling"
    PARALLEL = "parallel"
    RECREATE = "recreate"


class RolloutFailure(StrEnum):
    """What follows when a new instance does not get ready: the old ones stay, or all become as they were."""

    STOP = "stop"
    ROLLBACK = "rollback"


class ShutdownMode(StrEnum):
    """Who gets the first signal of a stop: the whole process group, or the main process alone."""

    GROUP = "group"
    MAIN = "main"


class LogFormat(StrEnum):
    JSON = "json"
    TEXT = "text"


class LogLevel(StrEnum):
    """How serious a record is, in rising order. Compare levels by ``rank``: as texts they have another order.

    The value is the word of the configuration and the API, the name is how a level is written in a record.
    """

    rank: int

    def __new__(cls, value: str) -> Self:
        level = str.__new__(cls, value)
        level._value_ = value
        level.rank = len(cls.__members__)
        return level

    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"


class LogOverflow(StrEnum):
    """What becomes of records when an output cannot keep up: the processes wait, or they are dropped."""

    BLOCK = "block"
    DROP = "drop"


class OutputType(StrEnum):
    FILE = "file"
    STDOUT = "stdout"
    STDERR = "stderr"
    SYSLOG = "syslog"
    OTLP = "otlp"


class SyslogFacility(StrEnum):
    USER = "user"
    DAEMON = "daemon"
    AUTH = "auth"
    AUTHPRIV = "authpriv"
    CRON = "cron"
    LOCAL0 = "local0"
    LOCAL1 = "local1"
    LOCAL2 = "local2"
    LOCAL3 = "local3"
    LOCAL4 = "local4"
    LOCAL5 = "local5"
    LOCAL6 = "local6"
    LOCAL7 = "local7"


class HealthCheckType(StrEnum):
    TCP = "tcp"
    HTTP = "http"
    EXEC = "exec"
    GRPC = "grpc"


class HealthCheckMode(StrEnum):
    LIVENESS = "liveness"
    READINESS = "readiness"
    BOTH = "both"


class ReadinessMode(StrEnum):
    ALL_HEALTHY = "all_healthy"
    ALL_RUNNING = "all_running"


class AclMode(StrEnum):
    ALLOW = "allow"
    DENY = "deny"


class ClientAuth(StrEnum):
    NONE = "none"
    REQUEST = "request"
    REQUIRE = "require"
    VERIFY = "verify"


class TlsVersion(StrEnum):
    TLS_1_2 = "TLS 1.2"
    TLS_1_3 = "TLS 1.3"


class TracingExporter(StrEnum):
    OTLP_GRPC = "otlp-grpc"
    OTLP_HTTP = "otlp-http"
    STDOUT = "stdout"
    JAEGER = "jaeger"
    ZIPKIN = "zipkin"


class Role(StrEnum):
    """What a caller of the API may do: each role may do what those before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def includes(self, other: "Role") -> bool:
        """Whether it may do what ``other`` may."""
        return _RANKS[self] >= _RANKS[other]


_RANKS = {role: rank for rank, role in enumerate(Role)}


class PhpFpmProfile(StrEnum):
    """How a pool of PHP-FPM is sized; ``auto`` goes by what its workers were measured to need."""

    DEV = "dev"
    LIGHT = "light"
    MEDIUM = "medium"
    HEAVY = "heavy"
    BURSTY = "bursty"
    AUTO = "auto"
