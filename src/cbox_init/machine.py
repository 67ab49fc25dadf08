"""Checks the configuration against this machine, for ``check-config``: accounts, limits, log files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cbox_init.config.check import check_accounts
from cbox_init.config.check_outputs import check_places
from cbox_init.config.model.kinds import INHERITS_ALL
from cbox_init.errors import TlsFileError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cbox_init.config.model import Config, GlobalConfig, LimitsConfig, ProcessConfig
    from cbox_init.config.problems import ProblemReport

#: The keys that need a cgroup, and the hint if there is none.
_WITHOUT_CGROUP: Final = {
    "cpu": "run it where a cgroup v2 is delegated; without one, instances start without this limit",
    "memory": "run it where a cgroup v2 is delegated, or use max_memory_mb; without, there is no limit",
}


def check_machine(config: Config, report: ProblemReport) -> None:
    """Report users, groups and limits that this machine lacks as warnings, as it may run on another one.

    A log file that cannot be written is an error, as it is for ``serve``.
    """
    check_accounts(config, report)
    _check_command_lines(config, report)
    check_places(config, report)
    _check_own_files(config.global_, report)
    _check_withheld(config, report)
    _check_tls(config.global_, report)
    _check_audit(config.global_, report)
    if config.global_.tracing_enabled:
        _check_tracing(config.global_, report)
    if config.global_.api_tokens:
        from cbox_init.config.api_roles import check_token_files, check_token_hashes

        check_token_hashes(config.global_, check_token_files(config.global_, report), report)
    if config.notifications:
        from cbox_init.config.check_notifications import check_files

        check_files(config, report)
    _check_php(config, report)
    limited = {
        name: process.limits
        for name, process in config.processes.items()
        if process.enabled and process.limits is not None
    }
    if limited:
        _check_limits(limited, report)
    for name, process in config.processes.items():
        if process.enabled:
            _check_sandbox(name, process, report)
            if process.logging.files:
                _check_followed(name, process, report)


def _check_tracing(settings: GlobalConfig, report: ProblemReport) -> None:
    """The extra that sends traces is not installed."""
    from cbox_init.config.tracing_target import target_of
    from cbox_init.tracing.extra import INSTALL, missing_package

    try:
        target = target_of(settings)
    except ValueError:  # reported with the keys
        return
    if target is not None and (package := missing_package(grpc=target.grpc)) is not None:
        report.warning(
            ("global", "tracing_exporter"),
            f"no traces are sent: {package} is not installed here",
            f"{INSTALL}, or tracing_exporter: stdout",
        )


def _check_php(config: Config, report: ProblemReport) -> None:
    """A profile for PHP-FPM that does not fit into the memory here."""
    if config.global_.php_fpm_profile is None:
        return
    from cbox_init.errors import AutotuneError
    from cbox_init.php.autotune import autotuned, capacity_of, wanted

    profile = config.global_.php_fpm_profile
    path = ("global", "php_fpm_profile")
    try:
        found = autotuned(wanted({}, config), profile, capacity_of(None, None), {}, config)
    except AutotuneError as error:
        report.warning(path, f"does not fit here: {error}")
        return
    for remark in found.size.remarks:
        report.warning(path, f"is tight here: {remark}")
    for name in found.without:
        report.warning(
            ("processes", name, "environment"),
            "does not let php-fpm have the variables of its profile",
            "add 'PHP_FPM_*'",
        )


def _check_own_files(settings: GlobalConfig, report: ProblemReport) -> None:
    """The readiness file and the Unix socket, where a link of another user is on the way."""
    from cbox_init.safe_paths import why_refused

    readiness = settings.readiness
    for path, place in (
        (("readiness", "path"), readiness.path if readiness is not None and readiness.enabled else None),
        (("api_socket",), settings.api_socket),
    ):
        why = why_refused(place, last_link=False) if place else None
        if why is not None:
            report.warning(("global", *path), f"cannot be made here: {why}")


def _check_withheld(config: Config, report: ProblemReport) -> None:
    """Variables that no process inherits, because the daemon's own secrets come from them, or names."""
    inheriting = [
        one.variables for one in config.enabled_processes().values() if one.variables.inherits == INHERITS_ALL
    ]
    kept = {name for variables in inheriting for name in variables.kept}
    names = sorted(name for name in report.withheld - kept if not name.startswith("CBOX_INIT_"))
    if names and inheriting:
        report.suggestion(
            (),
            f"not inherited by processes, as the daemon's own secrets come from there: {', '.join(names)}",
            f"where a process needs it, name it: env: {{{names[0]}: '${{{names[0]}}}'}}",
        )


