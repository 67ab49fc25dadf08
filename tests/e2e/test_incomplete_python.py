"""A Python that lacks a part of its standard library, or a package that cbox-init needs."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

#: What python3-minimal of Debian 12 lacks of what is imported here or by a dependency.
LACKING = (
    "asyncio concurrent contextvars ctypes dataclasses decimal difflib fractions getpass gettext gzip html "
    "http json mmap multiprocessing numbers pprint queue secrets shlex shutil statistics uuid zoneinfo"
)
SCRIPT = """
import sys
lacking = sys.argv[1].split()
for name in [name for name in sys.modules if name.partition(".")[0] in lacking]:
    del sys.modules[name]

class Lacking:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in lacking:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Lacking())
del sys.argv[1]
from cbox_init.__main__ import main
main()
"""


def output_without(lacking: str, arguments: list[str]) -> str:
    """What a command that fails prints where these modules are missing."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, lacking, *arguments], capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    return done.stderr


@pytest.fixture
def config(tmp_path: Path) -> str:
    file = tmp_path / "cbox-init.yaml"
    file.write_text(
        f"global: {{api_socket: {tmp_path}/s}}\nprocesses: {{web: {{command: [touch, {tmp_path}/ran]}}}}\n"
    )
    return str(file)


@pytest.mark.parametrize("command", ["serve", "check-config", "version", "list"])
def test_python3_minimal_is_one_line(config: str, tmp_path: Path, command: str) -> None:
    arguments = [command, *(["-c", config] if command in ("serve", "check-config") else [])]
    module = "uuid" if command == "serve" else "gettext"
    assert output_without(LACKING, arguments) == (
        f"cbox-init: Python has no module {module}: its standard library is incomplete; "
        "on Debian and Ubuntu install python3, beside python3-minimal\n"
    )
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(("package", "command"), [("msgspec", "serve"), ("yaml", "serve"), ("click", "list")])
def test_a_package_that_is_missing_is_one_line(config: str, package: str, command: str) -> None:
    arguments = [command, *(["-c", config] if command == "serve" else [])]
    assert output_without(package, arguments) == (
        f"cbox-init: Python has no module {package}: a package that cbox-init needs is not installed; "
        "install cbox-init again with pip\n"
    )


def test_a_module_of_ours_that_is_missing_is_a_defect(config: str) -> None:
    """With its traceback, so that it can be reported."""
    script = SCRIPT.replace('name.partition(".")[0] in lacking', "name in lacking")
    done = subprocess.run(
        [sys.executable, "-c", script, "cbox_init.daemon", "-c", config],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 1
    assert "Traceback" in done.stderr
