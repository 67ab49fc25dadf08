"""The keys that are read but not acted on yet. One table, from which later versions take entries away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from cbox_init.config.model import Config, GlobalConfig, ProcessConfig
from cbox_init.config.schema import fields_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_GLOBAL: Final = (
    "process_stop_timeout",
    "autotune_memory_threshold",
    *("api_tls", "api_acl"),
    *("metrics_enabled", "metrics_host", "metrics_port", "metrics_path", "metrics_tls", "metrics_acl"),
    *("resource_metrics_enabled", "resource_metrics_interval", "resource_metrics_max_samples"),
    "audit_enabled",
    *("tracing_enabled", "tracing_exporter", "tracing_endpoint"),
    *("tracing_sample_rate", "tracing_service_name", "tracing_use_tls"),
    *("oneshot_history_max_entries", "oneshot_history_max_age"),
)
_PROCESS: Final = ("max_memory_mb",)


def not_acted_on(config: Config) -> list[str]:
    """The paths of the keys that ``config`` sets to no effect, in the order of the model.

    A key that has its default is not among them, nor is a section whose ``enabled`` is false.
    """
    paths = [f"global.{key}" for key in _set(config.global_, GlobalConfig(), _GLOBAL)]
    default = ProcessConfig()
    for name, process in config.processes.items():
        paths += [f"processes.{name}.{key}" for key in _set(process, default, _PROCESS)]
    return paths


def _set(section: Struct, default: Struct, keys: tuple[str, ...]) -> Iterator[str]:
    for key in keys:
        value = _get(section, key)
        if value != _get(default, key) and getattr(value, "enabled", True):
            yield key


def _get(section: Struct, key: str) -> object:
    value: object = section
    for step in key.split("."):
        assert isinstance(value, Struct)
        value = getattr(value, fields_of(type(value))[step].attribute)
    return value
