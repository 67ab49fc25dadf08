"""Checks ``autoscale`` of a process; imported when one has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cbox_init.config.check_process import check_command, check_headers
from cbox_init.config.endpoints import parse_url
from cbox_init.config.model import AutoscaleMetric, ProcessType

if TYPE_CHECKING:
    from cbox_init.config.model import AutoscaleConfig, ProcessConfig
    from cbox_init.config.problems import ProblemReport
    from cbox_init.config.raw import Path

_LAST_PORT: Final = 65535
_MOST_STEPS: Final = 20

#: The metrics for which a key has a meaning.
_ONLY_FOR: Final = {
    "command": (AutoscaleMetric.COMMAND,),
    "url": (AutoscaleMetric.HTTP,),
    "headers": (AutoscaleMetric.HTTP,),
    "value": (AutoscaleMetric.HTTP, AutoscaleMetric.COMMAND),
    "timeout": (AutoscaleMetric.HTTP, AutoscaleMetric.COMMAND),
}
#: What the process measures by itself, which nothing can be measured of while no instance runs.
_OF_INSTANCES: Final = (AutoscaleMetric.CPU, AutoscaleMetric.MEMORY)


def check_autoscale(
    process: ProcessConfig, config: AutoscaleConfig, limit: int, path: Path, report: ProblemReport
) -> None:
    """Report what is wrong with ``autoscale``; ``limit`` is the most instances that the process may have."""
    here = (*path, "autoscale")
    if process.schedule or process.type is ProcessType.ONESHOT:
        kind = "a process with a schedule" if process.schedule else "a oneshot"
        report.warning(here, f"has no effect on {kind}", "remove it")
    _check_range(process, config, limit, here, report)
    _check_metric(config, here, report)


def _check_range(
    process: ProcessConfig, config: AutoscaleConfig, limit: int, path: Path, report: ProblemReport
) -> None:
    least, most = config.least, config.most
    if most is None:
        report.missing((*path, "max"), "is required", "write the most instances that it may have")
        return
    if most > limit:
        key = "max_scale" if limit == process.max_scale else "global.max_process_scale"
        report.error((*path, "max"), f"{most} is above {key} ({limit})", "lower it, or raise the limit")
    if least > most:
        report.error((*path, "min"), f"{least} is above max ({most})", "lower it, or raise max")
    if least == 0 and config.metric in _OF_INSTANCES:
        report.error(
            (*path, "min"),
            f"0 is not possible with the metric {config.metric}: of no instance there is nothing to measure",
            "set it to 1, or use the metric command or http",
        )
    if process.port_base and process.port_base + most - 1 > _LAST_PORT:
        report.error(
            (*path, "max"),
            f"the last instance would have port {process.port_base + most - 1}",
            f"keep port_base + max below {_LAST_PORT + 2}",
        )


def _check_metric(config: AutoscaleConfig, path: Path, report: ProblemReport) -> None:
    default = type(config)()
    for key, metrics in _ONLY_FOR.items():
        if config.metric not in metrics and getattr(config, key) != getattr(default, key):
            report.warning((*path, key), f"has no effect on the metric {config.metric}", "remove it")
    if config.target is None:
        hints = {
            AutoscaleMetric.MEMORY: "write the memory of one instance, such as 256M",
            AutoscaleMetric.COMMAND: "write what one instance can do of what the command counts",
            AutoscaleMetric.HTTP: "write what one instance can do of what the server counts",
        }
        report.missing((*path, "target"), "is required", hints.get(config.metric or AutoscaleMetric.HTTP, ""))
    if config.metric is AutoscaleMetric.COMMAND:
        check_command(config.command, (*path, "command"), report)
    if config.metric is AutoscaleMetric.HTTP:
        _check_url(config.url, (*path, "url"), report)
        check_headers(config.headers, (*path, "headers"), report)
    if config.value is not None:
        steps = config.value.split(".")
        if not all(steps) or len(steps) > _MOST_STEPS:
            report.error(
                (*path, "value"),
                "is not the path of a value",
                f"write at most {_MOST_STEPS} keys with dots between them, such as queues.0.length",
            )


def _check_url(url: str | None, path: Path, report: ProblemReport) -> None:
    if url is None:
        report.missing(path, "is required for the metric http", "add it, or choose another metric")
        return
    try:
        parse_url(url)
    except ValueError as fault:
        report.error(path, f"is invalid: {fault}", "write http://HOST:PORT/PATH")
