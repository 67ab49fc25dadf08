"""Finds, reads and checks the configuration."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from cbox_init.config.check import check
from cbox_init.config.child_variables import daemon_secrets, with_variables
from cbox_init.config.convert import Converter
from cbox_init.config.document import parse_document
from cbox_init.config.effective import effective
from cbox_init.config.environment import override
from cbox_init.config.model import Config
from cbox_init.config.problems import Problem, ProblemReport, Severity
from cbox_init.config.raw import RawMap, kind_of, printable
from cbox_init.config.substitute import expand_values
from cbox_init.errors import ConfigError
from cbox_init.sensitive import KnownSecrets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from cbox_init.config.main_process import MainProcess
    from cbox_init.config.raw import Raw

_LARGEST_FILE: Final = 8 * 2**20
_EXTENSIONS: Final = (".yaml", ".yml")


class ConfigSource(NamedTuple):
    """Where the configuration came from, to read it again: a file (or none), and the environment over it.

    ``zero_scales`` is that of `Loaded`; ``main`` is the process of ``cbox-init run``.
    """

    path: str | None
    environ: Mapping[str, str]
    zero_scales: frozenset[str] = frozenset()
    main: MainProcess | None = None

    def load(self) -> Loaded:
        """As it is there now. Raises ConfigError."""
        return load(self.path, self.environ, main=self.main)


class Loaded(Struct, frozen=True, kw_only=True):
    """A configuration that can be used. ``problems`` are warnings and suggestions; no path: no file.

    ``withheld`` are the variables that children do not get, as the daemon has its own secrets from them.
    ``zero_scales`` are the processes of which the file says ``scale: 0``: the default here, and no instance
    when a reload finds it.
    """

    config: Config
    path: str | None
    problems: tuple[Problem, ...] = ()
    withheld: frozenset[str] = frozenset()
    zero_scales: frozenset[str] = frozenset()


class Examined(Struct, frozen=True, kw_only=True):
    """What was read, whether it can be used or not; ``config`` is None when there was nothing to convert.

    Where a key is wrong, ``config`` holds its default. ``included`` has the file of each process that is not
    from the main file. ``withheld`` and ``zero_scales`` are those of `Loaded`.
    """

    config: Config | None
    path: str | None
    problems: tuple[Problem, ...] = ()
    included: dict[str, str] = {}
    withheld: frozenset[str] = frozenset()
    zero_scales: frozenset[str] = frozenset()

    def of(self, severity: Severity) -> tuple[Problem, ...]:
        """The problems of one severity."""
        return tuple(problem for problem in self.problems if problem.severity is severity)

    @property
    def valid(self) -> bool:
        """Whether no error is among the problems."""
        return not self.of(Severity.ERROR)


def load(
    path: str | None,
    environ: Mapping[str, str],
    *,
    strict: bool = False,
    machine: Callable[[Config, ProblemReport], None] | None = None,
    main: MainProcess | None = None,
) -> Loaded:
    """The configuration of ``path``, or of the first file of the search order, under ``environ``'s overrides.

    Raises ConfigError with all problems when one of them is an error; with ``strict`` an unknown key is one.
    ``machine`` and ``main`` are those of `examine`.
    """
    found = examine(path, environ, strict=strict, machine=machine, main=main)
    if found.config is None or not found.valid:
        raise ConfigError(_summary(found), found.problems)
    return Loaded(
        config=found.config,
        path=found.path,
        problems=found.problems,
        withheld=found.withheld,
        zero_scales=found.zero_scales,
    )


def examine(
    path: str | None,
    environ: Mapping[str, str],
    *,
    strict: bool = False,
    machine: Callable[[Config, ProblemReport], None] | None = None,
    main: MainProcess | None = None,
) -> Examined:
    """As `load`, but return the problems instead of raising.

    ``machine`` adds what fits this machine badly, such as users that it does not have. ``main`` is the
    process of ``cbox-init run``.
    """
    report = ProblemReport(strict=strict)
    file = find(path, environ)
    config = _read(file, environ, report, main)
    if config is not None:
        check(config, report)
        if machine is not None:
            machine(config, report)
    return _examined(config, file, environ, report)


def examine_text(text: str, path: str, environ: Mapping[str, str]) -> Examined:
    """As `examine`, with ``text`` as what the file at ``path`` holds."""
    report = ProblemReport()
    config = _converted(text, path, environ, report)
    if config is not None:
        check(config, report)
    return _examined(config, path, environ, report)


def _examined(
    config: Config | None, file: str | None, environ: Mapping[str, str], report: ProblemReport
) -> Examined:

    def secrets() -> Iterator[str]:
        from cbox_init.config.masking import secret_values

        return secret_values(config or Config(), environ, report.withheld)

    return Examined(
        config=config,
        path=file,
        problems=report.problems(KnownSecrets(secrets)),
        included=_origins(report),
        withheld=report.withheld,
        zero_scales=frozenset(report.zero_scales),
    )


def _origins(report: ProblemReport) -> dict[str, str]:
    return {str(path[1]): file for path, file in report.files.items() if path[0] == "processes"}


def find(path: str | None, environ: Mapping[str, str]) -> str | None:
    """The file to read: ``path``, else CBOX_INIT_CONFIG, else the first that exists of the usual places."""
    named = environ.get("CBOX_INIT_CONFIG") if path is None else path
    if named or path is not None:
        return named
    return next((place for place in usual_places(environ) if os.path.isfile(place)), None)


def usual_places(environ: Mapping[str, str]) -> list[str]:
    """Where a file is looked for when none is named, in this order."""
    home = environ.get("HOME")
    bases = [f"{home}/.cbox/init/config"] if home else []
    bases += ["/etc/cbox/init/config", "/etc/cbox-init/cbox-init", "./cbox-init"]
    return [base + extension for base in bases for extension in _EXTENSIONS]


def _read(
    file: str | None, environ: Mapping[str, str], report: ProblemReport, main: MainProcess | None
) -> Config | None:
    """The configuration with effective values; None when there is nothing to convert."""
    text: str | None = None
    if file == "":
        report.error(
            (), "the name of the configuration file is empty", "write --config FILE, or leave it out"
        )
        return None
    if file is not None:
        text = _text(file, report)
        if text is None:
            return None
    return _converted(text, file, environ, report, main)


def _converted(
    text: str | None,
    file: str | None,
    environ: Mapping[str, str],
    report: ProblemReport,
    main: MainProcess | None = None,
) -> Config | None:
    root = None if text is None else _content(text, environ, report)
    if root is None and report.failed:
        return None
    if root is not None and not isinstance(root, dict):
        report.error((), f"expected a mapping of keys, got {kind_of(root)}", "begin with processes:")
        return None
    if isinstance(root, RawMap) and root.get("include") and file is not None:
        from cbox_init.config.include import include

        root = include(root, file, lambda name: _included(name, environ, report), report)
    report.root = root
    content = root or {}
    if main is not None:
        from cbox_init.config.main_process import with_main

        content = with_main(content, main)
    content = override(content, environ, report)
    if not content:
        _report_nothing(file, environ, report)
        return None
    config = effective(Converter(report, environ).section(Config, content, ()), report)
    if config.global_.api_tokens:
        from cbox_init.config.api_roles import resolved

        tokens = resolved(config.global_.api_tokens, environ, report)
        config = replace(config, global_=replace(config.global_, api_tokens=tokens))
    report.withheld = daemon_secrets(config, report.written, environ)
    return with_variables(config, environ, report.withheld, report.written, report, file)


def _content(text: str, environ: Mapping[str, str], report: ProblemReport) -> Raw:
    """What a file holds, with its references replaced; None when it holds nothing, or cannot be read."""
    root, problems = parse_document(text)
    for problem in problems:
        report.add(problem)
    report.root = root
    report.written.append(root)
    if "${" not in text:
        return root
    content = expand_values(root, environ, report)
    _keep_emptied_token(root, content)
    return content


def _keep_emptied_token(root: Raw, content: Raw) -> None:
    """Keep a token whose references are all empty as one that is given: the key is not absent."""
    before = root.get("global") if isinstance(root, dict) else None
    after = content.get("global") if isinstance(content, dict) else None
    if isinstance(before, dict) and isinstance(after, dict):
        token = before.get("api_auth")
        if isinstance(token, str) and "${" in token and not after.get("api_auth"):
            after["api_auth"] = " "


def _included(file: str, environ: Mapping[str, str], report: ProblemReport) -> Raw:
    text = _text(file, report)
    return None if text is None else _content(text, environ, report)


def _report_nothing(file: str | None, environ: Mapping[str, str], report: ProblemReport) -> None:
    if file is not None:
        report.error(
            (), "the file is empty, and the environment defines no process", "define one under processes:"
        )
        return
    places = ", ".join(place for place in usual_places(environ) if place.endswith(_EXTENSIONS[0]))
    report.error(
        (),
        f"no configuration found: the environment defines no process, and none of {places} exists",
        "set --config or CBOX_INIT_CONFIG",
    )


def _text(file: str, report: ProblemReport) -> str | None:
    """The text of a file, None (with a problem) when it has none."""
    try:
        with open(file, "rb") as stream:
            data = stream.read(_LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        report.error((), f"cannot read {file}: {reason}", "check the path and its permissions")
        return None
    if len(data) > _LARGEST_FILE:
        report.error((), f"{file} is larger than {_LARGEST_FILE >> 20} MiB", "name a configuration file")
        return None
    position = data.find(b"\0")
    if position >= 0:
        _unreadable(data, position, "contains a NUL byte: this is not a text file", report)
        return None
    try:
        return data.removeprefix(b"\xef\xbb\xbf").decode()
    except UnicodeDecodeError as error:
        _unreadable(data, error.start, "contains a byte that is not UTF-8", report)
        return None


def _unreadable(data: bytes, position: int, message: str, report: ProblemReport) -> None:
    line = data.count(b"\n", 0, position) + 1
    report.add(Problem(field="", message=message, recommendation="save the file as UTF-8 text", line=line))


def _summary(found: Examined) -> str:
    """One line: where, how many, and the first."""
    errors = found.of(Severity.ERROR)
    where = printable(found.path or "configuration")
    if len(errors) == 1:
        return f"{where}: {errors[0]}"
    return f"{where} has {len(errors)} errors, the first: {errors[0]}"
