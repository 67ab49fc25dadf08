"""``import``: make a configuration from the files of another process manager."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from cbox_init.cli import complain
from cbox_init.errors import CboxError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cbox_init.cli.trial import TrialResult
    from cbox_init.config.problems import Problem
    from cbox_init.importers.combine import Combined

_FORMATS = (
    "supervisord",
    "procfile",
    "pm2",
    "circus",
    "s6",
    "compose",
    "systemd",
    "crontab",
    "system-crontab",
)
_USUAL_NAME = "cbox-init.yaml"


@click.command("import")
@click.argument("paths", metavar="FILE...", nargs=-1, required=True)
@click.option(
    "format_",
    "--from",
    type=click.Choice(_FORMATS),
    help="The format. Default: by name and content of each file.",
)
@click.option("-o", "--output", metavar="FILE", help="Write to this file. Default: standard output.")
@click.option("--force", is_flag=True, help="Replace the file of -o when it exists.")
@click.option("--strict", is_flag=True, help="Exit with 1 when anything is not carried over.")
@click.option("as_json", "--json", is_flag=True, help="The whole report as one JSON object.")
@click.option(
    "try_s",
    "--try",
    type=click.FloatRange(0.5, 600),
    is_flag=False,
    flag_value=5.0,
    metavar="[SECONDS]",
    help="Run the result here for some seconds (default 5), and show which processes came up.",
)
@click.option("--env", metavar="NAME", help="pm2: use env_NAME of each app.")
@click.option("--formation", metavar="NAME=N,...", help="Procfile: how many of each process.")
def import_(
    paths: tuple[str, ...],
    format_: str | None,
    output: str | None,
    force: bool,
    strict: bool,
    as_json: bool,
    try_s: float | None,
    env: str | None,
    formation: str | None,
) -> int:
    """Make a configuration from files of supervisord, s6, pm2, systemd and others.

    What cannot be carried over is said on standard error, one line for each key. Several files make one
    configuration. The result is checked before it is written.
    """
    from cbox_init.config.problems import Severity
    from cbox_init.importers.checked import checked
    from cbox_init.importers.formats import ImportOptions, import_files
    from cbox_init.importers.model import NoteKind
    from cbox_init.importers.source import SourceFiles

    if output is not None and not force and os.path.lexists(output):
        raise CboxError(f"{output} exists; give --force to replace it")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("CBOX_INIT_")}
    base = os.path.dirname(output or _USUAL_NAME) or "."
    files = SourceFiles(environ, base)
    made = import_files(paths, files, ImportOptions(format_, env, formation))
    examined = checked(made, output or _USUAL_NAME, environ)
    lost = [note for note in made.notes if note.kind is NoteKind.LOST]
    result: TrialResult | None = None
    if examined.valid:
        if output is not None:
            _write(output, made, force)
        elif not as_json:
            sys.stdout.write(made.text)
            sys.stdout.flush()
        if try_s is not None:
            from cbox_init.cli.trial import try_configuration

            result = try_configuration(made.text_for(base), try_s, environ)
    if as_json:
        _write_json(made, examined.problems, output, result)
    else:
        _report(made, examined.problems, result)
    if not examined.valid:
        errors = len(examined.of(Severity.ERROR))
        complain(f"nothing is written: the result has {errors} error{'s' * (errors > 1)}")
    failed = not examined.valid or (strict and bool(lost)) or (result is not None and not result.all_up)
    return 1 if failed else 0


def _write(path: str, made: Combined, force: bool) -> None:
    """Write the result, for its owner alone when it holds a secret; another file stays whole until then."""
    from cbox_init.importers.model import NoteKind

    mode = 0o600 if any(note.kind is NoteKind.SECRET for note in made.notes) else 0o644
    place = f"{path}.{os.getpid()}.new" if force else path
    try:
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(made.text)
        if force:
            os.replace(place, path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise CboxError(f"cannot write {path}: {reason}") from None


def _report(made: Combined, problems: Sequence[Problem], result: TrialResult | None) -> None:
    """Everything about the import on standard error, a line each, and how much it is at the end."""
    from cbox_init.importers.model import NoteKind

    lines = [str(note) for note in made.notes]
    lines += [f"the result: {problem.severity}: {problem}" for problem in problems]
    if result is not None:
        lines += [f"try: {line}" for line in result.lines]
    lost = sum(note.kind is NoteKind.LOST for note in made.notes)
    others = len(made.notes) - lost + made.more
    count = len(made.processes)
    lines.append(
        f"{count} process{'es' * (count != 1)}; {lost} not carried over, {others} note{'s' * (others != 1)}"
    )
    if sys.stderr is not None:
        sys.stderr.write("".join(f"{line}\n" for line in lines))
        sys.stderr.flush()


def _write_json(
    made: Combined, problems: Sequence[Problem], output: str | None, result: TrialResult | None
) -> None:
    import json

    notes = [
        {
            "kind": note.kind.value,
            "file": note.origin.file,
            "line": note.origin.line,
            "key": note.key,
            "process": note.process,
            "message": note.message,
            "hint": note.hint,
        }
        for note in made.notes
    ]
    report: dict[str, object] = {
        "valid": not any(problem.severity == "error" for problem in problems),
        "processes": list(made.processes),
        "notes": notes,
        "notes_not_shown": made.more,
        "problems": [
            {
                "severity": one.severity.value,
                "field": one.field,
                "message": one.message,
                "hint": one.recommendation,
            }
            for one in problems
        ],
    }
    if output is None:
        report["configuration"] = made.text
    else:
        report["output"] = output
    if result is not None:
        report["try"] = {"all_up": result.all_up, "processes": result.processes}
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
