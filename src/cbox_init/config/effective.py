"""Fills in the defaults that depend on other keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from cbox_init.config.log_defaults import LogDefaults
from cbox_init.config.model import AutoscaleMetric, HealthCheckConfig, HealthCheckType, Secret
from cbox_init.config.model.kinds import CpuCount
from cbox_init.config.rules import global_backoff, is_loopback, restart_rules, stop_rules

if TYPE_CHECKING:
    from cbox_init.config.model import AutoscaleConfig, Config, GlobalConfig, ProcessConfig
    from cbox_init.config.problems import ProblemReport

#: Percent of a CPU that an instance is to use, by default.
_CPU_TARGET: Final = 70.0
_BEARER: Final = "Bearer "


def effective(config: Config, report: ProblemReport) -> Config:
    """``config`` with every value that follows from others filled in."""
    global_ = _global(config.global_, report)
    log_defaults = LogDefaults(global_)
    return replace(
        config,
        global_=global_,
        processes={
            name: _process(name, process, global_, log_defaults, report)
            for name, process in config.processes.items()
        },
    )


def _global(global_: GlobalConfig, report: ProblemReport) -> GlobalConfig:
    initial, cap = global_backoff(global_)
    return replace(
        global_,
        restart_backoff_initial=initial,
        restart_backoff_max=cap,
        api_auth=_token(global_, report),
    )


def _token(global_: GlobalConfig, report: ProblemReport) -> Secret | None:
    """The bearer token; None when there is none, and empty when one is needed."""
    given = global_.api_auth
    if given is None:
        return None
    text = given.reveal().lstrip()
    path = ("global", "api_auth")
    if text.startswith(_BEARER):
        report.warning(
            path, 'begins with "Bearer ", which is not part of the token', 'write the token without "Bearer "'
        )
        text = text.removeprefix(_BEARER)
    text = text.strip()
    if not text and global_.api_enabled and not is_loopback(global_.api_host):
        report.error(
            path,
            "is empty: anyone who reaches this port could run any command",
            "set the token or the variable that holds it, or write api_host: 127.0.0.1",
        )
        return Secret("")
    if not text:
        report.suggestion(
            path, "is empty, so that the API requires no token", "set a token, or remove the key"
        )
        return None
    return Secret(text)


def _process(
    name: str, process: ProcessConfig, global_: GlobalConfig, log_defaults: LogDefaults, report: ProblemReport
) -> ProcessConfig:
    if process.schedule is not None and "TZ=" in process.schedule:
        process = _with_zone_of_schedule(name, process, report)
    stdout = process.stdout and process.logging.stdout
    stderr = process.stderr and process.logging.stderr
    return replace(
        process,
        scale=_scale(process, global_),
        autoscale=_autoscale(process.autoscale),
        restart=restart_rules(global_, process).policy,
        shutdown=replace(process.shutdown, timeout=stop_rules(global_, process).timeout_s),
        stdout=stdout,
        stderr=stderr,
        logging=replace(log_defaults.applied(process.logging), stdout=stdout, stderr=stderr),
        health_check=_health_check(process.health_check, global_),
    )


def _scale(process: ProcessConfig, global_: GlobalConfig) -> int:
    """Its scale; one instance for each CPU stops at the limits, since nobody has written that number."""
    if isinstance(process.scale, CpuCount):
        limit = global_.max_process_scale
        return CpuCount(min(process.scale, process.max_scale or limit, limit))
    return process.scale


def _autoscale(config: AutoscaleConfig | None) -> AutoscaleConfig | None:
    """With the metric that its keys imply, and the target of that metric where it has one."""
    if config is None:
        return None
    metric = config.metric
    if metric is None:
        metric = AutoscaleMetric.COMMAND if config.command else AutoscaleMetric.CPU
        metric = metric if config.url is None else AutoscaleMetric.HTTP
    target = _CPU_TARGET if config.target is None and metric is AutoscaleMetric.CPU else config.target
    return replace(config, metric=metric, target=target)


def _with_zone_of_schedule(name: str, process: ProcessConfig, report: ProblemReport) -> ProcessConfig:
    """``CRON_TZ=ZONE`` in front of an expression is its ``schedule_timezone``."""
    from cbox_init.cron import split_zone

    zone, schedule = split_zone(process.schedule or "")
    if zone is None or not schedule:  # without a schedule behind it: the check reports it as a whole
        return process
    if process.schedule_timezone not in ("UTC", zone):
        report.warning(
            ("processes", name, "schedule_timezone"),
            f"the schedule begins with the zone {zone}, which counts",
            "remove one of them",
        )
    return replace(process, schedule=schedule, schedule_timezone=zone)


def _health_check(check: HealthCheckConfig | None, global_: GlobalConfig) -> HealthCheckConfig | None:
    """With the type that its keys imply and the period of all, where it names none."""
    if check is None:
        return None
    period = global_.health_check_interval if check.period is None else check.period
    return replace(check, type=check.type or _implied_type(check), period=period)


def _implied_type(check: HealthCheckConfig) -> HealthCheckType:
    if check.url is not None:
        return HealthCheckType.HTTP
    return HealthCheckType.EXEC if check.command else HealthCheckType.TCP
