"""Followed files whose file system does not answer."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from cbox_init.config.model import LogFileConfig, LoggingConfig
from cbox_init.logs.follow import globs, growing_file, lookups
from cbox_init.safe_paths import open_to_read
from cbox_init.threads import NoThreadError, start_thread
from tests.logs.conftest import DEADLINE_S, until
from tests.logs.follow.conftest import append, open_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.logs.conftest import Bench


class Stalled:
    """Nothing that is in a directory "stalled" is opened until ``answer`` is called."""

    def __init__(self) -> None:
        self._answers = threading.Event()
        self.asked: list[str] = []

    def answer(self) -> None:
        self._answers.set()

    def open(self, path: str, reader: object = None) -> int:
        if "/stalled/" in path:
            self.asked.append(path)
            assert self._answers.wait(DEADLINE_S)
        return open_to_read(path)


@pytest.fixture
def stalled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stalled]:
    (tmp_path / "stalled").mkdir()
    stalled = Stalled()
    monkeypatch.setattr(globs, "open_to_read", stalled.open)
    monkeypatch.setattr(growing_file, "open_to_read", stalled.open)
    yield stalled
    stalled.answer()


def follow(bench: Bench, process: str, *paths: Path) -> None:
    files = {f"file{number}": LogFileConfig(path=str(path)) for number, path in enumerate(paths)}
    bench.hub.open(process, LoggingConfig(files=files))


def ring(bench: Bench, process: str) -> list[str]:
    return [record.message for record in bench.hub.records(process, limit=1000, newest_first=False)]


def answered(bench: Bench, but: int = 0) -> bool:
    """Whether all lookups ``but`` that number are done: a file is read from where it ended when found,
    and an open one may not have been measured yet."""
    assert bench.hub._follower is not None
    found = bench.hub._follower._lookups
    return len(found._running) + len(found._waiting) == but


@pytest.mark.parametrize("name", ["app.log", "*.log"])
async def test_the_loop_goes_on_and_the_file_is_followed_when_it_answers(
    bench: Bench, tmp_path: Path, stalled: Stalled, name: str
) -> None:
    append(tmp_path / "stalled" / "app.log", "before")
    append(tmp_path / "other.log", "before")
    began = time.monotonic()
    follow(bench, "web", tmp_path / "stalled" / name)
    follow(bench, "other", tmp_path / "other.log")
    assert time.monotonic() - began < 5
    await until(lambda: answered(bench, but=1))
    append(tmp_path / "other.log", "one")
    await until(lambda: ring(bench, "other") == ["one"])
    assert len(stalled.asked) == 1
    stalled.answer()
    await until(lambda: answered(bench))
    append(tmp_path / "stalled" / "app.log", "two")
    await until(lambda: ring(bench, "web") == ["two"])


@pytest.mark.parametrize("name", ["app.log", "*.log"])
async def test_what_is_no_longer_wanted_is_not_followed_when_it_answers(
    bench: Bench, tmp_path: Path, stalled: Stalled, name: str
) -> None:
    append(tmp_path / "stalled" / "app.log", "before")
    append(tmp_path / "other.log", "before")
    follow(bench, "web", tmp_path / "stalled" / name)
    await until(lambda: len(stalled.asked) == 1)
    follow(bench, "web", tmp_path / "other.log")
    stalled.answer()
    await until(lambda: answered(bench))
    append(tmp_path / "stalled" / "app.log", "not followed")
    append(tmp_path / "other.log", "one")
    await until(lambda: ring(bench, "web") == ["one"])
    await until(lambda: answered(bench))
    assert open_files(tmp_path) == [str(tmp_path / "other.log")]


async def test_many_take_few_threads_and_little_time(bench: Bench, tmp_path: Path, stalled: Stalled) -> None:
    paths = [tmp_path / "stalled" / f"{number}.log" for number in range(100)]
    began = time.monotonic()
    follow(bench, "web", *paths)
    took_s = time.monotonic() - began
    assert took_s < 5
    await until(lambda: len(stalled.asked) == lookups._MOST_THREADS)
    assert sum(thread.name == "log-lookup" for thread in threading.enumerate()) == lookups._MOST_THREADS
    stalled.answer()
    await until(lambda: len(stalled.asked) >= 100 and answered(bench))
    for path in paths:
        append(path, path.name)
    await until(lambda: len(ring(bench, "web")) == 100)


async def test_the_end_does_not_wait(bench: Bench, tmp_path: Path, stalled: Stalled) -> None:
    append(tmp_path / "stalled" / "app.log", "before")
    follow(bench, "web", tmp_path / "stalled" / "app.log")
    began = time.monotonic()
    records = await bench.finish()
    assert time.monotonic() - began < 5
    assert [record["msg"] for record in records] == ["Log files are not followed yet"]


async def test_without_threads_it_is_tried_again(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookups, "_AGAIN_S", 0.02)
    tries: list[str] = []

    def refuse(work: Callable[[], object], *, name: str, failed: Callable[[Exception], object]) -> None:
        tries.append(name)
        if len(tries) < 3:
            raise NoThreadError(name)
        start_thread(work, name=name, failed=failed)

    monkeypatch.setattr(lookups, "start_thread", refuse)
    append(tmp_path / "app.log", "before")
    follow(bench, "web", tmp_path / "app.log")
    await until(lambda: answered(bench))
    append(tmp_path / "app.log", "one")
    await until(lambda: ring(bench, "web") == ["one"])


async def test_an_unexpected_failure_is_contained_and_tried_again(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookups, "_AGAIN_S", 0.02)
    failed: list[str] = []

    def fail(path: str, reader: object = None) -> int:
        if len(failed) < 2:
            failed.append(path)
            raise RuntimeError("injected")
        return open_to_read(path)

    monkeypatch.setattr(growing_file, "open_to_read", fail)
    append(tmp_path / "app.log", "before")
    follow(bench, "web", tmp_path / "app.log")
    await until(lambda: answered(bench))
    append(tmp_path / "app.log", "one")
    await until(lambda: ring(bench, "web") == ["one"])
    assert "injected" in str(await bench.finish())
    assert os.path.basename(failed[0]) == "app.log"
