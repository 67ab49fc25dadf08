"""What the outputs and the followed files of a configuration mean, each for itself and all together."""

from __future__ import annotations

import os
import re
from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from cbox_init.config.check_logging import check_filters
from cbox_init.config.check_process import check_headers
from cbox_init.config.model import GlobalConfig, OutputType
from cbox_init.config.outputs import (
    INSTANCE_NAMES,
    PROCESS_NAMES,
    otlp_url,
    output_type,
    syslog_address,
)
from cbox_init.config.raw import path_text
from cbox_init.config.substitute import INSTANCE_NAMES as ALL_NAMES
from cbox_init.config.substitute import references
from cbox_init.safe_paths import identity_at, others_can_change, real_path, why_refused
from cbox_init.threads import NoThreadError, wait_in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cbox_init.config.model import Config, OutputConfig
    from cbox_init.config.problems import ProblemReport
    from cbox_init.config.raw import Path

#: The types for which a key has a meaning, where that is not all of them.
_ONLY_FOR = {
    "path": (OutputType.FILE,),
    "address": (OutputType.SYSLOG, OutputType.OTLP),
    "rotate": (OutputType.FILE,),
    "format": (OutputType.FILE, OutputType.STDOUT, OutputType.STDERR),
    "headers": (OutputType.OTLP,),
}

#: How long a file system may take to answer, in seconds. The start waits for it.
_ANSWER_TAKES_S = 1.0

_T = TypeVar("_T")

#: What stands for the name of a process or an instance in a path.
_REFERENCE = re.compile(r"\$\{")


def check_outputs(config: Config, report: ProblemReport) -> None:
    """Reports what is wrong with the outputs and the followed files of all processes."""
    written: dict[str, tuple[Path, OutputConfig]] = {}
    for path, output in _outputs(config):
        if output.filters is not None:
            check_filters(output.filters, GlobalConfig(), (*path, "filters"), report)
        kind = _check_output(output, path, report)
        if kind is not OutputType.FILE or not output.enabled or not output.path:
            continue
        file = os.path.normpath(output.path)
        first, other = written.setdefault(file, (path, output))
        if other.rotate != output.rotate:
            report.warning(
                (*path, "rotate"),
                f"{path_text(first)} writes to the same file with another rotate, which is used",
                "write the same in both",
            )
    _check_files(config, written, report)


def check_places(config: Config, report: ProblemReport) -> None:
    """Reports files of outputs that cannot be written on this machine, as far as can be seen now."""
    file_systems = _FileSystems(report)
    for path, output in _outputs(config):
        if output.enabled and output_type(output) is OutputType.FILE and output.path:
            found = file_systems.ask((*path, "path"), partial(_obstacle, output.path))
            if found is None:
                continue
            why, refused, others = found
            if why is not None:
                # A user who can change the place must not be able to prevent the start of the daemon.
                problem = report.warning if others else report.error
                problem((*path, "path"), f"cannot be written: {why}", "name a file that the daemon can write")
            elif refused is not None:
                report.warning((*path, "path"), f"will not be written now: {refused}")


class _FileSystems:
    """Asks file systems about paths in threads, until one does not answer, which is a warning."""

    def __init__(self, report: ProblemReport) -> None:
        self._report = report
        self._silent = False

    def ask(self, path: Path, question: Callable[[], _T]) -> _T | None:
        """What ``question`` returns; None when there is no answer."""
        if self._silent:
            return None
        try:
            return wait_in_thread(question, name="path-check", timeout_s=_ANSWER_TAKES_S)
        except (TimeoutError, NoThreadError) as error:
            self._silent = True
            self._report.warning(
                path, f"is not checked, nor are further paths: {error}", "check its file system"
            )
            return None


def _obstacle(file: str) -> tuple[str | None, str | None, bool]:
    """Why a file cannot be written, why it is refused at present, and whether others can change that."""
    start = next((match.start() for match in _REFERENCE.finditer(file)), None)
    place = file if start is None else os.path.dirname(file[:start]) or "."
    why = _why_not_writable(os.path.abspath(place), is_directory=start is not None)
    if why is not None:
        return why, None, others_can_change(place)
    return None, why_refused(place), False


def _why_not_writable(path: str, *, is_directory: bool) -> str | None:
    """Why no file can be written at ``path``, or made in it; None when it can be."""
    if not is_directory and os.path.exists(path):
        if os.path.isdir(path):
            return "it is a directory"
        if os.access(path, os.W_OK):
            return None
        return "its file system is mounted read-only" if _is_read_only(path) else "there is no permission"
    place = path if is_directory else os.path.dirname(os.path.realpath(path))
    while not os.path.exists(place):
        place = os.path.dirname(place)
    if not os.path.isdir(place):
        return f"{place} is no directory"
    if os.access(place, os.W_OK | os.X_OK):
        return None
    if _is_read_only(place):
        return f"the file system of {place} is mounted read-only"
    return f"there is no permission to create files in {place}"


