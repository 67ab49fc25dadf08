"""Print what `make coverage` has measured: a row a folder and, outside CI, what is missing of each file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import TypedDict

#: What is shown of src/cbox_init.
FOLDERS = ("core", "supervisor", "logs")

COUNTS = ("num_statements", "covered_lines", "num_branches", "covered_branches")

SOURCE = Path("src/cbox_init")


class File(TypedDict):
    """What coverage says of a file."""

    summary: dict[str, int]
    missing_lines: list[int]
    missing_branches: list[tuple[int, int]]


def read_report() -> dict[str, File]:
    """Return what is in .coverage of the current directory, by file."""
    include = ",".join(f"{SOURCE}/{folder}/*" for folder in FOLDERS)
    command = [sys.executable, "-m", "coverage", "json", "-q", "-o", "/dev/stdout", f"--include={include}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    files: dict[str, File] = json.loads(done.stdout)["files"]
    return files


def print_table(files: dict[str, File]) -> None:
    """Print how much of each folder was entered; the outer ones count what is below them."""
    folders: dict[str, Counter[str]] = defaultdict(Counter)
    for name, file in files.items():
        path = Path(name).relative_to(SOURCE)
        for folder in {path.parts[0], str(path.parent)}:
            folders[folder].update({key: file["summary"][key] for key in COUNTS})
    print(f"{'':32} {'lines':>7} {'entered':>8} {'branches':>9} {'taken':>8}")
    for folder, counts in sorted(folders.items()):
        lines, branches = counts["num_statements"], counts["num_branches"]
        entered, taken = share(counts["covered_lines"], lines), share(counts["covered_branches"], branches)
        print(f"{folder:32} {lines:7} {entered:>8} {branches:9} {taken:>8}")


def print_missing(files: dict[str, File]) -> None:
    """Print the lines that no test enters, and the branches that none takes."""
    print("\nno test of this run enters (a line, or a branch from one to another; negative: the end):")
    for name, file in files.items():
        lines = file["missing_lines"]
        # A branch to or from a line that is missing itself says nothing more.
        branches = [
            f"{start}->{end}"
            for start, end in file["missing_branches"]
            if start not in lines and end not in lines
        ]
        if lines or branches:
            print(f"  {Path(name).relative_to(SOURCE)}: {', '.join([*map(str, lines), *branches])}")


def share(part: int, whole: int) -> str:
    """Return a part of a whole in percent."""
    return f"{100 * part / whole:.1f} %" if whole else "-"


if __name__ == "__main__":
    report = read_report()
    print_table(report)
    if "CI" not in os.environ:
        print_missing(report)