def _check_followed(name: str, process: ProcessConfig, report: ProblemReport) -> None:
    """Files that the process's user may not read, which are not followed."""
    from cbox_init.errors import SpawnError
    from cbox_init.safe_paths import why_not_read
    from cbox_init.system.identity import resolve

    try:
        reader = resolve(process.user, process.group) if process.user else None
    except SpawnError:
        return  # which `check_accounts` reports
    for key, file in process.logging.files.items():
        why_not = why_not_read(file.path, reader) if file.path else None
        if why_not is not None:
            report.warning(
                ("processes", name, "logging", "files", key, "path"), f"is not followed here: {why_not}"
            )


def _check_audit(settings: GlobalConfig, report: ProblemReport) -> None:
    """Where the audit file would be. A warning, as it may be written when the cause is gone."""
    if settings.audit_enabled and settings.audit_output != "log":
        from cbox_init.audit.file import place_problem

        problem = place_problem(settings.audit_output)
        if problem is not None:
            hint = "name a file in a directory that only root or the daemon's user can write to"
            report.warning(("global", "audit_output"), f"cannot be written: {problem}", hint)


def _check_command_lines(config: Config, report: ProblemReport) -> None:
    """Suggest another place for secrets in arguments: every user of a machine can list those."""
    from cbox_init.config.masking import secret_values
    from cbox_init.sensitive import KnownSecrets, command_without_secrets

    known = KnownSecrets(lambda: secret_values(config, {}))
    for name, process in config.processes.items():
        if process.enabled and any(
            shown != word or known.masked(word) != word
            for shown, word in zip(command_without_secrets(process.command), process.command, strict=True)
        ):
            report.suggestion(
                ("processes", name, "command"),
                "seems to hold a secret, which every user can see in the list of processes",
                "give it in env or env_file, and let the program or a shell take it from there",
            )


def _check_tls(settings: GlobalConfig, report: ProblemReport) -> None:
    """Certificates and keys, as the listeners would use them. A file that is not there may be elsewhere."""
    readiness = settings.readiness
    probed = readiness is not None and readiness.enabled and readiness.http_port
    for keys, section, used in (
        (("api_tls",), settings.api_tls, settings.api_enabled),
        (("metrics_tls",), settings.metrics_tls, settings.metrics_enabled),
        (("readiness", "http_tls"), readiness.http_tls if readiness else None, probed),
    ):
        if not used or section is None or not section.enabled:
            continue
        from cbox_init.config.tls_files import load_tls

        path = ("global", *keys)
        try:
            remarks = load_tls(section).remarks
        except TlsFileError as error:
            name, _, index = error.key.rstrip("]").partition("[")
            where = (*path, name, int(index)) if index else (*path, name)
            (report.warning if error.gone else report.error)(where, error.message, error.hint)
            continue
        for name, message, hint, harmful in remarks:
            (report.warning if harmful else report.suggestion)((*path, name), message, hint)


def _check_sandbox(name: str, process: ProcessConfig, report: ProblemReport) -> None:
    from cbox_init.supervisor.instance.launch import sandbox_of

    sandbox = sandbox_of(name, process)
    if sandbox is None:
        return
    from cbox_init.system.sandbox_errors import refused_parts

    for key, why in refused_parts(sandbox):
        section, dot, rest = key.partition(".")
        section, bracket, index = section.rstrip("]").partition("[")
        step = (int(index),) if bracket else (rest,) if dot else ()
        path = ("processes", name, section, *step)
        report.warning(path, f"cannot be applied here: {why}", "an instance would not start here")


def _check_limits(limited: Mapping[str, LimitsConfig], report: ProblemReport) -> None:
    from cbox_init.supervisor.instance.limits import limits_of
    from cbox_init.system.cgroup import Cgroups
    from cbox_init.system.limit_errors import refused

    cgroups = Cgroups()
    for name, limits in limited.items():
        path = ("processes", name, "limits")
        for key, why in refused(limits_of(name, limits, None)):
            report.warning((*path, key), f"cannot be applied here: {why}", "an instance would not start here")
        for key, hint in _WITHOUT_CGROUP.items():
            if getattr(limits, key) is not None and (why_not := cgroups.lacks(key)):
                report.warning((*path, key), f"cannot be applied here: {why_not}", hint)
