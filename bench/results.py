"""The results of one run, as results.json and growth.json keep them."""

import subprocess
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from bench.figures import Figure, Summary


class Line(Struct):
    """One figure and what each peer reached; a peer without it is absent."""

    figure: Figure
    peers: dict[str, Summary]


class Absence(Struct, frozen=True):
    """A peer that is not in a row, or only with a part of its figures."""

    row: str
    peer: str
    why: str


class Taken(Struct, kw_only=True):
    """When, where and with what a run was made, and what it could not do."""

    date: str  # UTC, to the day
    rounds: int
    machine: dict[str, str]
    versions: dict[str, str]  # of each peer, in the order of the table
    notes: list[str]  # what could not be measured, and why
    absences: list[Absence] = []  # what does not apply to whom, and why


class Results(Taken, kw_only=True):
    """One run of the benchmark."""

    lines: list[Line]


class SeriesLine(Struct):
    """One figure, and what each peer reached at which size."""

    figure: Figure
    peers: dict[str, dict[int, Summary]]


class SeriesResult(Struct):
    """One measurement at several sizes."""

    name: str
    title: str
    of: str  # what there are more and more of
    sizes: list[int]
    lines: list[SeriesLine]


class Growth(Taken, kw_only=True):
    """One run of how figures grow."""

    series: list[SeriesResult]


_Form = TypeVar("_Form", Results, Growth)


def write(results: Taken, path: Path) -> None:
    """Write `results` so that a change of them reads well in a diff."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")


def read(path: Path, form: type[_Form]) -> _Form | None:
    """Return what is at `path`; None when nothing is, or something in a form of an older time."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=form)
    except (OSError, msgspec.DecodeError):
        return None


def committed(path: Path) -> Results | None:
    """Return what the last commit has at `path`; None without a commit, or in a form of an older time."""
    command = ["git", "show", f"HEAD:./{path.name}"]
    try:
        done = subprocess.run(command, cwd=path.parent, capture_output=True, check=True)
        return msgspec.json.decode(done.stdout, type=Results)
    except (OSError, subprocess.CalledProcessError, msgspec.DecodeError):
        return None
