"""Directories of s6 that are not as they should be."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cbox_init.errors import ImportFailed
from cbox_init.importers import s6
from cbox_init.importers.formats import ImportOptions, import_files
from cbox_init.importers.source import SourceFiles
from tests.importers.cases import ENVIRON

if TYPE_CHECKING:
    from pathlib import Path


def _service(folder: Path, name: str, **files: str | bytes) -> Path:
    place = folder / name
    place.mkdir(parents=True)
    for file, content in files.items():
        data = content if isinstance(content, bytes) else content.encode()
        (place / file.replace("_", "-")).write_bytes(data)
    return place


def test_a_run_that_is_a_program_and_not_a_script(tmp_path: Path) -> None:
    place = _service(tmp_path, "web", run=b"\x7fELF\0\0\0")
    (place / "run").chmod(0o755)
    (process,) = s6.read(str(tmp_path), SourceFiles(ENVIRON)).processes
    assert process.keys["command"] == str(place / "run")


@pytest.mark.parametrize("content", [b"\0", b"\xff", b"#" * (2**20 + 1)])
def test_a_run_that_cannot_be_read_is_one_line(content: bytes, tmp_path: Path) -> None:
    _service(tmp_path, "web", run=content)
    with pytest.raises(ImportFailed) as caught:
        import_files([str(tmp_path)], SourceFiles(ENVIRON), ImportOptions())
    assert "web/run" in str(caught.value) and "\n" not in str(caught.value)


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    """A FIFO that nobody writes to does not hold up the import; a loop of links does not either."""
    place = _service(tmp_path, "web", type="longrun", run="#!/bin/sh\nexec sleep 1\n")
    os.mkfifo(place / "finish")
    os.mkfifo(place / "timeout-kill")
    (place / "env").symlink_to(place / "env")
    (place / "dependencies.d").symlink_to(tmp_path)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(ImportFailed, match="timeout-kill is not a regular file"):
        import_files([str(tmp_path)], SourceFiles(ENVIRON), ImportOptions())
    (place / "timeout-kill").unlink()
    made = import_files([str(tmp_path)], SourceFiles(ENVIRON), ImportOptions())
    assert list(made.processes) == ["web"]


def test_bundles_in_a_circle(tmp_path: Path) -> None:
    for name, other in (("a", "b"), ("b", "a")):
        _service(tmp_path, name, type="bundle", contents=f"{other}\nweb\n")
    _service(tmp_path, "web", type="longrun", run="#!/bin/sh\n", dependencies="a\n")
    made = import_files([str(tmp_path)], SourceFiles(ENVIRON), ImportOptions())
    assert "depends_on" not in made.processes["web"].keys


def test_bundles_in_bundles(tmp_path: Path) -> None:
    """Neither a long chain nor many ways to one service take long."""
    for number in range(300):
        _service(tmp_path, f"b{number}", type="bundle", contents=f"b{number + 1}\nb{number + 2}\n")
    _service(tmp_path, "b300", type="longrun", run="#!/bin/sh\n")
    _service(tmp_path, "b301", type="longrun", run="#!/bin/sh\n", dependencies="b0\n")
    made = import_files([str(tmp_path)], SourceFiles(ENVIRON), ImportOptions())
    assert made.processes["b301"].keys["depends_on"] == ["b300"]


def test_too_many_services(tmp_path: Path) -> None:
    for number in range(1001):
        (tmp_path / f"s{number}").mkdir()
    (tmp_path / "s0" / "run").write_text("#!/bin/sh\n")
    with pytest.raises(ImportFailed, match="more than 1000 services"):
        import_files([str(tmp_path)], SourceFiles(ENVIRON), ImportOptions())
