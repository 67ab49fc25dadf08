"""The commands that pages show exist; see also test_command_line (cbox-init) and test_api (curl)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.docs.markdown import PAGES, ROOT

if TYPE_CHECKING:
    from pathlib import Path

_BLOCK = re.compile(r"^    (?:[A-Z_]+=\S+ )?(\S.*)$", re.MULTILINE)
_MAKE = re.compile(r"(?:^|&& |`)(?:[A-Z_]+=\S+ )?make ([a-z]+)((?: [A-Z]+=(?:\"[^\"]*\"|[^\s`]+))*)")
_TARGET = re.compile(r"^([a-z]+):", re.MULTILINE)
_FLAG = re.compile(r"--[a-z][\w-]*")

#: What an indented line may begin with. Another word is a new program: does every reader have it?
PROGRAMS = {".venv/bin/cbox-init", "cbox-init", "curl", "docker", "git", "make"}


def shell_lines(page: Path) -> list[str]:
    """The commands of the indented blocks of a page; drawings are no commands."""
    lines = [line for line in _BLOCK.findall(page.read_text()) if re.match(r"[\w./-]+( |$)", line)]
    return [line for line in lines if line.partition(" ")[0] in PROGRAMS]


def test_readme_has_nothing_else_in_its_blocks() -> None:
    page = ROOT / "README.md"
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert [line for line in _BLOCK.findall(text) if line.partition(" ")[0] not in PROGRAMS] == []
    assert len(shell_lines(page)) > 10


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_targets_of_make_and_their_options(page: Path) -> None:
    targets = set(_TARGET.findall((ROOT / "Makefile").read_text()))
    bench = (ROOT / "bench/__main__.py").read_text()
    for target, arguments in _MAKE.findall(page.read_text()):
        assert target in targets, f"make {target}"
        if target == "bench":
            assert [flag for flag in _FLAG.findall(arguments) if f'"{flag}"' not in bench] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_commands_name_are_there(page: Path) -> None:
    words = [word for line in shell_lines(page) for word in line.partition(" #")[0].split()]
    files = [word for word in words if word.startswith(("examples/", "bench/", "tests/", "src/", ".ci/"))]
    assert [file for file in files if not (ROOT / file).exists()] == []
