"""What one process's settings mean together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cbox_init.config.endpoints import parse_address, parse_url
from cbox_init.config.model import HealthCheckType, HeartbeatConfig, ProcessType, RestartPolicyName
from cbox_init.config.scalars import format_duration

if TYPE_CHECKING:
    from cbox_init.config.model import (
        Config,
        HealthCheckConfig,
        HookConfig,
        ProcessConfig,
    )
    from cbox_init.config.raw import Path
    from cbox_init.config.report import Report

_LONGEST_NAME: Final = 128
_SHELL_WORDS: Final = frozenset(("&&", "||", "|", ";", ">", ">>", "<", "2>&1", "&"))
_SHELLS: Final = ("sh", "bash", "ash", "dash", "zsh")
_LAST_PORT: Final = 65535
_OF_SCHEDULES: Final = (
    *("schedule_timezone", "schedule_timeout", "schedule_max_concurrent", "schedule_misfire"),
    "heartbeat",
)


def check_process(name: str, process: ProcessConfig, config: Config, report: Report) -> None:
    """Reports what is wrong with one process; what concerns several is not looked at."""
    path = ("processes", name)
    if fault := _name_fault(name):
        report.error(path, f"the name {fault}", "use letters, digits, - and _")
    if process.enabled:
        _check_command(process.command, (*path, "command"), report)
    _check_env(process.env, (*path, "env"), report)
    for key, text in (("user", process.user), ("group", process.group), ("working_dir", process.working_dir)):
        if text == "":
            report.error((*path, key), "is an empty text", "name one, or remove the key")
    _check_type(process, path, report)
    _check_scale(name, process, config, report)
    _check_shutdown(process, config, path, report)
    if process.schedule:
        _check_schedule(process, path, report)
    else:
        _check_unscheduled(process, path, report)
    if process.heartbeat is not None:
        _check_heartbeat(process.heartbeat, (*path, "heartbeat"), report)
    if process.health_check is not None:
        if process.schedule:
            report.warning(
                (*path, "health_check"),
                "runs of a schedule are not checked, they end by themselves",
                "remove it",
            )
        _check_health(process.health_check, (*path, "health_check"), report)


def check_hook(hook: HookConfig, path: Path, report: Report) -> None:
    """Reports what is wrong with one hook."""
    _check_command(hook.command, (*path, "command"), report)
    _check_env(hook.env, (*path, "env"), report)


def _name_fault(name: str) -> str:
    """Why a process cannot be called ``name``: it is a part of URLs. Nothing when it can."""
    if not name:
        return "is empty"
    if name in (".", ".."):
        return "means a directory in a URL"
    if len(name) > _LONGEST_NAME:
        return f"is longer than {_LONGEST_NAME} characters"
    if any(letter.isspace() or not letter.isprintable() for letter in name):
        return "holds white space or a control character, which a URL cannot"
    if any(letter in "/?#%" for letter in name):
        return "holds one of / ? # %, which mean something else in a URL"
    return ""


def _check_command(command: tuple[str, ...], path: Path, report: Report) -> None:
    if not command:
        report.missing(path, "a command is required", 'write a list such as ["php", "artisan", "queue:work"]')
    elif not command[0].strip():
        report.error(path, "the program is an empty text", "name a program")
    elif not _SHELL_WORDS.isdisjoint(command) and command[0].rsplit("/", 1)[-1] not in _SHELLS:
        words = ", ".join(word for word in command if word in _SHELL_WORDS)
        report.warning(path, f"no shell reads {words} here", 'write ["sh", "-c", "…"] when you want a shell')


def _check_env(env: dict[str, str], path: Path, report: Report) -> None:
    for name in env:
        if not name or "=" in name or "\0" in name:
            report.error((*path, name), "cannot be a variable's name", "use letters, digits and _")


def _check_type(process: ProcessConfig, path: Path, report: Report) -> None:
    if process.type is not ProcessType.ONESHOT:
        return
    if process.restart is RestartPolicyName.ALWAYS:
        report.error(
            (*path, "restart"),
            "a oneshot cannot be restarted always",
            "use on-failure or never",
        )
    if process.scale > 1:
        report.error((*path, "scale"), "a oneshot has one instance", "set scale to 1, or use type: longrun")


def _check_scale(name: str, process: ProcessConfig, config: Config, report: Report) -> None:
    path = ("processes", name)
    largest = config.global_.max_process_scale
    limit = config.scale_limit(name)
    if process.scale > limit:
        key = "max_scale" if limit == process.max_scale else "global.max_process_scale"
        report.error(
            (*path, "scale"), f"{process.scale} is above {key} ({limit})", "lower it, or raise the limit"
        )
    if process.max_scale > largest:
        report.suggestion(
            (*path, "max_scale"),
            f"global.max_process_scale ({largest}) is lower and counts",
            "raise that, or lower this",
        )
    last = process.port_base + max(process.scale, 1) - 1
    if process.port_base and last > _LAST_PORT:
        report.error(
            (*path, "port_base"),
            f"the last instance would have port {last}",
            f"keep port_base + scale below {_LAST_PORT + 2}",
        )


def _check_shutdown(process: ProcessConfig, config: Config, path: Path, report: Report) -> None:
    timeout, whole = process.shutdown.timeout, config.global_.shutdown_timeout
    if timeout is not None and timeout > whole:
        report.warning(
            (*path, "shutdown", "timeout"),
            f"the whole shutdown has only {format_duration(whole)} (global.shutdown_timeout)",
            "raise that, or lower this",
        )
    for key, hook in (
        ("pre_stop_hook", process.shutdown.pre_stop_hook),
        ("post_stop_hook", process.shutdown.post_stop_hook),
    ):
        if hook is not None:
            check_hook(hook, (*path, "shutdown", key), report)
    if process.shutdown.pre_stop_hook is not None and not process.shutdown.graceful:
        report.suggestion(
            (*path, "shutdown", "pre_stop_hook"), "is not run: graceful is false", "set graceful to true"
        )


def _check_schedule(process: ProcessConfig, path: Path, report: Report) -> None:
    from cbox_init.cron import EXPRESSION_MEND, CronError, find_zone, parse

    try:
        parse(process.schedule or "")
    except CronError as error:
        report.error((*path, "schedule"), str(error), EXPRESSION_MEND)
    try:
        find_zone(process.schedule_timezone)
    except CronError as error:
        mend = "write UTC, Local, or a name such as Europe/Berlin"
        report.error((*path, "schedule_timezone"), str(error), mend)
    if process.scale > 1:
        report.warning(
            (*path, "scale"),
            "has no effect on a process with a schedule",
            "remove it; schedule_max_concurrent limits its runs",
        )


def _check_unscheduled(process: ProcessConfig, path: Path, report: Report) -> None:
    default = type(process)()
    for key in _OF_SCHEDULES:
        if getattr(process, key) not in (getattr(default, key), HeartbeatConfig()):
            report.warning((*path, key), "has no effect without a schedule", "set schedule, or remove it")


def _check_heartbeat(heartbeat: HeartbeatConfig, path: Path, report: Report) -> None:
    """URLs are secrets: what is wrong with one is said without showing it."""
    urls = {key: getattr(heartbeat, key) for key in ("url", "start_url", "success_url", "failure_url")}
    for key, url in urls.items():
        if url and not url.reveal().lower().startswith(("http://", "https://")):
            report.error((*path, key), "is no URL of HTTP", "begin it with https:// or http://")
    if not (heartbeat.method.isascii() and heartbeat.method.isalpha()):
        report.error((*path, "method"), f"{heartbeat.method!r} is no method of HTTP", "write POST or GET")
    for name, value in heartbeat.headers.items():
        text = value.reveal()
        if not name or not name.isascii() or not text.isascii() or not (name + text).isprintable():
            report.error((*path, "headers", name), "cannot be sent as a header", "use printable ASCII")


def _check_health(check: HealthCheckConfig, path: Path, report: Report) -> None:
    match check.type:
        case HealthCheckType.HTTP:
            key, present = "url", check.url is not None
        case HealthCheckType.EXEC:
            key, present = "command", bool(check.command)
        case _:
            key, present = "address", check.address is not None
    if not present:
        report.missing(
            (*path, key), f"a check of type {check.type} needs it", "add it, or choose another type"
        )
        return
    try:
        # What holds a variable of the instance is known only then.
        if check.type is HealthCheckType.HTTP and "${" not in (check.url or ""):
            parse_url(check.url or "")
        elif check.type is HealthCheckType.TCP and "${" not in (check.address or ""):
            parse_address(check.address or "")
    except ValueError as fault:
        mend = "write http://HOST:PORT/PATH" if key == "url" else "write HOST:PORT"
        report.error((*path, key), f"cannot be used: {fault}", mend)
