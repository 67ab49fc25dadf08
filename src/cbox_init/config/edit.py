"""Processes that are added, changed and removed while the daemon runs, held to the rules of the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace

from cbox_init.config.check import check
from cbox_init.config.child_variables import with_variables
from cbox_init.config.convert import Converter
from cbox_init.config.effective import effective
from cbox_init.config.masking import masked, secret_values
from cbox_init.config.model import Config, ProcessConfig
from cbox_init.config.problems import ProblemReport, Severity
from cbox_init.config.raw import path_text
from cbox_init.config.schema import fields_of
from cbox_init.config.secret import MASK, Secret
from cbox_init.config.substitute import expand_values
from cbox_init.errors import ConfigError, Conflict, UnknownProcess
from cbox_init.sensitive import KnownSecrets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cbox_init.config.problems import Problem
    from cbox_init.config.raw import Raw

#: Keys and sections whose texts each instance expands, or in which ``${name}`` is a group.
_WITH_REFERENCES: Final = frozenset(("command", "env", "health_check", "outputs", "replacement"))


class Edits:
    """What has been edited since the file was read or saved last; a value, every edit gives the next one.

    ``base`` is the configuration without the edits, ``config`` the one with them. ``raws`` holds what was
    given for each process that was edited, None for one that was removed. ``path`` is the file, from whose
    directory paths count.
    """

    __slots__ = ("base", "config", "path", "raws")

    def __init__(
        self,
        base: Config,
        config: Config | None = None,
        raws: Mapping[str, Mapping[str, Raw] | None] | None = None,
        *,
        path: str | None = None,
    ) -> None:
        self.path = path
        self.base = base
        self.config = base if config is None else config
        self.raws = raws or {}

    def added(self, name: str, raw: Mapping[str, Raw], environ: Mapping[str, str]) -> Edits:
        """With a process more. Raises Conflict when there is one of that name, and ConfigError."""
        if name in self.config.processes:
            raise Conflict(f"process {name} exists already: change it with PUT, or use another name")
        return self._with(name, raw, environ)

    def updated(self, name: str, raw: Mapping[str, Raw], environ: Mapping[str, str]) -> Edits:
        """With ``raw`` as the whole configuration of a process; keys that are absent have their default.

        A value that is masked, or that holds a literal ``${``, stands for the value that is there when it is
        just as the API shows it. Raises UnknownProcess and ConfigError.
        """
        return self._with(name, self._unmasked(raw, self._process(name), environ), environ)

    def removed(self, name: str) -> Edits:
        """Without a process. Raises UnknownProcess, and Conflict when others need it or it is the last."""
        self._process(name)
        left = {other: process for other, process in self.config.processes.items() if other != name}
        needing = [
            other
            for other, process in left.items()
            if process.enabled and name in (*process.depends_on, *process.restart_with)
        ]
        if needing:
            names = ", ".join(needing)
            raise Conflict(
                f"cannot remove {name}: it is a dependency of {names}; change or remove that first"
            )
        readiness = self.config.global_.readiness
        if readiness is not None and name in readiness.processes:
            raise Conflict(f"cannot remove {name}: it is listed in global.readiness.processes")
        if not left:
            raise Conflict(f"cannot remove {name}: it is the last process, and at least one is required")
        return self._next(replace(self.config, processes=left), {**self.raws, name: None})

    def taken_back(self, name: str, process: ProcessConfig) -> Edits:
        """With ``process`` as it was before it was edited, or before the file was read again."""
        config = replace(self.config, processes={**self.config.processes, name: process})
        return self._next(config, {key: raw for key, raw in self.raws.items() if key != name})

    def _next(self, config: Config, raws: Mapping[str, Mapping[str, Raw] | None]) -> Edits:
        return Edits(self.base, config, raws, path=self.path)

    def _process(self, name: str) -> ProcessConfig:
        try:
            return self.config.processes[name]
        except KeyError:
            raise UnknownProcess(name) from None

    def problems(self, name: str, raw: Mapping[str, Raw], environ: Mapping[str, str]) -> tuple[Problem, ...]:
        """What is wrong with ``raw`` as the configuration of a process, new or not, and what could be better.

        Errors of other processes are among them, such as one that waits for this one.
        """
        current = self.config.processes.get(name)
        if current is not None:
            raw = self._unmasked(raw, current, environ)
        config, report = self._examined(name, raw, environ)
        problems = report.problems(KnownSecrets(lambda: secret_values(config, environ)))
        own = path_text(("processes", name))
        return tuple(
            one
            for one in problems
            if one.severity is Severity.ERROR
            or one.field == own
            or one.field.startswith((f"{own}.", f"{own}["))
        )

    def _with(self, name: str, raw: Mapping[str, Raw], environ: Mapping[str, str]) -> Edits:
        config, report = self._examined(name, raw, environ)
        if report.failed:
            problems = report.problems(KnownSecrets(lambda: secret_values(config, environ)))
            first = next(problem for problem in problems if problem.severity is Severity.ERROR)
            raise ConfigError(str(first), problems)
        return self._next(config, {**self.raws, name: dict(raw)})

    def _unmasked(
        self, raw: Mapping[str, Raw], current: ProcessConfig, environ: Mapping[str, str]
    ) -> Mapping[str, Raw]:
        known = KnownSecrets(lambda: secret_values(self.config, environ))
        whole = _unmasked(raw, masked(current, known), _revealed(current))
        assert isinstance(whole, dict)
        return whole

    def _examined(
        self, name: str, raw: Mapping[str, Raw], environ: Mapping[str, str]
    ) -> tuple[Config, ProblemReport]:
        """The configuration with ``raw`` as that of a process, and what is wrong with it."""
        report = ProblemReport()
        path = ("processes", name)
        process = Converter(report, environ, from_api=True).section(
            ProcessConfig, expand_values(dict(raw), environ, report, path), path
        )
        alone = Config(global_=self.config.global_, processes={name: process})
        process = effective(alone, ProblemReport()).processes[name]
        config = replace(self.config, processes={**self.config.processes, name: process})
        config = with_variables(config, environ, frozenset(), (), report, self.path, only=name)
        before = self.config.processes.get(name)
        if before is not None and before.variables.kept:  # ``environ`` is without them
            process = config.processes[name]
            kept = replace(process.variables, kept=before.variables.kept)
            config.processes[name] = replace(process, variables=kept)
        check(config, report)
        return config, report


def _unmasked(raw: object, shown: object, actual: object, *, literal: bool = True) -> Raw:
    """``raw`` with what is there in place of what is masked of it.

    ``literal``: a ``${`` of what is there refers to no variable. Texts of instances have it escaped already.
    """
    if isinstance(raw, dict):
        shown_, actual_ = _members(shown), _members(actual)
        return {
            key: _unmasked(
                item, shown_.get(key), actual_.get(key), literal=literal and key not in _WITH_REFERENCES
            )
            for key, item in _members(raw).items()
        }
    if isinstance(raw, list):
        return [
            _unmasked(item, *_counterpart(item, at, shown, actual), literal=literal)
            for at, item in enumerate(raw)
        ]
    if isinstance(raw, str) and raw == shown and isinstance(actual, str) and (MASK in raw or "${" in raw):
        return actual.replace("${", "$${") if literal else actual
    return raw  # type: ignore[return-value]  # what JSON holds


def _members(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _counterpart(item: object, at: int, shown: object, actual: object) -> tuple[object, object]:
    """What was shown for an item of a list, and what is there: at its place, or where the same was shown."""
    if not isinstance(shown, list) or not isinstance(actual, list):
        return None, None
    places = [at] if at < len(shown) and shown[at] == item else []
    if isinstance(item, str) and not places:  # an item before it was added or removed
        places = [place for place, one in enumerate(shown) if one == item]
    place = places[0] if len(places) == 1 else at
    return (shown[place], actual[place]) if place < len(shown) else (None, None)


def _revealed(value: object) -> object:
    """As ``masked``, but with everything that is secret: for comparison, never to be shown."""
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, Struct):
        fields = fields_of(type(value))
        return {key: _revealed(getattr(value, field.attribute)) for key, field in fields.items()}
    if isinstance(value, dict):
        return {key: _revealed(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_revealed(item) for item in value]
    return value
