"""What the benchmark makes for itself, under bench/work: virtual environments and the child program."""

import functools
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from bench.errors import BenchError

PROJECT = Path(__file__).resolve().parent.parent
WORK = PROJECT / "bench" / "work"
RESULTS = PROJECT / "bench" / "results.json"


def build_child() -> Path:
    """Compile child.c and return the program; static where that works, as it then starts quickest."""
    source, program = PROJECT / "bench" / "child.c", WORK / "child"
    if program.exists() and program.stat().st_mtime > source.stat().st_mtime:
        return program
    compiler = shutil.which("cc")
    if compiler is None:
        raise BenchError("a C compiler builds the benchmark's child: install gcc and libc6-dev")
    WORK.mkdir(exist_ok=True)
    for flags in (["-static"], []):
        done = subprocess.run(
            [compiler, "-O2", *flags, "-o", program, source], capture_output=True, text=True
        )
        if done.returncode == 0:
            return program
    raise BenchError(f"cc cannot build {source}: {done.stderr.strip()}")


def install_project() -> Path:
    """Install the project as its users do, not editable; return the directory of its programs."""
    return _install("cbox-init", [str(PROJECT)])


@functools.cache
def install_pypi_peers() -> Path:
    """Install the extra `bench` of pyproject.toml; return the directory of programs."""
    with open(PROJECT / "pyproject.toml", "rb") as file:
        return _install("pypi-peers", tomllib.load(file)["project"]["optional-dependencies"]["bench"])


def installed_version(programs: Path, distribution: str) -> str:
    """Return the version of a distribution in the virtual environment that has `programs`."""
    code = "import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))"
    done = subprocess.run([programs / "python", "-c", code, distribution], capture_output=True, text=True)
    if done.returncode != 0:
        raise BenchError(f"{distribution} is not installed in {programs.parent}")
    return done.stdout.strip()


def _install(name: str, requirements: list[str]) -> Path:
    directory = WORK / name
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    if not (directory / "bin" / "pip").exists():
        _run([sys.executable, "-m", "venv", "--clear", str(directory)], environment)
    pip = [str(directory / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    _run([*pip, "install", *requirements], environment)
    return directory / "bin"


def _run(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise BenchError(f"{' '.join(command)} failed: {(done.stderr or done.stdout).strip()}")
