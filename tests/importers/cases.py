"""The corpus: small files in the shape that people write, each with the configuration and notes that follow.

`python -m tests.importers.cases` writes what is expected again; read the difference before committing it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from cbox_init.importers.checked import checked
from cbox_init.importers.formats import ImportOptions, import_files
from cbox_init.importers.source import SourceFiles

CORPUS = Path(__file__).parent / "corpus"

#: What is given on the command line for a case; by default every file of its folder.
FILES = {
    "supervisord/includes": ["supervisord.conf"],
    "compose/extends": ["compose.yaml"],
    "compose/shop": ["docker-compose.yml"],
    "s6/overlay": ["rootfs"],
    "s6/legacy": ["rootfs"],
    "s6/pipeline": ["rootfs"],
    "s6/rc": ["etc/s6-rc/source"],
    "s6/services": ["svc"],
    "s6/bundles": ["etc/s6-overlay"],
    "systemd/folder": ["units"],
}
OPTIONS = {
    "pm2/cluster": ImportOptions(env="production"),
    "procfile/rails": ImportOptions(formation="all=1,worker=3"),
    "crontab/mistakes": ImportOptions(format="crontab"),
}
_EXPECTED = ("expected.yaml", "expected.notes")
#: All of the environment that a result may depend on.
ENVIRON = {"PATH": os.environ.get("PATH", ""), "HOME": "/root", "BIND_HOST": "127.0.0.1"}


class Outcome(NamedTuple):
    """The texts of ``expected.yaml`` and ``expected.notes``."""

    configuration: str
    notes: str


def cases() -> list[str]:
    """The names of all cases: FORMAT/NAME."""
    return sorted(str(path.relative_to(CORPUS)) for path in CORPUS.glob("*/*"))


def sources(case: str) -> list[str]:
    """What is imported, relative to the folder of the case."""
    if case in FILES:
        return FILES[case]
    folder = CORPUS / case
    return sorted(
        path.name
        for path in folder.iterdir()
        if path.is_file() and path.name not in _EXPECTED and not path.name.startswith(".")
    )


def outcome(case: str) -> Outcome:
    """What an import of the case gives, run in its folder."""
    before = os.getcwd()
    os.chdir(CORPUS / case)
    try:
        made = import_files(sources(case), SourceFiles(ENVIRON), OPTIONS.get(case, ImportOptions()))
        found = checked(made, "cbox-init.yaml", ENVIRON)
    finally:
        os.chdir(before)
    lines = [f"{note.kind} {note}" for note in made.notes]
    lines += [f"check {problem.severity}: {problem}" for problem in found.problems]
    folder = str(CORPUS / case)
    notes = "".join(f"{line}\n" for line in lines).replace(folder, "CASE")
    return Outcome(made.text.replace(folder, "CASE"), notes)


def expected(case: str) -> Outcome:
    """What is to come of the case."""
    folder = CORPUS / case
    return Outcome(*((folder / name).read_text() for name in _EXPECTED))


def update() -> None:
    """Write what is expected again."""
    for case in cases():
        for name, text in zip(_EXPECTED, outcome(case), strict=True):
            (CORPUS / case / name).write_text(text)


if __name__ == "__main__":
    update()
