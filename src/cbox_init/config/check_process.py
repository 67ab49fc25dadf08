"""What one process's settings mean together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cbox_init.config.endpoints import parse_address, parse_url
from cbox_init.config.model import (
    HealthCheckType,
    HealthTlsConfig,
    HeartbeatConfig,
    ProcessType,
    RestartPolicyName,
    RolloutStrategy,
)
from cbox_init.config.model.kinds import UNLIMITED, CpuCount
from cbox_init.config.raw import quoted
from cbox_init.config.scalars import format_duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cbox_init.config.model import (
        Config,
        HealthCheckConfig,
        HookConfig,
        LimitsConfig,
        ProcessConfig,
    )
    from cbox_init.config.problems import ProblemReport
    from cbox_init.config.raw import Path
    from cbox_init.config.secret import Secret

_LONGEST_NAME: Final = 128
_OF_HEADER_NAMES: Final = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~"
)
_LAST_PORT: Final = 65535
_ROOT: Final = ("root", "0")
_MOST_ENV_FILES: Final = 100
#: The types of checks for which a key has a meaning, where that is not all of them.
_ONLY_FOR_CHECKS: Final = {
    "method": (HealthCheckType.HTTP,),
    "headers": (HealthCheckType.HTTP,),
    "tls": (HealthCheckType.HTTP, HealthCheckType.GRPC),
    "service": (HealthCheckType.GRPC,),
}
_OF_SCHEDULES: Final = (
    *("schedule_timezone", "schedule_timeout", "schedule_max_concurrent", "schedule_misfire"),
    *("run_on_start", "heartbeat"),
)


def check_process(name: str, process: ProcessConfig, config: Config, report: ProblemReport) -> None:
    """Report what is wrong with one process by itself."""
    path = ("processes", name)
    if fault := _name_fault(name):
        usable = _usable_name(name)
        hint = f"call it {usable}" if usable else "use letters, digits, - and _"
        report.error(path, f"invalid name: it {fault}", hint)
    if process.enabled:
        check_command(process.command, (*path, "command"), report)
    _check_env(process.env, (*path, "env"), report)
    for key in ("user", "group", "working_dir", "hook_user"):
        if getattr(process, key) == "":
            report.error((*path, key), "is empty", "set it, or remove the key")
    _check_files_of_variables(process, path, report)
    _check_groups(process.groups, (*path, "groups"), report)
    _check_hook_user(process, path, report)
    _check_type(process, path, report)
    _check_time_limits(process, path, report)
    _check_notify(process, path, report)
    _check_ready_when(process, (*path, "ready_when"), report)
    _check_scale(name, process, config, report)
    _check_rollout(process, (*path, "rollout"), report)
    _check_shutdown(process, config, path, report)
    if process.limits is not None:
        _check_limits(process.limits, process.max_memory_mb, (*path, "limits"), report)
    if process.capabilities is not None or process.read_only_paths or process.private_tmp:
        from cbox_init.config.check_sandbox import check_sandbox

        check_sandbox(process, path, report)
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
                "has no effect with a schedule: its runs are not checked",
                "remove it",
            )
        _check_health(process.health_check, (*path, "health_check"), report)


def check_hook(hook: HookConfig, path: Path, report: ProblemReport) -> None:
    """Report what is wrong with one hook."""
    check_command(hook.command, (*path, "command"), report)
    _check_env(hook.env, (*path, "env"), report)


def _name_fault(name: str) -> str:
    """Why ``name`` is invalid for a process, whose name is part of URLs; empty when it is valid."""
    if not name:
        return "is empty"
    if name in (".", ".."):
        return "means a directory in a URL"
    if len(name) > _LONGEST_NAME:
        return f"is longer than {_LONGEST_NAME} characters"
    if any(letter.isspace() or not letter.isprintable() for letter in name):
        return "contains white space or a control character, which URLs cannot contain"
    if any(letter in "/?#%" for letter in name):
        return "contains one of / ? # %, which have a meaning in URLs"
    return ""


def _usable_name(name: str) -> str:
    """The name that is most like ``name`` and valid; empty when nothing of it is left."""
    words = "".join(letter if letter.isalnum() or letter in "-_." else " " for letter in name).split()
    return "-".join(words)[:_LONGEST_NAME].strip("-.")


def check_command(command: tuple[str, ...], path: Path, report: ProblemReport) -> None:
    """Report a command that is missing or has no program."""
    if not command:
        report.missing(path, "a command is required", 'write a list such as ["php", "artisan", "queue:work"]')
    elif not command[0].strip():
        report.error(path, "the program is empty", "write the program as the first word")


def _check_env(env: dict[str, str], path: Path, report: ProblemReport) -> None:
    for name in env:
        if not name or "=" in name or "\0" in name:
            report.error((*path, name), "is not a valid name of a variable", "use letters, digits and _")


def _check_files_of_variables(process: ProcessConfig, path: Path, report: ProblemReport) -> None:
    if len(process.env_file) > _MOST_ENV_FILES:
        report.error((*path, "env_file"), f"names more than {_MOST_ENV_FILES} files", "name fewer")
    for index, entry in enumerate(process.env_file):
        if not entry.path:
            report.missing((*path, "env_file", index, "path"), "is empty", "write the path of a file")


def _check_groups(groups: tuple[str, ...], path: Path, report: ProblemReport) -> None:
    for index, name in enumerate(groups):
        if (
            len(name) > _LONGEST_NAME
            or not name.replace("-", "a").replace("_", "a").replace(".", "a").isalnum()
        ):
            report.error(
                (*path, index), f"{quoted(name)} is not the name of a group", "use letters, digits, - and _"
            )


def _check_hook_user(process: ProcessConfig, path: Path, report: ProblemReport) -> None:
    """Hooks of a process ran as the daemon's user once: whose run as another user now is said."""
    if not process.enabled or process.hook_user is not None or not (process.user or process.group):
        return
    if process.user in _ROOT and process.group in (None, "", *_ROOT):
        return  # only a daemon of root can start it, and its hooks go on as root
    who = f"user {process.user}" if process.user else f"group {process.group}"
    for key, hook in (
        ("pre_stop_hook", process.shutdown.pre_stop_hook),
        ("post_stop_hook", process.shutdown.post_stop_hook),
    ):
        if hook is not None:
            report.warning(
                (*path, "shutdown", key),
                f"runs as {who} of the process, and no longer as the user of the daemon",
                f"set hook_user: root to run it as before, or hook_user: {process.user or 'NAME'} to agree",
            )


