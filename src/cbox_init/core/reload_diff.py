"""What a new configuration changes: which processes are added, removed, replaced or kept.

Pure: two configurations in, a plan out. The supervisor carries it out, `--dry-run` shows it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace

from cbox_init.config.model import Config, GlobalConfig, ProcessConfig, ProcessType
from cbox_init.config.settings import settings_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cbox_init.config.settings import ProcessSettings
    from cbox_init.core.states import Desired

#: Keys of a process that count for instances which run already. A change of any other key needs new ones.
IN_PLACE: Final = frozenset(
    (
        *(
            "enabled",
            "initial_state",
            "scale",
            "max_scale",
            "scale_locked",
            "autoscale",
            "groups",
            "depends_on",
            "restart_with",
            "dependency_timeout",
        ),
        *("restart", "restart_delay", "max_restart_delay", "max_restarts", "restart_threshold"),
        *("on_give_up", "on_exit", "success_codes", "timeout", "max_runtime"),
        *("rollout", "shutdown", "logging", "health_check", "heartbeat", "max_memory_mb", "priority"),
        # What these give to instances is compared instead (`_variables`).
        *("env_file", "env_files_from_secrets", "environment", "hook_user"),
        *("schedule", "schedule_timezone", "schedule_timeout"),
        *("schedule_max_concurrent", "schedule_misfire", "run_on_start"),
    )
)

#: Keys of ``global`` that count from the moment of a reload on. Any other needs a restart of the daemon.
GLOBAL_IN_PLACE: Final = frozenset(
    (
        *("shutdown_timeout", "shutdown_drain", "dependency_timeout", "max_process_scale"),
        *("restart_policy", "max_restart_attempts", "restart_stability_window"),
        *("restart_backoff", "restart_backoff_initial", "restart_backoff_max"),
        *("health_check_interval", "health_check_strict", "process_start_timeout"),
        *("zombie_reap_interval", "log_ring_size", "environment"),
        *("log_multiline_enabled", "log_multiline_pattern", "log_multiline_timeout"),
        *("log_multiline_max_lines", "log_json_parsing", "log_level_detection"),
        *("log_redaction_enabled", "log_redaction_patterns", "log_redaction_placeholder"),
        *("api_auth", "api_tokens", "api_certificate_roles", "api_socket_roles", "api_insecure"),
        *("resource_metrics_enabled", "resource_metrics_interval", "resource_metrics_max_samples"),
        "resource_metrics_pss",
        *("log_filter_enabled", "log_filter_level", "log_filter_patterns"),
        *("tracing_enabled", "tracing_exporter", "tracing_endpoint"),
        *("tracing_sample_rate", "tracing_service_name", "tracing_use_tls"),
    )
)


class ReloadPlan(Struct, frozen=True, kw_only=True):
    """What becomes of each process, by name in the order of the new file (``removed``: of the old).

    ``changed`` get new instances, one after another; ``adjusted`` go on under new limits, rules or numbers;
    ``kept`` notice nothing. ``needs_restart`` names the keys that keep their old value until the daemon is
    restarted. ``config`` is what is in force afterwards.
    """

    config: Config
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    adjusted: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    needs_restart: tuple[str, ...] = ()


def plan_of(old: Config, new: Config) -> ReloadPlan:
    """How to get from ``old``, which is in force, to ``new``. A disabled process counts as absent."""
    global_, needs_restart = _global(old.global_, new.global_)
    config = replace(new, global_=global_)
    before, after = old.enabled_processes(), config.enabled_processes()
    same_global = global_ == old.global_
    changed: list[str] = []
    adjusted: list[str] = []
    kept: list[str] = []
    for name, process in after.items():
        if name not in before:
            continue
        # Most processes are the same. The settings of one follow from its keys and global.
        if same_global and process == before[name]:
            kept.append(name)
        elif replaces(before[name], process):
            changed.append(name)
        elif settings_for(name, before[name], old) != settings_for(name, process, config):
            adjusted.append(name)
        else:
            kept.append(name)
    return ReloadPlan(
        config=config,
        added=_names(after, without=before),
        changed=tuple(changed),
        adjusted=tuple(adjusted),
        removed=_names(before, without=after),
        kept=tuple(kept),
        needs_restart=needs_restart,
    )


def replaces(old: ProcessConfig, new: ProcessConfig) -> bool:
    """Whether instances of ``old`` cannot go on as instances of ``new``."""
    if (old.logging.stdout, old.logging.stderr) != (new.logging.stdout, new.logging.stderr):
        return True  # their outputs were opened, or not, when they were started
    if bool(old.schedule) is not bool(new.schedule):
        return True
    if _variables(old) != _variables(new):
        return True
    return any(getattr(old, key) != getattr(new, key) for key in fields_of_process() if key not in IN_PLACE)


@cache
def fields_of_process() -> tuple[str, ...]:
    """The keys of a process, without what follows from others."""
    return tuple(key for key in ProcessConfig.__struct_fields__ if key not in ProcessConfig.not_keys)


def _variables(process: ProcessConfig) -> tuple[object, ...]:
    """What of its `ChildVariables` its instances see that its keys do not say.

    Not what it keeps of the daemon's environment: that is the same for the daemon's whole life.
    """
    variables = process.variables
    return variables.inherits, variables.given


def desired_after(desired: Desired, old: ProcessConfig, new: ProcessSettings) -> Desired:
    """What is wanted of a process whose configuration was ``old`` and is now that of ``new``.

    What was stopped or scaled by hand stays so, unless the file has changed that very key. Without
    ``autoscale`` any more, it has the scale of the file again.
    """
    process = new.process
    unscaled = old.autoscale is not None and process.autoscale is None
    scale = desired.scale if process.scale == old.scale and not unscaled else process.initial_scale
    if new.scale_limit:
        scale = min(scale, new.scale_limit)
    if process.type is ProcessType.ONESHOT:
        scale = min(scale, 1)
    runs = desired.run
    if old.starts_by_itself is not process.starts_by_itself:
        runs = process.starts_by_itself
    rolls = desired.run and runs and replaces(old, process)
    return replace(
        desired,
        run=runs,
        scale=scale,
        generation=desired.generation + rolls,
        starts=desired.starts + (runs and not desired.run),
    )


def _global(old: GlobalConfig, new: GlobalConfig) -> tuple[GlobalConfig, tuple[str, ...]]:
    """``new`` with the old value of each key that cannot change now, and the names of these keys."""
    held = {
        key: getattr(old, key)
        for key in new.__struct_fields__
        if key not in GLOBAL_IN_PLACE and getattr(old, key) != getattr(new, key)
    }
    return replace(new, **held), tuple(f"global.{key}" for key in held)


def _names(names: Mapping[str, object], *, without: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(name for name in names if name not in without)
