"""What ``--watch`` sees, whichever way the file gets other content."""

from __future__ import annotations

import asyncio
import os
import shutil
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from cbox_init.supervisor.configuration import watch as module
from cbox_init.supervisor.configuration.watch import _Seen, watch
from cbox_init.system.inotify import Inotify, steps_to
from tests.logs.conftest import Said, said, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import pytest

__all__ = ("said",)


class Watched:
    def __init__(self) -> None:
        self.changes = 0
        self.expected = 0

    def changed(self) -> None:
        self.changes += 1

    async def sees(self) -> None:
        """One more change is seen."""
        self.expected += 1
        await until(lambda: self.changes >= self.expected)
        self.expected = self.changes


@asynccontextmanager
async def watching(path: Path, said: Said) -> AsyncIterator[Watched]:
    watched = Watched()
    task = asyncio.create_task(watch(str(path), watched.changed, said.log))
    await until(lambda: "Watching the configuration" in said.messages())
    yield watched
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_file_that_is_written_replaced_removed_and_back(tmp_path: Path, said: Said) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("one")
    async with watching(path, said) as watched:
        path.write_text("two and more")
        await watched.sees()
        (tmp_path / "new").write_text("three")
        (tmp_path / "new").rename(path)
        await watched.sees()
        path.unlink()
        await watched.sees()
        path.write_text("four")
        await watched.sees()


async def test_directories_that_go_and_come(tmp_path: Path, said: Said) -> None:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    (folder / "c.yaml").write_text("one")
    async with watching(folder / "c.yaml", said) as watched:
        shutil.rmtree(tmp_path / "a")
        await watched.sees()
        folder.mkdir(parents=True)
        (folder / "c.yaml").write_text("two")
        await watched.sees()
        (tmp_path / "a").rename(tmp_path / "old")
        await watched.sees()
        (tmp_path / "old").rename(tmp_path / "a")
        await watched.sees()


async def test_any_link_on_the_way_may_change(tmp_path: Path, said: Said) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "c.yaml").write_text(name)
    (tmp_path / "data").symlink_to("one")
    (tmp_path / "more").symlink_to(tmp_path / "data")
    (tmp_path / "c.yaml").symlink_to("more/../more/c.yaml")
    async with watching(tmp_path / "c.yaml", said) as watched:
        (tmp_path / "new").symlink_to("two")
        (tmp_path / "new").rename(tmp_path / "data")
        await watched.sees()
        (tmp_path / "two" / "c.yaml").write_text("written where the links lead")
        await watched.sees()


async def test_another_name_of_the_file_is_seen_too(tmp_path: Path, said: Said) -> None:
    """As with a file that is mounted into a container: no directory on the way knows of a change."""
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "c.yaml").write_text("one")
    os.link(tmp_path / "far" / "c.yaml", tmp_path / "c.yaml")
    async with watching(tmp_path / "c.yaml", said) as watched:
        (tmp_path / "far" / "c.yaml").write_text("two and more")
        await watched.sees()


async def test_a_file_that_is_written_in_pieces_is_one_change(tmp_path: Path, said: Said) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("")
    async with watching(path, said) as watched:
        with path.open("w") as file:
            for number in range(20):
                print(number, file=file, flush=True)
                await asyncio.sleep(0)
        await watched.sees()
        path.write_text("another")
        await watched.sees()
        assert watched.changes == 2