def _check_type(process: ProcessConfig, path: Path, report: ProblemReport) -> None:
    if process.type is not ProcessType.ONESHOT:
        return
    if process.restart is RestartPolicyName.ALWAYS:
        report.error(
            (*path, "restart"),
            "always is not possible for a oneshot",
            "use on-failure or never",
        )
    if process.scale > 1 or isinstance(process.scale, CpuCount):
        report.error((*path, "scale"), "a oneshot has one instance", "set scale to 1, or use type: longrun")


def _check_time_limits(process: ProcessConfig, path: Path, report: ProblemReport) -> None:
    if process.timeout is not None and process.type is not ProcessType.ONESHOT:
        report.warning(
            (*path, "timeout"),
            "has no effect: it limits a oneshot, or the runs of a schedule",
            "set type: oneshot, or use max_runtime or dependency_timeout",
        )
    if process.max_runtime is not None and (process.schedule or process.type is ProcessType.ONESHOT):
        key = "schedule_timeout" if process.schedule else "timeout"
        report.warning((*path, "max_runtime"), "has no effect: what it limits is replaced", f"use {key}")


def _check_notify(process: ProcessConfig, path: Path, report: ProblemReport) -> None:
    if process.type is not ProcessType.NOTIFY:
        if process.watchdog:
            report.warning(
                (*path, "watchdog"),
                "has no effect without type: notify",
                "set type: notify, or remove it",
            )
    elif process.schedule:
        report.warning(
            (*path, "type"),
            "notify has no effect with a schedule: its runs are not checked for readiness",
            "use type: oneshot",
        )


