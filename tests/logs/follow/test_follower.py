"""Files that somebody else writes: read once and in order, whatever happens to their names."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from cbox_init.logs.follow import watches
from tests.logs.conftest import until
from tests.logs.follow.conftest import append, numbers, open_files

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.logs.follow.conftest import Following


async def test_a_file_that_is_there_is_read_from_its_end(following: Following, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    append(path, "long ago")
    lines = following.follow(path)
    append(path, "one")
    await lines.until("one")
    append(path, "two", "three")
    await lines.until("one", "two", "three")


async def test_a_file_that_comes_later_is_read_from_its_beginning(
    following: Following, tmp_path: Path
) -> None:
    path = tmp_path / "app.log"
    lines = following.follow(path)
    append(path, *numbers(10_000))
    await lines.until(*numbers(10_000))


async def test_a_directory_that_comes_later(following: Following, tmp_path: Path) -> None:
    path = tmp_path / "a/b/c/app.log"
    lines = following.follow(path)
    path.parent.mkdir(parents=True)
    append(path, "one")
    await lines.until("one")
    shutil.rmtree(tmp_path / "a")
    path.parent.mkdir(parents=True)
    append(path, "two")
    await lines.until("one", "two")
    (tmp_path / "a").rename(tmp_path / "away")
    staged = tmp_path / "staged/b/c"
    staged.mkdir(parents=True)
    append(staged / "app.log", "three")
    (tmp_path / "staged").rename(tmp_path / "a")
    await lines.until("one", "two", "three")


async def test_a_line_waits_for_its_end(following: Following, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    lines = following.follow(path)
    text = "zw\u00f6lf".encode()
    with path.open("ab", buffering=0) as file:
        file.write(b"first\n" + text[:3])
        await lines.until("first")
        file.write(text[3:] + b"\nbegun")
        await lines.until("first", "zw\u00f6lf")
        await following.finish()
    assert lines.lines == ["first", "zw\u00f6lf", "begun"]


async def test_a_hundred_rotations_lose_and_double_nothing(following: Following, tmp_path: Path) -> None:
    """As logrotate does it, as fast as it can: rename, and write to a new file."""
    path = tmp_path / "app.log"
    lines = following.follow(path)
    script = """
import os, sys
path = sys.argv[1]
for turn in range(100):
    with open(path, "a", buffering=1) as file:
        for number in range(100):
            print("line", turn * 100 + number, file=file)
    for old in range(turn, 0, -1):
        if os.path.exists(f"{path}.{old}"):
            os.rename(f"{path}.{old}", f"{path}.{old + 1}")
    os.rename(path, f"{path}.1")
"""
    await following.begun()
    child = subprocess.Popen([sys.executable, "-c", script, path])  # noqa: ASYNC220
    await until(lambda: child.poll() is not None, what="the end of the rotations")
    assert child.returncode == 0
    await lines.until(*numbers(10_000))


async def test_who_goes_on_with_a_renamed_file_is_read_as_well(following: Following, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    lines = following.follow(path)
    with path.open("a", buffering=1) as old:
        old.write("one\n")
        await lines.until("one")
        path.rename(tmp_path / "app.log.1")
        old.write("two\n")
        await lines.until("one", "two")
        append(path, "three")
        await lines.until("one", "two", "three")
        old.write("four\n")
        await lines.until("one", "two", "three", "four")
        (tmp_path / "app.log.1").rename(tmp_path / "app.log.2")
        old.write("five\n")
        await lines.until("one", "two", "three", "four", "five")


async def test_a_file_that_is_truncated_is_read_from_its_beginning(
    following: Following, tmp_path: Path
) -> None:
    """copytruncate: what was read before is not read again, and what comes is."""
    path = tmp_path / "app.log"
    lines = following.follow(path)
    expected: list[str] = []
    with path.open("a", buffering=1) as file:
        for turn in range(20):
            fresh = numbers(100, turn * 100)
            file.write("".join(f"{line}\n" for line in fresh))
            expected += fresh
            await lines.until(*expected)
            shutil.copy(path, tmp_path / "copy")
            os.truncate(path, 0)


async def test_a_truncated_file_that_has_grown_beyond_what_was_read(
    following: Following, tmp_path: Path
) -> None:
    path = tmp_path / "app.log"
    lines = following.follow(path)
    append(path, "short")
    await lines.until("short")
    lines.stopped = True
    append(path, "held")
    await lines.until("short", "held")
    with path.open("r+") as file:
        file.truncate(0)
        file.write("".join(f"{line}\n" for line in numbers(1000)))
    lines.go_on()
    await lines.until("short", "held", *numbers(1000))


async def test_who_writes_on_at_its_old_place_after_a_truncation(
    following: Following, tmp_path: Path
) -> None:
    path = tmp_path / "app.log"
    lines = following.follow(path)
    with path.open("w", buffering=1) as file:
        file.write("x" * 100_000 + "\n")
        await until(lambda: sum(len(data) for data, _ in lines.frames) == 100_000)
        os.truncate(path, 0)
        file.write("after the hole\n")
        await until(lambda: lines.lines[-1] == "after the hole")
    assert not any("\0" in line for line in lines.lines)


async def test_a_file_that_is_removed_and_made_again(following: Following, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    lines = following.follow(path)
    for turn in range(50):
        append(path, *numbers(20, turn * 20))
        await lines.until(*numbers(turn * 20 + 20))
        path.unlink()


async def test_a_file_that_is_replaced_by_another(following: Following, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    lines = following.follow(path)
    append(path, "one")
    await lines.until("one")
    append(tmp_path / "new", "two")
    (tmp_path / "new").rename(path)
    await lines.until("one", "two")


async def test_a_file_that_goes_away_and_comes_back_is_not_read_again(
    following: Following, tmp_path: Path
) -> None:
    path = tmp_path / "app.log"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    lines = following.follow(path)
    append(path, "one")
    await lines.until("one")
    path.rename(elsewhere / "app.log")
    (elsewhere / "app.log").rename(path)
    append(path, "two")
    await lines.until("one", "two")


async def test_a_symbolic_link_and_what_it_leads_to(following: Following, tmp_path: Path) -> None:
    releases = tmp_path / "releases"
    for name in ("1", "2"):
        (releases / name).mkdir(parents=True)
    (tmp_path / "current").symlink_to("releases/1")
    link = tmp_path / "current/app.log"
    (releases / "1/app.log").symlink_to("data.log")
    lines = following.follow(link)
    append(releases / "1/data.log", "one")
    await lines.until("one")
    (releases / "1/data.log").rename(releases / "1/data.log.1")
    append(releases / "1/data.log", "two")
    await lines.until("one", "two")
    append(releases / "2/app.log", "three")
    (tmp_path / "next").symlink_to("releases/2")
    (tmp_path / "next").rename(tmp_path / "current")
    await lines.until("one", "two", "three")


async def test_while_it_is_held_no_more_than_a_block_is_taken_and_nothing_is_missed(
    following: Following, tmp_path: Path
) -> None:
    path = tmp_path / "app.log"
    lines = following.follow(path)
    lines.stopped = True
    expected: list[str] = []
    for turn in range(5):
        fresh = numbers(5000, turn * 5000)
        append(path, *fresh)
        expected += fresh
        await until(lambda: len(open_files(path)) > turn, what="the next file")  # noqa: B023
        path.rename(f"{path}.{turn}")
    await until(lambda: bool(lines.lines), what="the first block")
    assert len(lines.lines) < 5000
    lines.go_on()
    await lines.until(*expected)


async def test_binary_content_is_lines_like_any_other(following: Following, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    lines = following.follow(path)
    content = os.urandom(3_000_000)
    path.write_bytes(content)
    await until(lambda: sum(len(data) + 1 for data, _ in lines.frames) >= 2_900_000)
    await following.finish()
    whole = b"".join(data + (b"" if partial else b"\n") for data, partial in lines.frames)
    expected = content.replace(b"\r\n", b"\n")
    assert whole.rstrip(b"\r\n") == expected.rstrip(b"\r\n")


async def test_what_is_no_file_is_said_once(following: Following, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    os.mkfifo(path)
    lines = following.follow(path)
    await until(lambda: bool(following.said.records()), what="the complaint")
    following.follower.reopen()
    path.unlink()
    append(path, "a file at last")
    await lines.until("a file at last")
    (record,) = following.said.records()
    assert (record["msg"], record["error"]) == ("Log file cannot be followed", "it is no regular file")
    assert record["path"] == str(path)


def test_a_file_without_permission_is_said_once_and_followed_when_there_is(public_path: Path) -> None:
    """In a process that is not root, since root may read everything."""
    script = """
