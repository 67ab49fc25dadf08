"""The configuration as values: one Struct a section, one field a key, all durations in seconds.

The names of the fields are the keys of the file (``global`` is ``global_``, ``pre-start`` is ``pre_start``).
The annotations say what a key takes (`cbox_init.config.model.kinds`); the converter, the environment's
overrides and the checks are made from them, so a key is described in one place.
"""

from cbox_init.config.model.config import Config
from cbox_init.config.model.enums import (
    AclMode,
    ClientAuth,
    HealthCheckMode,
    HealthCheckType,
    InitialState,
    LogFormat,
    LogLevel,
    LogOverflow,
    Misfire,
    OnGiveUp,
    OutputType,
    ProcessType,
    ReadinessMode,
    RestartPolicyName,
    RolloutFailure,
    RolloutStrategy,
    ShutdownMode,
    SyslogFacility,
    TlsVersion,
    TracingExporter,
)
from cbox_init.config.model.global_ import AclConfig, GlobalConfig, ReadinessConfig, TlsConfig
from cbox_init.config.model.hooks import HookConfig, HooksConfig
from cbox_init.config.model.limits import LimitsConfig, RlimitConfig, SizeRlimitConfig
from cbox_init.config.model.logging import (
    FilterConfig,
    JsonConfig,
    LevelDetectionConfig,
    LogFileConfig,
    LoggingConfig,
    MultilineConfig,
    OutputConfig,
    RateLimitConfig,
    RedactionConfig,
    RedactionPattern,
    RotateConfig,
)
from cbox_init.config.model.process import (
    HealthCheckConfig,
    HeartbeatConfig,
    ProcessConfig,
    RolloutConfig,
    ShutdownConfig,
)
from cbox_init.config.secret import Secret

__all__ = [
    "AclConfig",
    "AclMode",
    "ClientAuth",
    "Config",
    "FilterConfig",
    "GlobalConfig",
    "HealthCheckConfig",
    "HealthCheckMode",
    "HealthCheckType",
    "HeartbeatConfig",
    "HookConfig",
    "HooksConfig",
    "InitialState",
    "JsonConfig",
    "LevelDetectionConfig",
    "LimitsConfig",
    "LogFileConfig",
    "LogFormat",
    "LogLevel",
    "LogOverflow",
    "LoggingConfig",
    "Misfire",
    "MultilineConfig",
    "OnGiveUp",
    "OutputConfig",
    "OutputType",
    "ProcessConfig",
    "ProcessType",
    "RateLimitConfig",
    "ReadinessConfig",
    "ReadinessMode",
    "RedactionConfig",
    "RedactionPattern",
    "RestartPolicyName",
    "RlimitConfig",
    "RolloutConfig",
    "RolloutFailure",
    "RolloutStrategy",
    "RotateConfig",
    "Secret",
    "ShutdownConfig",
    "ShutdownMode",
    "SizeRlimitConfig",
    "SyslogFacility",
    "TlsConfig",
    "TlsVersion",
    "TracingExporter",
]
