"""All files or none, and never over others without ``force``."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from cbox_init.errors import ScaffoldError
from cbox_init.scaffold.write import existing, write_files

if TYPE_CHECKING:
    from pathlib import Path

FILES = {"a.yaml": "a: 1\n", "b": "two\n"}


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_into_a_new_directory(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "deep"
    write_files(str(folder), FILES, force=False)
    assert contents(folder) == FILES
    mask = os.umask(0o022)
    os.umask(mask)
    assert stat.S_IMODE((folder / "b").stat().st_mode) == 0o666 & ~mask


def test_one_exists_none_is_written(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("mine")
    with pytest.raises(ScaffoldError, match=r"/b: already there, nothing was written; give --force"):
        write_files(str(tmp_path), FILES, force=False)
    assert contents(tmp_path) == {"b": "mine"}
    write_files(str(tmp_path), FILES, force=True)
    assert contents(tmp_path) == FILES


def test_a_broken_link_is_there(tmp_path: Path) -> None:
    (tmp_path / "b").symlink_to("nowhere")
    assert existing(str(tmp_path), FILES) == ["b"]
    with pytest.raises(ScaffoldError):
        write_files(str(tmp_path), FILES, force=False)


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("theirs")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "b").symlink_to(other)
    write_files(str(folder), FILES, force=True)
    assert other.read_text() == "theirs"
    assert not (folder / "b").is_symlink()


def test_a_directory_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    with pytest.raises(ScaffoldError, match="is a directory; nothing was written"):
        write_files(str(tmp_path), FILES, force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_file_that_comes_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def late(source: str, target: str) -> None:
        if target.endswith("/b"):
            (tmp_path / "b").write_text("theirs")
        link(source, target)

    monkeypatch.setattr(os, "link", late)
    with pytest.raises(ScaffoldError, match="cannot write into"):
        write_files(str(tmp_path), FILES, force=False)
    assert contents(tmp_path) == {"b": "theirs"}


def test_a_file_system_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(source: str, target: str) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    write_files(str(tmp_path), FILES, force=False)
    assert contents(tmp_path) == FILES


def test_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ScaffoldError, match="No space left on device"):
        write_files(str(tmp_path), FILES, force=False)
    assert contents(tmp_path) == {}


def test_not_a_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in ("file", "file/below"):
        with pytest.raises(ScaffoldError, match="cannot make the directory"):
            write_files(str(tmp_path / place), FILES, force=False)
