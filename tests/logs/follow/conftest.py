"""A follower in the loop of the test, and what it has read."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from cbox_init.logs.follow.follower import FileFollower
from cbox_init.logs.follow.growing_file import FollowedFile
from cbox_init.logs.framing import Framer
from cbox_init.threads import call_in_loop
from tests.logs.conftest import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from cbox_init.logs.follow.growing_file import FileRead
    from cbox_init.logs.framing import Frame
    from cbox_init.logs.rotation import Rotation
    from tests.logs.conftest import Said


class LineHandler:
    """Takes the lines of one file."""

    def __init__(self, path: Path, follower: FileFollower) -> None:
        self.path = path
        self.frames: list[Frame] = []
        self.stopped = False
        self.followed = FollowedFile(str(path), self)
        self._follower = follower
        self._framers: dict[int, Framer] = {}

    def held(self) -> bool:
        return self.stopped

    def take(self, reads: Sequence[FileRead]) -> None:
        for read in reads:
            framer = self._framers.setdefault(read.file, Framer())
            self.frames += framer.feed(read.data)
            if read.ends:
                self.frames += self._framers.pop(read.file).flush()

    def end(self) -> None:
        assert self._framers == {}

    def go_on(self) -> None:
        self.stopped = False
        self._follower.resume()

    @property
    def lines(self) -> list[str]:
        return [
            line for data, _ in self.frames for line in data.decode("utf-8", "backslashreplace").split("\n")
        ]

    async def until(self, *lines: str) -> None:
        """Until exactly these have been read."""
        try:
            await until(lambda: len(self.lines) >= len(lines), what="the lines")
        except AssertionError:
            assert self.lines == list(lines)
            raise
        assert self.lines == list(lines)


class Following:
    """A follower, and ways to write what it reads."""

    def __init__(self, said: Said) -> None:
        self.said = said
        self.follower = FileFollower(said.log)
        self._lines: list[LineHandler] = []
        self._ended = False

    def follow(self, path: Path, rotation: Rotation | None = None) -> LineHandler:
        lines = LineHandler(path, self.follower)
        self._lines.append(lines)
        self.follower.follow(lines.followed, rotation)
        return lines

    def attach(self) -> None:
        self.follower.attach(asyncio.get_running_loop())

    async def begun(self) -> None:
        """Until the files are watched: one that is renamed away before that is not found any more."""
        loop = asyncio.get_running_loop()
        watched = asyncio.Event()
        self.follower._call(lambda: call_in_loop(loop, watched.set))
        await asyncio.wait_for(watched.wait(), 20)

    async def finish(self) -> None:
        """Read all that there is, and end."""
        if self._ended:
            return
        self._ended = True
        for lines in self._lines:
            lines.go_on()
        assert await self.follower.finish(20)


@pytest.fixture
async def following(said: Said) -> AsyncIterator[Following]:
    """Files are followed from the first moment of the test on."""
    following = Following(said)
    following.attach()
    yield following
    await following.finish()


def append(path: Path, *lines: str, end: str = "\n") -> None:
    """As an application does that opens its log for each write."""
    with path.open("a") as file:
        file.write("".join(f"{line}{end}" for line in lines))


def numbers(count: int, start: int = 0) -> list[str]:
    return [f"line {number}" for number in range(start, start + count)]


def open_files(path: Path) -> list[str]:
    """What this process has open that begins with ``path``."""
    found = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{fd}")
        except OSError:
            continue
        if target.startswith(str(path)):
            found.append(target)
    return found
