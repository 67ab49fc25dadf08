"""What the benchmark makes for itself, under bench/work: virtual environments and programs."""

import functools
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

from bench.errors import BenchError

PROJECT = Path(__file__).resolve().parent.parent
BUNDLE = PROJECT / "build" / "bundle"  # made by `make bundle`
WORK = PROJECT / "bench" / "work"
RESULTS = PROJECT / "bench" / "results.json"
GROWTH = PROJECT / "bench" / "growth.json"


class Programs(NamedTuple):
    """What is written in C, so that it is not what is measured."""

    child: Path
    counter: Path


def build_programs() -> Programs:
    """Compile child.c and count.c where that has not been done."""
    return Programs(_build("child"), _build("count"))


def install_project() -> Path:
    """Install the project as its users do, not editable; return the directory of its programs."""
    return _install("cbox-init", [str(PROJECT)])


def install_alone(directory: Path) -> Path:
    """Install the project into a virtual environment without pip; return the directory of its packages."""
    environment = _with_bytecode()
    _run([sys.executable, "-m", "venv", "--without-pip", str(directory)], environment)
    pip = [sys.executable, "-m", "pip", "--python", str(directory), "--disable-pip-version-check", "--quiet"]
    _run([*pip, "install", str(PROJECT)], environment)
    return next(directory.glob("lib/python*/site-packages"))


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


def install_npm_peer(package: str, program: str) -> Path:
    """Install `package` by npm, or find its `program` on PATH; return the directory of programs."""
    directory = WORK / "npm"
    programs = directory / "node_modules" / ".bin"
    if (programs / program).exists():
        return programs
    if shutil.which("npm"):
        directory.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--no-fund", "--no-audit", "--prefix", str(directory), package]
        _run(command, dict(os.environ))
        return programs
    found = shutil.which(program)
    if found is None:
        raise BenchError(f"neither npm nor {program} is on PATH")
    return Path(found).parent


def find_program(program: str, package: str | None) -> str:
    """Return where `program` is; BenchError names the Debian package that has it, if one does."""
    found = shutil.which(program)
    if found is None:
        raise BenchError(f"{program} is not on PATH" + (f": install {package}" if package else ""))
    return found


def debian_version(package: str) -> str:
    """Return the version of an installed Debian package, for programs that do not tell theirs."""
    query = ["dpkg-query", "--show", "--showformat=${Version}", package]
    try:
        return subprocess.run(query, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return "of an unknown version"


def write_program(path: Path, text: str) -> None:
    """Write a script that can be run, and the directories above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def _build(name: str) -> Path:
    """Return the program; static where that works, as it then starts quickest."""
    source, program = PROJECT / "bench" / f"{name}.c", WORK / name
    if program.exists() and program.stat().st_mtime > source.stat().st_mtime:
        return program
    compiler = shutil.which("cc")
    if compiler is None:
        raise BenchError("a C compiler builds the benchmark's child: install gcc and libc6-dev")
    WORK.mkdir(exist_ok=True)
    for flags in (["-static"], []):
        command: list[str | Path] = [compiler, "-O2", *flags, "-o", program, source]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode == 0:
            return program
    raise BenchError(f"cc cannot build {source}: {done.stderr.strip()}")


def _install(name: str, requirements: list[str]) -> Path:
    directory = WORK / name
    environment = _with_bytecode()
    if not (directory / "bin" / "pip").exists():
        _run([sys.executable, "-m", "venv", "--clear", str(directory)], environment)
    pip = [str(directory / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    _run([*pip, "install", *requirements], environment)
    return directory / "bin"


def _with_bytecode() -> dict[str, str]:
    """Return the environment, but for what would have pip leave bytecode out."""
    return {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}


def _run(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise BenchError(f"{' '.join(command)} failed: {(done.stderr or done.stdout).strip()}")
