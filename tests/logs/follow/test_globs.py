"""Files by a pattern: those that are there, and those that come."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from cbox_init.config.model import LogFileConfig, LoggingConfig, MultilineConfig, RotateConfig
from cbox_init.logs.follow import follower, globs, growing_file, tail, watches
from cbox_init.logs.follow.globs import FollowedGlob, is_glob, matches_now
from cbox_init.safe_paths import open_to_read
from cbox_init.system.inotify import Inotify
from tests.logs.conftest import Bench, Output, until
from tests.logs.follow.conftest import append, numbers, open_files

if TYPE_CHECKING:
    from pathlib import Path

    from cbox_init.logs.follow.growing_file import FileConsumer


def ring(bench: Bench) -> list[str]:
    return [record.message for record in bench.hub.records("web", limit=10_000, newest_first=False)]


def follow(bench: Bench, path: Path, **settings: object) -> None:
    file = LogFileConfig(path=str(path), **settings)  # type: ignore[arg-type]
    bench.hub.open("web", LoggingConfig(files={"app": file}))


async def test_files_are_followed_as_they_come(bench: Bench, tmp_path: Path) -> None:
    append(tmp_path / "laravel-1.log", "before the daemon")
    append(tmp_path / "other.log", "another")
    follow(bench, tmp_path / "laravel-*.log")
    append(tmp_path / "laravel-1.log", "one")
    await until(lambda: ring(bench) == ["one"])
    append(tmp_path / "laravel-2.log", "two", "three")
    await until(lambda: ring(bench) == ["one", "two", "three"])
    append(tmp_path / "other.log", "another")
    append(tmp_path / "laravel-1.log", "four")
    await until(lambda: len(ring(bench)) == 4)
    (tmp_path / "new").write_text("five\n")
    (tmp_path / "new").rename(tmp_path / "laravel-3.log")
    records = await bench.finish()
    assert [record["msg"] for record in records] == ["one", "two", "three", "four", "five"]
    assert {record["instance_id"] for record in records} == {"app"}


async def test_the_directory_may_come_later(bench: Bench, tmp_path: Path) -> None:
    follow(bench, tmp_path / "a" / "b" / "*.log")
    (tmp_path / "a" / "b").mkdir(parents=True)
    append(tmp_path / "a" / "b" / "x.log", "there")
    await until(lambda: ring(bench) == ["there"])


async def test_each_file_has_its_own_lines_and_records(bench: Bench, tmp_path: Path) -> None:
    follow(bench, tmp_path / "*.log", multiline=MultilineConfig(enabled=True, pattern="^first", timeout=30.0))
    for name in "ab":
        (tmp_path / f"{name}.log").touch()
    with (tmp_path / "a.log").open("w") as one, (tmp_path / "b.log").open("w") as other:
        for number in range(100):
            print("first", number, file=one, flush=True)
            print("first", number, file=other, flush=True)
            print(" a", number, file=one, flush=True)
            print(" b", number, file=other, flush=True)
    records = [str(record["msg"]) for record in await bench.finish()]
    assert sorted(records) == sorted(
        f"first {number}\n {name} {number}" for number in range(100) for name in "ab"
    )


async def test_rotation_and_renames_within_the_pattern_double_nothing(bench: Bench, tmp_path: Path) -> None:
    """A pattern that its rotated files match as well."""
    follow(bench, tmp_path / "app*", rotate=RotateConfig(max_size=500, max_files=10, compress=True))
    path = tmp_path / "app.log"
    for start in range(0, 200, 10):
        append(path, *numbers(10, start))
        await until(lambda: len(ring(bench)) == start + 10)  # noqa: B023
    path.rename(tmp_path / "app-old.log")
    append(tmp_path / "app-old.log", "under its new name")
    append(path, "a new file")
    await until(lambda: len(ring(bench)) == 202)
    assert ring(bench)[:200] == numbers(200)
    assert sorted(ring(bench)[200:]) == ["a new file", "under its new name"]


async def test_a_file_that_was_removed_is_let_go_of(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "QUIET_S", 0.05)
    follow(bench, tmp_path / "*.log")
    for number in range(20):
        append(tmp_path / f"{number}.log", f"{number}")
    append(tmp_path / "last.log", "x")
    await until(lambda: len(ring(bench)) == 21)
    for number in range(20):
        (tmp_path / f"{number}.log").unlink()
        append(tmp_path / "last.log", "x")
    await until(lambda: len(open_files(tmp_path)) <= 2, what="closed files")
    for turn in range(50):
        append(tmp_path / "3.log", f"again {turn}")
        await until(lambda: f"again {turn}" in ring(bench))  # noqa: B023
        (tmp_path / "3.log").unlink()
        await asyncio.sleep(turn * 0.003)  # before, while and after it is let go of


def _no_consumer(path: str) -> FileConsumer:
    raise AssertionError(path)


def test_files_that_are_refused_keep_out_no_others_and_few_are_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(globs, "MOST_FILES", 5)
    refused = {f"{tmp_path}/{number}.log" for number in range(3, 20)}

    def refuse(path: str, reader: object) -> int:
        if path in refused:
            raise PermissionError(path)
        return open_to_read(path)

    monkeypatch.setattr(globs, "open_to_read", refuse)
    for number in range(20):
        append(tmp_path / f"{number}.log", "before")
        os.utime(tmp_path / f"{number}.log", (number, number))
    matches, others = matches_now(FollowedGlob(str(tmp_path / "*.log"), _no_consumer))
    assert [os.path.basename(match.path) for match in matches] == ["2.log", "1.log", "0.log"]
    assert {os.path.basename(path) for path in others} == {f"{number}.log" for number in range(3, 15)}
    for match in matches:
        os.close(match.fd)


async def test_newer_files_that_are_refused_do_not_keep_out_an_older_one(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(globs, "MOST_FILES", 5)
    monkeypatch.setattr(follower, "MOST_FILES", 5)

    def refuse(path: str, reader: object = None) -> int:
        if "refused" in path:
            raise PermissionError(path)
        return open_to_read(path)

    monkeypatch.setattr(globs, "open_to_read", refuse)
    monkeypatch.setattr(growing_file, "open_to_read", refuse)
    append(tmp_path / "app.log", "before")
    os.utime(tmp_path / "app.log", (1, 1))
    for number in range(20):
        append(tmp_path / f"refused-{number}.log", "secret")
    follow(bench, tmp_path / "*.log")
    append(tmp_path / "app.log", "one")
    await until(lambda: ring(bench) == ["one"])
    for number in range(20, 40):
        append(tmp_path / f"refused-{number}.log", "secret")
    append(tmp_path / "app.log", "two")
    await until(lambda: ring(bench) == ["one", "two"])


async def test_too_many_are_let_go_of_the_oldest_first(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(globs, "MOST_FILES", 5)
    monkeypatch.setattr(follower, "MOST_FILES", 5)
    for number in range(10):
        append(tmp_path / f"{number}.log", "before")
        os.utime(tmp_path / f"{number}.log", (number, number))
    matches, others = matches_now(FollowedGlob(str(tmp_path / "*.log"), _no_consumer))
    assert [os.path.basename(match.path) for match in matches] == [f"{n}.log" for n in range(9, 4, -1)]
    assert len(others) == 5
    for match in matches:
        os.close(match.fd)
    follow(bench, tmp_path / "*.log")
    for number in range(10, 20):
        append(tmp_path / f"{number}.log", f"{number}")
        await until(lambda: f"{number}" in ring(bench))  # noqa: B023
    await until(lambda: len([one for one in open_files(tmp_path) if one.endswith(".log")]) <= 5)
    append(tmp_path / "19.log", "last")
    await until(lambda: "last" in ring(bench))
    assert "before" not in ring(bench)


async def test_another_pattern_and_none_after_a_reload(bench: Bench, tmp_path: Path) -> None:
    follow(bench, tmp_path / "a*.log")
    append(tmp_path / "a1.log", "one")
    await until(lambda: ring(bench) == ["one"])
    append(tmp_path / "b1.log", "was there")
    follow(bench, tmp_path / "b*.log", multiline=MultilineConfig(enabled=False))
    append(tmp_path / "b1.log", "two")
    await until(lambda: ring(bench) == ["one", "two"])
    append(tmp_path / "a1.log", "not followed")
    follow(bench, tmp_path / "b*.log", rotate=RotateConfig(max_size=1000))
    append(tmp_path / "b2.log", "three")
    await until(lambda: ring(bench) == ["one", "two", "three"])
    bench.hub.open("web", LoggingConfig())
    await until(lambda: not [one for one in open_files(tmp_path) if one.endswith(".log")])


async def test_without_inotify_and_when_it_is_back(
    output: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watches, "_RETRY_S", 0.0)
    monkeypatch.setattr(follower, "_POLL_S", 0.02)
    there = False

    def scarce() -> Inotify:
        if not there:
            raise OSError(24, "Too many open files")
        return Inotify()

    monkeypatch.setattr(watches, "Inotify", scarce)
    output.start()
    bench = Bench(output)
    bench.hub.attach(asyncio.get_running_loop())
    follow(bench, tmp_path / "*.log")
    append(tmp_path / "1.log", "one")
    await until(lambda: ring(bench) == ["one"])
    there = True
    follower_ = bench.hub._follower
    assert follower_ is not None
    await until(lambda: follower_._watches.fileno() is not None)
    append(tmp_path / "1.log", "two")
    append(tmp_path / "2.log", "three")
    await until(lambda: sorted(ring(bench)) == ["one", "three", "two"])
    records = await bench.finish()
    assert [record["msg"] for record in records if record["level"] == "WARN"] == [
        "Log files are looked at every second"
    ]


async def test_a_follower_that_cannot_start_is_tried_again(
    output: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output.start()
    bench = Bench(output)
    bench.hub.attach(asyncio.get_running_loop())
    monkeypatch.setattr(follower, "_AGAIN_S", 0.05)
    with monkeypatch.context() as scarce:

        def refused(flags: int) -> tuple[int, int]:
            raise OSError(24, "Too many open files")

        scarce.setattr(os, "pipe2", refused)
        follow(bench, tmp_path / "app.log")
        append(tmp_path / "app.log", "one")
        await asyncio.sleep(0)
    await until(lambda: ring(bench) == ["one"])
    records = await bench.finish()
    assert [record["msg"] for record in records if record["level"] == "ERROR"] == [
        "Log files cannot be followed, it is tried again"
    ]


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/a/*.log", True), ("/a/b?.log", True), ("/a/[ab].log", True), ("/a/b.log", False)],
)
def test_what_is_a_pattern(path: str, expected: bool) -> None:
    assert is_glob(path) is expected