import asyncio, os, sys
from pathlib import Path
from tests.logs.conftest import until
from tests.logs.follow.conftest import Following, append
from tests.logs.conftest import Said
folder = Path(sys.argv[1])
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
async def main():
    said = Said(folder / "said")
    following = Following(said)
    following.attach()
    path = folder / "app.log"
    lines = following.follow(path)
    append(path, "secret")
    await lines.until("secret")
    path.rename(folder / "old")
    path.touch(0o000)
    await until(lambda: bool(said.records()))
    path.chmod(0o600)
    append(path, "readable")
    await lines.until("secret", "readable")
    await following.finish()
    (record,) = said.records()
    assert record["error"] == "Permission denied", record
asyncio.run(main())
"""
    os.chown(public_path, 65534, 65534)
    subprocess.run([sys.executable, "-c", script, public_path], check=True, timeout=60)


async def test_without_inotify_files_are_looked_at(
    following: Following, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left() -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(watches, "Inotify", none_left)
    poor = type(following)(following.said)
    poor.attach()
    path = tmp_path / "app.log"
    lines = poor.follow(path)
    append(path, "one")
    await lines.until("one")
    path.rename(tmp_path / "old")
    append(path, "two")
    await lines.until("one", "two")
    await poor.finish()
    assert [record["error"] for record in following.said.records()] == ["inotify: Too many open files"]


async def test_two_follow_one_file(following: Following, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    first, second = following.follow(path), following.follow(path)
    append(path, "one")
    await first.until("one")
    await second.until("one")
    following.follower.leave(first.followed)
    await until(lambda: len(open_files(path)) == 1, what="the end of the first")
    append(path, "two")
    await second.until("one", "two")
    assert first.lines == ["one"]


async def test_who_is_left_is_read_to_the_end(following: Following, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    lines = following.follow(path)
    append(path, *numbers(50_000))
    append(path, "last", end="")
    following.follower.leave(lines.followed)
    await lines.until(*numbers(50_000), "last")
    await until(lambda: not open_files(path), what="the close")


async def test_what_comes_in_the_last_moment_is_read(following: Following, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    lines = following.follow(path)
    append(path, "one")
    await lines.until("one")
    path.rename(tmp_path / "app.log.1")
    append(path, "two")
    path.rename(tmp_path / "app.log.2")
    append(path, "three", end="")
    await following.finish()
    assert lines.lines == ["one", "two", "three"]


async def test_at_the_end_all_is_read(following: Following, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    lines = following.follow(path)
    append(path, *numbers(50_000))
    await following.finish()
    assert lines.lines == numbers(50_000)
    assert open_files(tmp_path / "app") == []