async def test_other_files_in_the_directory_wake_nobody(
    tmp_path: Path, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0
    look = module._watch_path

    def counted(events: Inotify, path: str, more: tuple[str, ...]) -> tuple[dict[int, set[str]], _Seen]:
        nonlocal looks
        looks += 1
        return look(events, path, more)

    monkeypatch.setattr(module, "_watch_path", counted)
    path = tmp_path / "c.yaml"
    path.write_text("one")
    async with watching(path, said) as watched:
        for number in range(100):
            (tmp_path / f"{number}").write_text("x")
        path.write_text("two and more")
        await watched.sees()
        assert looks <= 3


async def test_without_inotify_it_is_tried_again(
    tmp_path: Path, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = 2

    def scarce() -> Inotify:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise OSError(24, "Too many open files")
        return Inotify()

    monkeypatch.setattr(module, "Inotify", scarce)
    monkeypatch.setattr(module, "_FIRST_PAUSE_S", 0.01)
    path = tmp_path / "c.yaml"
    path.write_text("one")
    async with watching(path, said) as watched:
        path.write_text("two and more")
        await watched.sees()
    warnings = [record for record in said.records() if record["level"] == "WARN"]
    assert [warning["error"] for warning in warnings] == ["[Errno 24] Too many open files"]


def test_the_steps_to_a_file(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "l").symlink_to("x")
    (tmp_path / "x" / "m").symlink_to(tmp_path / "y")
    found = [step for step in steps_to(str(tmp_path / "l" / "m")) if step[0].startswith(str(tmp_path))]
    top, inner = str(tmp_path), str(tmp_path / "x")
    assert found == [(top, "l"), (top, "x"), (inner, "m"), (top, "y")]
    (tmp_path / "loop").symlink_to("loop")
    assert len(list(steps_to(str(tmp_path / "loop")))) < 100


async def test_included_files_and_those_that_a_pattern_matches_later(tmp_path: Path, said: Said) -> None:
    path, folder = tmp_path / "c.yaml", tmp_path / "conf.d"
    folder.mkdir()
    path.write_text("include: [conf.d/*.yaml, more.yaml]\nprocesses: {}")
    (folder / "a.yaml").write_text("one")
    async with watching(path, said) as watched:
        (folder / "a.yaml").write_text("two and more")
        await watched.sees()
        (folder / "b.yaml").write_text("new")
        await watched.sees()
        (folder / "b.yaml").write_text("new, and changed")
        await watched.sees()
        (tmp_path / "more.yaml").write_text("one")
        await watched.sees()
        (folder / "a.yaml").unlink()
        await watched.sees()
        (folder / "other.txt").write_text("not a part of it")
        path.write_text("processes: {}")
        await watched.sees()
        assert watched.changes == 6


async def test_further_files_are_watched_also_those_that_come_with_a_change(
    tmp_path: Path, said: Said
) -> None:
    path, first, second = tmp_path / "c.yaml", tmp_path / "a.env", tmp_path / "b.env"
    for file in (path, first, second):
        file.write_text("one")
    watched = Watched()
    more = [str(first)]

    def changed() -> asyncio.Future[None]:
        watched.changed()
        more.append(str(second))
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    task = asyncio.create_task(watch(str(path), changed, said.log, more=lambda: tuple(dict.fromkeys(more))))
    await until(lambda: "Watching the configuration" in said.messages())
    second.write_text("not yet")
    first.write_text("two and more")
    await watched.sees()
    await until(lambda: str(second) in more)
    assert watched.changes == 1, "a file that has just been read is no change"
    written = 0

    def seen() -> bool:
        """Whether a change of the second file is seen; it may be written before it is watched."""
        nonlocal written
        written += 1
        second.write_text("x" * written)
        return watched.changes > 1

    await until(seen)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_further_files_are_asked_for_when_they_have_changed(tmp_path: Path, said: Said) -> None:
    path, further = tmp_path / "c.yaml", tmp_path / "a.env"
    for file in (path, further):
        file.write_text("one")
    watched, more, event = Watched(), list[str](), asyncio.Event()
    task = asyncio.create_task(
        watch(str(path), watched.changed, said.log, more=lambda: tuple(more), more_changed=event)
    )
    await until(lambda: "Watching the configuration" in said.messages())
    more.append(str(further))
    event.set()
    written = 0

    def seen() -> bool:
        """Whether a change of it is seen; it may be written before it is watched."""
        nonlocal written
        written += 1
        further.write_text("x" * written)
        return watched.changes > 0

    await until(seen)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
