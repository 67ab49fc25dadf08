"""The keys that are read but not acted on yet. One table, from which later versions take entries away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cbox_init.config.model import GlobalConfig

if TYPE_CHECKING:
    from cbox_init.config.model import Config

_NOT_YET: Final = (
    "process_stop_timeout",
    "autotune_memory_threshold",
    *("api_tls", "api_acl"),
    *("metrics_tls", "metrics_acl"),
    *("resource_metrics_enabled", "resource_metrics_interval", "resource_metrics_max_samples"),
    "audit_enabled",
    *("tracing_enabled", "tracing_exporter", "tracing_endpoint"),
    *("tracing_sample_rate", "tracing_service_name", "tracing_use_tls"),
)


def not_acted_on(config: Config) -> list[str]:
    """The paths of the keys that ``config`` sets to no effect, in the order of the model: all of ``global``.

    A key that has its default is not among them, nor is a section whose ``enabled`` is false.
    """
    given, default = config.global_, GlobalConfig()
    return [f"global.{key}" for key in _NOT_YET if _is_set(getattr(given, key), getattr(default, key))]


def _is_set(value: object, default: object) -> bool:
    return bool(value != default and getattr(value, "enabled", True))
