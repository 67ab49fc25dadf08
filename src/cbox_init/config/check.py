"""What a configuration means as a whole: contradictions, unknown names, settings that invite harm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from cbox_init.config.check_process import check_hook, check_process
from cbox_init.config.model import (
    AclMode,
    Config,
    GlobalConfig,
    LoggingConfig,
    LogLevel,
    ProcessConfig,
)
from cbox_init.config.rules import identified, is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cbox_init.config.model import AclConfig, HooksConfig
    from cbox_init.config.problems import ProblemReport
    from cbox_init.config.raw import Path

_SHORT_TOKEN: Final = 12

#: Keys of ``global`` that are read and have no effect yet.
_NOT_YET: Final = ("process_stop_timeout",)


def check(config: Config, report: ProblemReport) -> None:
    """Report every problem that does not depend on this machine. ``config`` holds effective values."""
    _check_global(config.global_, report)
    global_ = config.global_
    if global_.api_tokens or global_.api_certificate_roles or global_.api_socket_roles:
        from cbox_init.config.api_roles import check_api_roles

        check_api_roles(config, report)
    _check_logging(config, report)
    _check_hooks(config.hooks, report)
    if not config.processes:
        report.missing(
            ("processes",),
            "no process is defined",
            "add one: processes: {NAME: {command: [PROGRAM, ARGUMENT]}}",
        )
    elif not any(process.enabled for process in config.processes.values()):
        report.warning(
            ("processes",),
            "every process is disabled, so nothing is started",
            "enable one, or remove the others",
        )
    for name, process in config.processes.items():
        check_process(name, process, config, report)
        if process.autoscale is not None:
            from cbox_init.config.check_autoscale import check_autoscale

            check_autoscale(process, process.autoscale, config.scale_limit(name), ("processes", name), report)
    _check_dependencies(config.processes, report)
    _check_readiness(config, report)
    if config.global_.log_outputs or any(
        one.logging.outputs or one.logging.files for one in config.processes.values()
    ):
        from cbox_init.config.check_outputs import check_outputs

        check_outputs(config, report)
    if config.notifications:
        from cbox_init.config.check_notifications import check_notifications

        check_notifications(config, report)
    if ineffective := not_acted_on(config):
        report.warning((), f"not implemented yet, without effect: {', '.join(ineffective)}", "remove them")


def check_accounts(config: Config, report: ProblemReport) -> None:
    """Users and groups that this machine does not have are warnings."""
    from grp import getgrnam
    from pwd import getpwnam

    lookups: tuple[tuple[str, Callable[[str], object]], ...] = (
        ("user", getpwnam),
        ("group", getgrnam),
        ("hook_user", getpwnam),
    )
    socket_group = config.global_.api_socket_group
    if socket_group is not None and not _is_number(socket_group):
        try:
            getgrnam(socket_group)
        except KeyError:
            report.warning(
                ("global", "api_socket_group"),
                f"no group {socket_group!r} on this machine",
                "create it in the image, or correct the name",
            )
    for name, process in config.processes.items():
        accounts = (process.user, process.group, process.hook_user)
        for (key, look_up), account in zip(lookups, accounts, strict=True):
            if not account or _is_number(account):
                continue
            try:
                look_up(account)
            except KeyError:
                hint = "create it in the image, or correct the name"
                what = key.removeprefix("hook_")
                report.warning(("processes", name, key), f"no {what} {account!r} on this machine", hint)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def not_acted_on(config: Config) -> list[str]:
    """The paths of the keys that ``config`` sets to no effect, in the order of the model: all of ``global``.

    A key that has its default is not among them, nor is a section whose ``enabled`` is false.
    """
    given, default = config.global_, GlobalConfig()
    return [f"global.{key}" for key in _NOT_YET if _is_set(getattr(given, key), getattr(default, key))]


def _check_global(global_: GlobalConfig, report: ProblemReport) -> None:
    path = ("global",)
    if global_.api_enabled and open_to_all(global_):
        if global_.api_insecure:
            report.warning(
                (*path, "api_insecure"),
                "anyone who reaches this port could run any command: api_auth is not set",
                "set api_auth or api_tokens, or api_host: 127.0.0.1",
            )
        else:
            report.warning(
                (*path, "api_enabled"),
                "anyone who reaches the port can start and stop processes: api_auth is not set; "
                "requests that change the configuration get 403",
                "set api_auth or api_tokens, or api_host: 127.0.0.1",
            )
    if global_.api_socket_mode & 0o002 and not global_.api_socket_roles:
        report.warning(
            (*path, "api_socket_mode"),
            "every user can open the socket, and could run any command",
            "write 0660 and set api_socket_group, or set api_socket_roles",
        )
    if 0 < global_.shutdown_timeout <= global_.shutdown_drain:
        report.warning(
            (*path, "shutdown_drain"),
            "is not below shutdown_timeout, so that everything is killed when it is over",
            "lower it, or raise shutdown_timeout",
        )
    if global_.state_dir is not None and not global_.state_dir.startswith("/"):
        hint = "write the absolute path of a directory, such as /var/lib/cbox-init"
        report.error((*path, "state_dir"), f"{global_.state_dir!r} is not an absolute path", hint)
    token = global_.api_auth
    if global_.api_enabled and token and len(token.reveal()) < _SHORT_TOKEN:
        report.suggestion((*path, "api_auth"), "is short enough to be guessed", "use 32 random characters")
    initial, cap = global_.restart_backoff_initial, global_.restart_backoff_max
    if initial is not None and cap is not None and initial > cap:
        report.warning(
            (*path, "restart_backoff_max"),
            "is below restart_backoff_initial, so that every wait is this long",
            "raise it",
        )
    if global_.tracing_enabled:
        from cbox_init.config.tracing_target import check_tracing

        check_tracing(global_, report)
    if global_.autotune_memory_threshold > 1:
        report.warning(
            (*path, "autotune_memory_threshold"),
            "is above 1.0, so that more memory is planned than there is",
            "use at most 1.0",
        )
    if global_.audit_enabled:
        _check_audit(global_, report)
    _check_metrics_path(global_.metrics_path, report)
    for index, origin in enumerate(global_.api_cors_origins):
        if not _is_origin(origin):
            hint = "write https://HOST or http://HOST:PORT, as the browser sends it, without a path"
            report.error((*path, "api_cors_origins", index), f"{origin!r} is no origin of web pages", hint)
    for key, acl in (("api_acl", global_.api_acl), ("metrics_acl", global_.metrics_acl)):
        if acl is not None:
            _check_acl(acl, (*path, key), report)


def _check_logging(config: Config, report: ProblemReport) -> None:
    """Check the log pipeline; most files do not configure it, so that its checks are imported only when
    needed.
    """
    global_ = config.global_
    plain = LoggingConfig(min_level=LogLevel.INFO)
    special = {
        name: process.logging
        for name, process in config.processes.items()
        if replace(process.logging, stdout=True, stderr=True, labels={}) != plain
    }
    if (
        special
        or global_.log_level in (LogLevel.WARN, LogLevel.ERROR)
        or global_.log_multiline_enabled
        or global_.log_multiline_pattern
        or global_.log_redaction_patterns
        or global_.log_filter_patterns
    ):
        from cbox_init.config.check_logging import check_global_logging, check_logging

        check_global_logging(global_, config.enabled_processes(), report)
        for name, logging in special.items():
            check_logging(logging, global_, ("processes", name, "logging"), report)


def open_to_all(global_: GlobalConfig) -> bool:
    """Whether others than this machine can use the API on TCP, if it is enabled, and need not say who they
    are. Without `api_insecure` they may read, start and stop, and not change the configuration.
    """
    return not is_loopback(global_.api_host) and not identified(global_)


def _check_audit(global_: GlobalConfig, report: ProblemReport) -> None:
    output = global_.audit_output
    if output == "log":
        if global_.audit_required:
            report.error(
                ("global", "audit_required"),
                "needs a file: what the log has taken may still be lost",
                "set audit_output: /FILE",
            )
    elif not output.startswith("/") or output.endswith("/"):
        hint = "write log, or the path of a file that begins with /"
        report.error(("global", "audit_output"), f"{output!r} is neither log nor an absolute path", hint)
    elif any(output == other.path for other in global_.log_outputs.values()):
        hint = "name another file: each record of the audit file holds the hash of the one before"
        report.error(("global", "audit_output"), "an output of log_outputs writes to the same file", hint)


def _check_metrics_path(given: str, report: ProblemReport) -> None:
    path = ("global", "metrics_path")
    if not given.startswith("/") or not given.isprintable() or any(sign in given for sign in " ?#"):
        report.error(path, f"{given!r} is not a path", "write one that begins with /, such as /metrics")
    elif given == "/health":
        report.error(
            path,
            "/health is taken: the metrics port answers there that it is up",
            "write another, such as /metrics",
        )


def _is_origin(text: str) -> bool:
    scheme, _, host = text.partition("://")
    return scheme in ("http", "https") and host.isascii() and bool(host) and set(host).isdisjoint("/?#@*, ")


def _check_acl(acl: AclConfig, path: Path, report: ProblemReport) -> None:
    """An entry that is no address is an error even where the list is off: it must never be an open door."""
    from cbox_init.config.acl import bad_entries

    for error in bad_entries(acl):
        report.error((*path, error.key, error.index), str(error), error.hint)
    if acl.enabled and acl.mode is AclMode.ALLOW and not acl.allow_list:
        report.warning(
            (*path, "allow_list"), "is empty, so every client is refused", "list the addresses of clients"
        )


def _check_hooks(hooks: HooksConfig, report: ProblemReport) -> None:
    for key, entries in (
        ("pre-start", hooks.pre_start),
        ("post-start", hooks.post_start),
        ("pre-stop", hooks.pre_stop),
        ("post-stop", hooks.post_stop),
    ):
        for index, hook in enumerate(entries):
            check_hook(hook, ("hooks", key, index), report)


def _check_readiness(config: Config, report: ProblemReport) -> None:
    readiness = config.global_.readiness
    for index, name in enumerate(readiness.processes if readiness is not None else ()):
        if name not in config.processes:
            hint = report.did_you_mean(name, config.processes, "name a process of this file")
            report.error(("global", "readiness", "processes", index), f"no process is called {name!r}", hint)


def _check_dependencies(processes: Mapping[str, ProcessConfig], report: ProblemReport) -> None:
    enabled = {name: process for name, process in processes.items() if process.enabled}
    needs = {name: process.depends_on for name, process in enabled.items()}
    _check_names(needs, "depends_on", "nothing is waited for", processes, report)
    for cycle in _cycles(needs):
        names = " -> ".join(cycle)
        where = ("processes", cycle[0], "depends_on")
        report.error(where, f"the processes wait for each other: {names}", "remove one of these")
    follows = {name: process.restart_with for name, process in enabled.items()}
    if not any(follows.values()):
        return
    _check_names(follows, "restart_with", "nothing is restarted with it", processes, report)
    for cycle in _cycles(follows):
        names = " -> ".join(cycle)
        where = ("processes", cycle[0], "restart_with")
        report.error(
            where, f"the processes would restart each other for ever: {names}", "remove one of these"
        )
    for name, others in follows.items():
        if others and enabled[name].schedule:
            where = ("processes", name, "restart_with")
            report.warning(where, "has no effect with a schedule: its runs are not restarted", "remove it")
        for index, other in enumerate(others):
            if other in enabled and enabled[other].schedule:
                entry = ("processes", name, "restart_with", index)
                report.warning(entry, f"{other} has a schedule: its runs restart nothing", "remove it")


def _check_names(
    named: Mapping[str, tuple[str, ...]],
    key: str,
    consequence: str,
    processes: Mapping[str, ProcessConfig],
    report: ProblemReport,
) -> None:
    """Report names of ``key`` that are no enabled processes."""
    for name, others in named.items():
        for index, other in enumerate(others):
            path = ("processes", name, key, index)
            if other not in processes:
                hint = report.did_you_mean(other, processes, "name a process of this file, or remove it")
                report.error(path, f"no process is called {other!r}", hint)
            elif other not in named:
                report.warning(path, f"{other} is disabled, so {consequence}", "enable it, or remove it")


def _cycles(needs: Mapping[str, tuple[str, ...]]) -> list[list[str]]:
    """Each cycle that a walk along the dependencies closes, its first name again at the end."""
    cycles: list[list[str]] = []
    done: set[str] = set()
    for start in needs:
        trail = {} if start in done else {start: iter(needs[start])}
        while trail:
            name, rest = next(reversed(trail.items()))
            for other in rest:
                if other in trail:
                    names = list(trail)
                    cycles.append([*names[names.index(other) :], other])
                elif other in needs and other not in done:
                    trail[other] = iter(needs[other])
                    break
            else:
                del trail[name]
                done.add(name)
    return cycles


def _is_set(value: object, default: object) -> bool:
    return bool(value != default and getattr(value, "enabled", True))
