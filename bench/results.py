"""The results of one run, as results.json keeps them."""

import subprocess
from pathlib import Path

import msgspec
from msgspec import Struct

from bench.figures import Figure, Summary


class Line(Struct):
    """One figure and what each peer reached; a peer without it is absent."""

    figure: Figure
    peers: dict[str, Summary]


class Results(Struct):
    """One run of the benchmark."""

    date: str  # UTC, to the day
    rounds: int
    machine: dict[str, str]
    versions: dict[str, str]  # of each peer, in the order of the table
    lines: list[Line]
    notes: list[str]  # what could not be measured, and why


def write(results: Results, path: Path) -> None:
    """Write `results` so that a change of them reads well in a diff."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")


def committed(path: Path) -> Results | None:
    """Return what the last commit has at `path`; None without a commit, or in a form of an older time."""
    command = ["git", "show", f"HEAD:./{path.name}"]
    try:
        done = subprocess.run(command, cwd=path.parent, capture_output=True, check=True)
        return msgspec.json.decode(done.stdout, type=Results)
    except (OSError, subprocess.CalledProcessError, msgspec.DecodeError):
        return None