def _check_ready_when(process: ProcessConfig, path: Path, report: ProblemReport) -> None:
    given = process.ready_when
    if given is None:
        return
    if process.schedule:
        report.warning(path, "has no effect with a schedule: its runs are not checked", "remove it")
    elif process.type is ProcessType.ONESHOT:
        report.error(path, "a oneshot is ready when it has ended", "remove it, or use type: longrun")
    elif process.type is ProcessType.NOTIFY:
        report.error(path, "type: notify says itself when it is ready", "remove it, or use type: longrun")
    elif not (process.logging.stdout or process.logging.stderr):
        hint = "set logging.stdout or logging.stderr to true"
        report.error(path, "neither stdout nor stderr is read, so that no line could match", hint)
    if not given.log:
        report.missing((*path, "log"), "is required", "write a pattern, such as listening")
        return
    from cbox_init.config.check_logging import check_pattern

    check_pattern(given.log, (*path, "log"), report)


def _check_scale(name: str, process: ProcessConfig, config: Config, report: ProblemReport) -> None:
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
            f"is above global.max_process_scale ({largest}), which limits it",
            "raise the global one, or lower this one",
        )
    last = process.port_base + max(process.scale, 1) - 1
    if process.port_base and last > _LAST_PORT:
        report.error(
            (*path, "port_base"),
            f"the last instance would have port {last}",
            f"keep port_base + scale below {_LAST_PORT + 2}",
        )


def _check_rollout(process: ProcessConfig, path: Path, report: ProblemReport) -> None:
    rollout = process.rollout
    if rollout == type(rollout)():
        return
    if process.schedule or process.type is ProcessType.ONESHOT:
        kind = "a process with a schedule" if process.schedule else "a oneshot"
        report.warning(path, f"has no effect on {kind}", "remove it")
        return
    if rollout.max_surge == 0 and rollout.max_unavailable == 0:
        report.error(
            path,
            "max_surge and max_unavailable are both 0, so no instance could ever be replaced",
            "set one of them to 1",
        )
    last = process.port_base + process.scale + (rollout.max_surge or 0) - 1
    if process.port_base and rollout.max_surge and process.scale and last > _LAST_PORT:
        report.error(
            (*path, "max_surge"),
            f"the last instance of a rollout would have port {last}",
            f"keep port_base + scale + max_surge below {_LAST_PORT + 2}",
        )
    if rollout.strategy is not RolloutStrategy.ROLLING:
        for key in ("max_surge", "max_unavailable", "pause"):
            if getattr(rollout, key):
                report.warning((*path, key), f"has no effect with strategy: {rollout.strategy}", "remove it")


def _check_shutdown(process: ProcessConfig, config: Config, path: Path, report: ProblemReport) -> None:
    timeout, whole = process.shutdown.timeout, config.global_.shutdown_timeout
    if timeout is not None and timeout > whole:
        report.warning(
            (*path, "shutdown", "timeout"),
            f"is above global.shutdown_timeout ({format_duration(whole)}), which limits the whole shutdown",
            "raise the global one, or lower this one",
        )
    for key, hook in (
        ("pre_stop_hook", process.shutdown.pre_stop_hook),
        ("post_stop_hook", process.shutdown.post_stop_hook),
    ):
        if hook is not None:
            check_hook(hook, (*path, "shutdown", key), report)
    if process.shutdown.pre_stop_hook is not None and not process.shutdown.graceful:
        report.suggestion(
            (*path, "shutdown", "pre_stop_hook"),
            "is not run, since graceful is false",
            "set graceful to true",
        )


def _check_limits(limits: LimitsConfig, max_memory_mb: int, path: Path, report: ProblemReport) -> None:
    for key, rlimit in (("nofile", limits.nofile), ("nproc", limits.nproc), ("core", limits.core)):
        if rlimit is None or rlimit.soft is None or rlimit.hard in (None, UNLIMITED):
            continue
        assert rlimit.hard is not None
        if rlimit.soft == UNLIMITED or rlimit.soft > rlimit.hard:
            report.error((*path, key, "soft"), "is above the hard limit", "lower it, or raise hard")
    if limits.memory is not None and max_memory_mb << 20 >= limits.memory:
        report.suggestion(
            (*path, "memory"),
            f"is not above max_memory_mb ({max_memory_mb} MB), so that the kernel kills before the restart",
            "raise it, or lower max_memory_mb",
        )


