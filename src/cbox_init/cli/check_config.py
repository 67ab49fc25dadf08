"""What ``check-config`` prints: for people, or one JSON object for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbox_init import __version__
from cbox_init.config.load import examine
from cbox_init.config.problems import Severity
from cbox_init.config.raw import printable
from cbox_init.config.scalars import format_duration
from cbox_init.machine import check_machine

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import TextIO

    from cbox_init.config.load import Examined
    from cbox_init.config.problems import Problem


def run(
    path: str | None, environ: Mapping[str, str], strict: bool, as_json: bool, quiet: bool, out: TextIO
) -> int:
    """Check the configuration that ``serve`` would use, and write the report to ``out``.

    Returns 1 when there are errors, with ``strict`` also when there are warnings, else 0. ``quiet`` shows
    only what makes it fail; the JSON always has everything.
    """
    found = examine(path, environ, strict=strict, machine=check_machine)
    failing = (Severity.ERROR, Severity.WARNING) if strict else (Severity.ERROR,)
    if as_json:
        out.write(_as_json(found) + "\n")
    elif quiet:
        out.writelines(_lines(problem for problem in found.problems if problem.severity in failing))
    else:
        out.writelines(_lines(found.problems))
        out.write(_verdict(found) + "\n")
    return 1 if any(problem.severity in failing for problem in found.problems) else 0


def _lines(problems: Iterable[Problem]) -> Iterable[str]:
    """Each problem: severity, line and key; then what is wrong; then how to fix it."""
    for problem in problems:
        line = f"line {problem.line}" if problem.line is not None else ""
        place = ": ".join(part for part in (line, problem.field) if part)
        yield f"{problem.severity}: {place}\n" if place else f"{problem.severity}:\n"
        yield f"    {problem.message}\n"
        if problem.recommendation:
            yield f"    -> {problem.recommendation}\n"


def _verdict(found: Examined) -> str:
    counts = ", ".join(_count(len(found.of(severity)), severity.value) for severity in Severity)
    verdict = "valid" if found.valid else "not valid"
    where = printable(found.path or "the environment")
    running = f", {_processes(found)}" if found.valid else ""
    return f"{where}: {verdict}{running}; {counts}"


def _processes(found: Examined) -> str:
    number = len(found.config.processes) if found.config is not None else 0
    return "1 process" if number == 1 else f"{number} processes"


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _as_json(found: Examined) -> str:
    import json

    config = found.config
    lists = {f"{severity.value}s": [_entry(item) for item in found.of(severity)] for severity in Severity}
    report = {
        "valid": found.valid,
        **lists,
        "summary": {
            "config_path": found.path or "",
            "version": __version__,
            "process_count": len(config.processes) if config is not None else 0,
            "log_level": config.global_.log_level.value if config is not None else "",
            "shutdown_timeout": format_duration(config.global_.shutdown_timeout)
            if config is not None
            else "",
        },
        "counts": {name: len(entries) for name, entries in lists.items()},
    }
    return json.dumps(report, indent=2)


def _entry(problem: Problem) -> dict[str, str]:
    return {
        "field": problem.field,
        "message": problem.message,
        "recommendation": problem.recommendation,
        "severity": problem.severity.value,
    }
