"""Rotation of files that somebody else writes: nothing is lost, for us and on the disk."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

from cbox_init.logs import rotation
from cbox_init.logs.follow import tail
from cbox_init.logs.rotation import Rotation
from tests.files import status
from tests.logs.conftest import until
from tests.logs.follow.conftest import append, numbers

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from cbox_init.safe_paths.place import Place
    from tests.logs.follow.conftest import Following


def is_empty(path: Path) -> bool:
    """Whether the file is there and empty: between its rename and the next one there is none."""
    found = status(path)
    return found is not None and found.st_size == 0


def on_disk(path: Path) -> list[str]:
    """The lines of all files, the oldest first."""
    found: list[str] = []
    for number in range(300, 0, -1):
        plain, packed = path.with_name(f"{path.name}.{number}"), path.with_name(f"{path.name}.{number}.gz")
        if packed.exists():
            found += gzip.decompress(packed.read_bytes()).decode().splitlines()
        if plain.exists():
            found += plain.read_text().splitlines()
    return found + (path.read_text().splitlines() if path.exists() else [])


async def test_who_opens_its_log_for_each_write_loses_nothing(following: Following, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    lines = following.follow(path, Rotation(max_size=500, max_files=250, compress=False))
    script = """
import sys
for number in range(20_000):
    with open(sys.argv[1], "a") as file:
        print("line", number, file=file)
"""
    child = subprocess.Popen([sys.executable, "-c", script, path])  # noqa: ASYNC220
    await until(lambda: child.poll() is not None, what="the end of the writer")
    await lines.until(*numbers(20_000))
    assert on_disk(path) == numbers(20_000)
    assert path.with_name("app.log.1").exists()


async def test_only_so_many_are_kept_and_older_ones_are_compressed(
    following: Following, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "QUIET_S", 0.0)
    path = tmp_path / "app.log"
    lines = following.follow(path, Rotation(max_size=100, max_files=4, compress=True))
    for turn in range(12):
        append(path, *numbers(20, turn * 20))
        await lines.until(*numbers(turn * 20 + 20))
        await until(lambda: is_empty(path), what="the rotation")
        await until(lambda: not path.with_name("app.log.2").exists(), what="the compression")
    names = sorted(name for name in os.listdir(tmp_path) if name.startswith("app.log"))
    assert names == ["app.log", "app.log.1", "app.log.2.gz", "app.log.3.gz", "app.log.4.gz"]
    assert on_disk(path) == numbers(80, 160)


async def test_a_rotation_that_waits_for_a_compression_needs_no_further_write(
    following: Following, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compressing, may_end = threading.Event(), threading.Event()

    def compress(place: Place, name: str) -> None:
        compressing.set()
        assert may_end.wait(20)

    monkeypatch.setattr(rotation, "compress", compress)
    monkeypatch.setattr(tail, "QUIET_S", 0.0)
    path = tmp_path / "app.log"
    lines = following.follow(path, Rotation(max_size=100, max_files=9, compress=True))
    for turn in range(2):
        append(path, *numbers(20, turn * 20))
        await lines.until(*numbers(turn * 20 + 20))
        await until(lambda: is_empty(path), what="the rotation")
    await until(compressing.is_set, what="the compression")
    append(path, *numbers(20, 40))
    await lines.until(*numbers(60))
    assert path.stat().st_size
    may_end.set()
    await until(lambda: is_empty(path), what="the rotation")


async def test_the_new_file_is_like_the_old(following: Following, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    following.follow(path, Rotation(max_size=100, max_files=2, compress=False))
    path.touch()
    path.chmod(0o620)
    owner = path.stat()
    append(path, *numbers(50))
    await until(lambda: path.with_name("app.log.1").exists() and path.exists(), what="the rotation")
    await until(lambda: path.stat().st_mode == owner.st_mode, what="the mode")
    assert (path.stat().st_uid, path.stat().st_gid) == (owner.st_uid, owner.st_gid)


async def test_who_does_not_open_its_log_anew_is_read_and_said_once(
    following: Following, tmp_path: Path
) -> None:
    path = tmp_path / "app.log"
    lines = following.follow(path, Rotation(max_size=1000, max_files=3, compress=False))
    with path.open("a", buffering=1) as file:
        for number in range(1000):
            print("line", number, file=file)
            if number % 100 == 0:
                await lines.until(*numbers(number + 1))
        await lines.until(*numbers(1000))
    await until(lambda: bool(following.said.records()), what="the warning")
    assert on_disk(path) == numbers(1000)
    (record,) = following.said.records()
    assert record["msg"] == "Log file was rotated, but the application does not reopen it"


async def test_a_file_that_was_removed_is_closed_when_nothing_more_comes(
    following: Following, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.logs.follow.conftest import open_files

    monkeypatch.setattr(tail, "QUIET_S", 0.05)
    path = tmp_path / "app.log"
    lines = following.follow(path)
    append(path, "one")
    await lines.until("one")
    path.unlink()
    append(path, "two")
    await lines.until("one", "two")
    await until(lambda: open_files(path) == [str(path)], what="the close of the first")


async def test_the_half_line_of_a_file_that_has_a_successor_is_a_line(
    following: Following, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "_PARTIAL_S", 0.05)
    path = tmp_path / "app.log"
    lines = following.follow(path)
    append(path, "first")
    await lines.until("first")
    append(path, "begun", end="")
    path.rename(tmp_path / "app.log.1")
    append(path, "next")
    await until(lambda: sorted(lines.lines) == ["begun", "first", "next"])


async def test_a_rotation_that_fails_is_said_and_nothing_is_lost(
    following: Following, tmp_path: Path
) -> None:
    path = tmp_path / "app.log"
    path.with_name("app.log.1").mkdir()
    (path.with_name("app.log.1") / "full").touch()
    lines = following.follow(path, Rotation(max_size=100, max_files=1, compress=False))
    append(path, *numbers(100))
    await lines.until(*numbers(100))
    await until(lambda: bool(following.said.records()), what="the complaint")
    assert following.said.messages() == ["Log file was not rotated"]
    assert path.read_text().splitlines() == numbers(100)