def _check_schedule(process: ProcessConfig, path: Path, report: ProblemReport) -> None:
    from cbox_init.cron import EXPRESSION_HINT, CronError, find_zone, parse

    try:
        parse(process.schedule or "")
    except CronError as error:
        report.error((*path, "schedule"), str(error), EXPRESSION_HINT)
    try:
        find_zone(process.schedule_timezone)
    except CronError as error:
        hint = "write UTC, Local, or a name such as Europe/Berlin"
        report.error((*path, "schedule_timezone"), str(error), hint)
    if process.scale > 1 or isinstance(process.scale, CpuCount):
        report.warning(
            (*path, "scale"),
            "has no effect on a process with a schedule",
            "remove it; schedule_max_concurrent limits its runs",
        )


def _check_unscheduled(process: ProcessConfig, path: Path, report: ProblemReport) -> None:
    default = type(process)()
    for key in _OF_SCHEDULES:
        if getattr(process, key) not in (getattr(default, key), HeartbeatConfig()):
            report.warning((*path, key), "has no effect without a schedule", "set schedule, or remove it")


def _check_heartbeat(heartbeat: HeartbeatConfig, path: Path, report: ProblemReport) -> None:
    """URLs are secrets, so that messages do not show them."""
    urls = {key: getattr(heartbeat, key) for key in ("url", "start_url", "success_url", "failure_url")}
    for key, url in urls.items():
        if url and not url.reveal().lower().startswith(("http://", "https://")):
            report.error((*path, key), "is not an HTTP URL", "begin it with https:// or http://")
    _check_method(heartbeat.method, (*path, "method"), report)
    check_headers(heartbeat.headers, (*path, "headers"), report)


def check_headers(headers: Mapping[str, Secret], path: Path, report: ProblemReport) -> None:
    """Reports headers that HTTP cannot carry. Their values are secrets and are not shown."""
    for name, value in headers.items():
        text = value.reveal()
        if not name or not set(name) <= _OF_HEADER_NAMES:
            hint = "use letters, digits and dashes in its name"
            report.error((*path, name), "cannot be the name of a header", hint)
        elif not text.isascii() or not text.isprintable():
            report.error((*path, name), "cannot be sent as a header", "use printable ASCII")


def _check_method(method: str, path: Path, report: ProblemReport) -> None:
    if not (method.isascii() and method.isalpha()):
        report.error(path, f"{quoted(method)} is not an HTTP method", "write GET, HEAD or POST")


def _check_health(check: HealthCheckConfig, path: Path, report: ProblemReport) -> None:
    default = type(check)()
    for key, types in _ONLY_FOR_CHECKS.items():
        if check.type not in types and getattr(check, key) not in (getattr(default, key), HealthTlsConfig()):
            report.warning((*path, key), f"has no effect on a check of type {check.type}", "remove it")
    check_headers(check.headers, (*path, "headers"), report)
    _check_method(check.method, (*path, "method"), report)
    match check.type:
        case HealthCheckType.HTTP:
            key, present = "url", check.url is not None
        case HealthCheckType.EXEC:
            key, present = "command", bool(check.command)
        case _:
            key, present = "address", check.address is not None
    if not present:
        report.missing(
            (*path, key), f"is required for a check of type {check.type}", "add it, or choose another type"
        )
        return
    try:
        # What holds a variable of the instance is known only then.
        if check.type is HealthCheckType.HTTP and "${" not in (check.url or ""):
            parse_url(check.url or "")
        elif check.type in (HealthCheckType.TCP, HealthCheckType.GRPC) and "${" not in (check.address or ""):
            parse_address(check.address or "")
    except ValueError as fault:
        hint = "write http://HOST:PORT/PATH" if key == "url" else "write HOST:PORT"
        report.error((*path, key), f"is invalid: {fault}", hint)
