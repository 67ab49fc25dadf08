"""What is wrong, or could be better, in a configuration, and the report that collects it."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace

from cbox_init.config.raw import line_of, path_text, printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from cbox_init.config.raw import Path, Raw
    from cbox_init.sensitive import KnownSecrets

_MOST_COMPARISONS: Final = 20_000
#: Problems of each severity that are kept; of more, only the number.
MOST_PROBLEMS: Final = 1_000


class Severity(StrEnum):
    """An error stops the start, a warning does not, a suggestion is advice."""

    ERROR = "error"
    WARNING = "warning"
    SUGGESTION = "suggestion"


class Problem(Struct, frozen=True, kw_only=True):
    """One finding: the key's path, what is wrong, how to fix it.

    ``field`` is empty for the file as a whole; ``line`` counts from 1 and is None where no line of the
    file is the cause; ``file`` is the included file, None for the main one. Texts never hold a secret.
    """

    field: str
    message: str
    recommendation: str = ""
    severity: Severity = Severity.ERROR
    line: int | None = None
    file: str | None = None

    def __str__(self) -> str:
        """One line for a person."""
        where = f"{printable(self.file)}: " if self.file is not None else ""
        where += f"line {self.line}: " if self.line is not None else ""
        key = f"{self.field}: " if self.field else ""
        hint = f" ({self.recommendation})" if self.recommendation else ""
        return f"{where}{key}{self.message}{hint}"


class ProblemReport:
    """Collects the problems of one reading.

    ``root`` is the content of the file, from which a problem's line is taken; ``origins`` names the
    environment variable that a path's value came from instead, ``files`` the included file that it came from.
    With ``strict`` an unknown key is an error. ``written`` are the files as they were written, ``withheld``
    the variables that are secrets of the daemon, ``zero_scales`` the processes with ``scale: 0``, which is
    the default at a start, ``renamed`` the paths whose value was written under an older key.
    """

    def __init__(self, *, strict: bool = False) -> None:
        self.root: Raw = None
        self.origins: dict[Path, str] = {}
        self.files: dict[Path, str] = {}
        self.written: list[Raw] = []
        self.withheld: frozenset[str] = frozenset()
        self.zero_scales: set[str] = set()
        self.renamed: dict[Path, Path] = {}
        self._file: str | None = None
        self._strict = strict
        self._problems: list[Problem] = []
        self._counts: Counter[Severity] = Counter()
        self._wrong: set[Path] = set()
        self._above_wrong: set[Path] = set()
        self._comparisons_left = _MOST_COMPARISONS
        self.pattern_steps = 0
        """The work that checking the patterns has taken."""

    @property
    def failed(self) -> bool:
        """Whether an error is among the problems."""
        return self._counts[Severity.ERROR] > 0

    def problems(self, known: KnownSecrets | None = None) -> tuple[Problem, ...]:
        """All problems, file by file, in the order of the lines; those without a line come last.

        A value that was put in from a variable may be quoted in them: those that are ``known`` are masked.
        """
        found = sorted(self._problems, key=lambda one: (one.file or "", one.line is None, one.line or 0))
        if known is not None:
            found = [
                replace(
                    one, message=known.masked(one.message), recommendation=known.masked(one.recommendation)
                )
                for one in found
            ]
        for severity, count in self._counts.items():
            if count > MOST_PROBLEMS:
                more = f"{count - MOST_PROBLEMS} more {severity}s are not shown"
                found.append(
                    Problem(field="", message=more, recommendation="correct these first", severity=severity)
                )
        return tuple(found)

    def error(self, path: Path, message: str, hint: str = "") -> None:
        """Add an error: a wrong value at ``path``."""
        if self._counts[Severity.ERROR] >= MOST_PROBLEMS:
            self._counts[Severity.ERROR] += 1
            return
        self._wrong.add(path)
        self._above_wrong.update(path[:length] for length in range(len(path)))
        self._add(path, message, hint, Severity.ERROR)

    def missing(self, path: Path, message: str, hint: str = "") -> None:
        """An error, unless the value is missing because it, or what holds it, was wrong."""
        above = (path[:length] for length in range(len(path) + 1))
        if path not in self._above_wrong and self._wrong.isdisjoint(above):
            self.error(path, message, hint)

    def warning(self, path: Path, message: str, hint: str = "") -> None:
        self._add(path, message, hint, Severity.WARNING)

    def suggestion(self, path: Path, message: str, hint: str = "") -> None:
        self._add(path, message, hint, Severity.SUGGESTION)

    def unknown_key(self, path: Path, known: Collection[str], hint: str | None = None) -> None:
        """Add a key that nothing reads: a warning, or an error when strict."""
        hint = hint or self.did_you_mean(str(path[-1]), known, "remove it, or correct its name")
        self._add(path, "unknown key", hint, Severity.ERROR if self._strict else Severity.WARNING)

    def did_you_mean(self, name: str, known: Collection[str], otherwise: str) -> str:
        """A recommendation: the known name nearest to ``name``, or ``otherwise`` when none is near."""
        near = self.nearest(name, known)
        return f"did you mean {near}?" if near else otherwise

    def nearest(self, name: str, known: Collection[str]) -> str | None:
        """The known name that ``name`` was most likely meant to be, if any is near.

        Comparing is slow, so in a file full of wrong names only the first ones get theirs.
        """
        self._comparisons_left -= len(known)
        return _nearest(name, known) if self._comparisons_left > 0 else None

    def add(self, problem: Problem) -> None:
        """Add a problem that has its line already."""
        self._counts[problem.severity] += 1
        if self._counts[problem.severity] <= MOST_PROBLEMS:
            self._problems.append(replace(problem, file=self._file) if self._file else problem)

    @contextmanager
    def reading(self, file: str) -> Iterator[None]:
        """For problems of an included file, while that is read by itself."""
        root, self._file = self.root, file
        self.root = None
        try:
            yield
        finally:
            self.root, self._file = root, None

    def _add(self, path: Path, message: str, hint: str, severity: Severity) -> None:
        self._counts[severity] += 1
        if self._counts[severity] > MOST_PROBLEMS:
            return
        if self.renamed:
            path = self._as_written(path)
        origin = self._origin(path)
        self._problems.append(
            Problem(
                field=path_text(path),
                message=printable(f"{message} (set by {origin})" if origin else message),
                recommendation=hint,
                severity=severity,
                line=None if origin else line_of(self.root, path),
                file=None if origin else self._file or self._included(path),
            )
        )

    def _as_written(self, path: Path) -> Path:
        for length in range(len(path), 0, -1):
            if path[:length] in self.renamed:
                return self.renamed[path[:length]] + path[length:]
        return path

    def _included(self, path: Path) -> str | None:
        """The included file that the value at ``path`` is from: a process, a list of hooks, or one hook."""
        if not self.files:
            return None
        return self.files.get(path[:2]) or self.files.get(path[:3])

    def _origin(self, path: Path) -> str | None:
        for length in range(len(path) if self.origins else 0, 0, -1):
            if path[:length] in self.origins:
                return self.origins[path[:length]]
        return None


def _nearest(name: str, known: Collection[str]) -> str | None:
    from difflib import get_close_matches

    names = {_plain(candidate): candidate for candidate in known}
    found = get_close_matches(_plain(name), names, n=1)
    return names[found[0]] if found else None


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")