def _is_read_only(path: str) -> bool:
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def _outputs(config: Config) -> Iterator[tuple[Path, OutputConfig]]:
    for name, output in config.global_.log_outputs.items():
        yield ("global", "log_outputs", name), output
    for process, settings in config.processes.items():
        for name, output in settings.logging.outputs.items():
            yield ("processes", process, "logging", "outputs", name), output


def _check_output(output: OutputConfig, path: Path, report: ProblemReport) -> OutputType | None:
    """Report what is wrong with one output; return its type, None when it has none."""
    kind = output_type(output)
    if kind is None:
        report.missing(
            (*path, "type"),
            "type is not set, and neither path nor address implies one",
            "write path: /FILE, address: udp://HOST:514, or type: stdout",
        )
        return None
    default = type(output)()
    for key, kinds in _ONLY_FOR.items():
        if kind not in kinds and getattr(output, key) != getattr(default, key):
            report.warning((*path, key), f"has no effect on an output of type {kind}", "remove it")
    if kind is not OutputType.SYSLOG and output.facility is not default.facility:
        report.warning((*path, "facility"), f"has no effect on an output of type {kind}", "remove it")
    if kind is OutputType.FILE:
        _check_path(output.path, path, report)
    elif kind is OutputType.OTLP and output.address is None:
        report.missing((*path, "address"), "is required for an output of type otlp", "write http://HOST:4318")
    elif kind in (OutputType.SYSLOG, OutputType.OTLP) and output.address is not None:
        try:
            syslog_address(output.address) if kind is OutputType.SYSLOG else otlp_url(output.address)
        except ValueError as fault:
            hint = (
                "write udp://HOST:514, tcp://HOST:514 or unix:///dev/log"
                if kind is OutputType.SYSLOG
                else "write http://HOST:4318"
            )
            report.error((*path, "address"), f"is invalid: {fault}", hint)
    check_headers(output.headers, (*path, "headers"), report)
    return kind


def _check_path(file: str | None, path: Path, report: ProblemReport) -> None:
    if not file:
        report.missing((*path, "path"), "is required for an output of type file", "write path: /FILE")
        return
    if file.endswith("/"):
        report.error((*path, "path"), f"{file!r} is a directory", "name a file in it")
    known = (*PROCESS_NAMES, *INSTANCE_NAMES)
    for name, _ in references(file):
        if name in ALL_NAMES and name not in known:
            report.error(
                (*path, "path"),
                f"${{{name}}} is not available in the path of an output",
                "use ${CBOX_INIT_PROCESS_NAME} or ${CBOX_INIT_INSTANCE_ID}",
            )


def _check_files(
    config: Config, written: dict[str, tuple[Path, OutputConfig]], report: ProblemReport
) -> None:
    file_systems = _FileSystems(report)
    for process, settings in config.processes.items():
        seen: dict[str, str] = {}
        for name, followed in settings.logging.files.items():
            path: Path = ("processes", process, "logging", "files", name)
            if not followed.path:
                report.warning(path, "has no path, so that nothing is followed", "write path: /FILE")
                continue
            file = os.path.normpath(followed.path)
            if any(mark in os.path.dirname(file) for mark in "*?["):
                report.error(
                    (*path, "path"),
                    "has a pattern in the name of a directory",
                    "use *, ? and [] in the last part of the path only",
                )
            if followed.path.endswith("/"):
                report.warning((*path, "path"), f"{followed.path!r} is a directory", "name a file in it")
            own = (
                file_systems.ask((*path, "path"), partial(_written_as, file, tuple(written)))
                if written
                else None
            )
            if own is not None:
                report.error(
                    (*path, "path"),
                    f"{path_text(written[own][0])} writes to it, so that it would follow itself",
                    "follow another file, or write to another",
                )
            if seen.setdefault(file, name) != name:
                report.warning(
                    (*path, "path"),
                    f"{seen[file]} follows the same file, so that each line appears twice",
                    "remove one",
                )
            if settings.working_dir is not None and not os.path.isabs(file):
                report.suggestion(
                    (*path, "path"),
                    "is relative to the daemon's working directory, not to working_dir",
                    "write an absolute path",
                )


def _written_as(followed: str, outputs: Sequence[str]) -> str | None:
    return next((output for output in outputs if _leads_to(followed, output)), None)


def _leads_to(followed: str, written: str) -> bool:
    """Whether a followed path or pattern is, or matches, the file of an output, as far as can be seen now.

    Links that will be refused do not count: their owners could prevent the start of the daemon by them.
    """
    if followed == written or real_path(followed) == real_path(written):
        return True
    directory, pattern = os.path.split(followed)
    place, name = os.path.split(written)
    if real_path(directory) == real_path(place) and fnmatchcase(name, pattern):
        return True
    identity = identity_at(followed)
    return identity is not None and identity == identity_at(written)
