"""docs/architecture.md: its three ways are those of the code, its files exist, its first hour is an hour."""

from __future__ import annotations

import os
import re
import signal
import sys
from typing import TYPE_CHECKING

from cbox_init.logs.writer import Writer
from cbox_init.supervisor.run_queue import RunQueue
from cbox_init.system.spawn import Spawner
from tests.docs.markdown import ROOT, Section, code, sections
from tests.supervisor.conftest import adopted_orphans, build  # noqa: F401

if TYPE_CHECKING:
    from types import FrameType

    import pytest

    from tests.supervisor.house import Build

PAGE = ROOT / "docs/architecture.md"
SOURCE = ROOT / "src/cbox_init"
_PLACE = re.compile(r"`([\w/]+\.py):(\w+)`")
_FILE = re.compile(r"`((?:\w+/)*\w+\.py)`")
_LINK = re.compile(r"\.\./src/cbox_init/([\w/]+\.py)")

#: Lines that somebody reads in a minute, where half of them can be passed over quickly.
LINES_A_MINUTE = 40

Hop = tuple[str, str]


def section(heading: str) -> Section:
    (found,) = (one for one in sections(PAGE) if one.heading == heading)
    return found


def ways() -> dict[str, list[Hop]]:
    """Each way on the page: the functions it leads through, in their order."""
    return {
        one.heading: _PLACE.findall(one.prose)
        for one in sections(PAGE)
        if _PLACE.search(one.prose) and one.heading.startswith("The way of")
    }


class Trace:
    """The stack of our functions at each call of some methods, while a test runs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stacks: list[list[Hop]] = []
        for owner, name in ((RunQueue, "wake"), (Spawner, "spawn"), (Writer, "write")):
            self._watch(monkeypatch, owner, name)

    def _watch(self, monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> None:
        original = getattr(owner, name)

        def traced(*args: object, **kwargs: object) -> object:
            self.stacks.append([*_stack(), (_module(original.__code__.co_filename), name)])
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, traced)

    def between(self, first: Hop, last: Hop) -> list[Hop]:
        """The hops of the first stack that leads from one function to another."""
        for stack in self.stacks:
            if first in stack and stack[-1] == last:
                return stack[stack.index(first) :]
        raise AssertionError(f"no call from {first} to {last}")


def _module(path: str) -> str:
    return path.partition("src/cbox_init/")[2]


def _stack() -> list[Hop]:
    """Our functions that are being called, the outermost first."""
    hops: list[Hop] = []
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if _module(frame.f_code.co_filename):
            hops.append((_module(frame.f_code.co_filename), frame.f_code.co_name))
        frame = frame.f_back
    return hops[::-1]


async def test_the_ways(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    house = build("processes:\n  web: {command: [sh, -c, 'echo hello; exec sleep 99'], restart_delay: 10ms}")
    await house.until(lambda: house.logs.records("web", limit=9))
    trace = Trace(monkeypatch)

    house.supervisor.scale("web", 2)
    await house.until(lambda: house.logs.records("web", limit=9)[1:])
    queue = ("supervisor/run_queue.py", "wake")
    found = {
        "The way of a command": [
            *trace.between(("supervisor/supervisor.py", "scale"), queue),
            *trace.between(("supervisor/run_queue.py", "_turn"), ("system/spawn.py", "spawn")),
        ],
        "The way of a line of output": trace.between(
            ("logs/reader.py", "_turn"), ("logs/writer.py", "write")
        ),
    }
    trace.stacks.clear()
    os.kill(house.pids("web")[0], signal.SIGKILL)
    await house.until_restarted("web", 1)
    found["The way of an exit"] = [
        *trace.between(("supervisor/supervisor.py", "reap"), queue),
        *trace.between(("supervisor/runtime.py", "reconcile"), queue),
    ]
    named = ways()
    named = ways()
    for heading, hops in found.items():
        text = "\n".join(f"`{file}:{name}`" for file, name in hops)
        assert named.get(heading) == hops, f"{heading!r} should lead through\n{text}"
    assert set(named) == set(found)


def test_files_that_are_named_exist() -> None:
    text = PAGE.read_text()
    files = {file for file, _ in _PLACE.findall(text)} | set(_FILE.findall(text)) | set(_LINK.findall(text))
    assert len(files) > 50
    bases = (SOURCE, ROOT)
    assert sorted(file for file in files if not any((base / file).is_file() for base in bases)) == []


def test_folders_that_are_named_are_all_there_are() -> None:
    (table,) = (table for table in section("The tree").tables if table[0][0] == "folder")
    named = {
        name.rstrip("/") for row in table[1:] for name in code(f"{row[0]} {row[1]}") if name.endswith("/")
    }
    folders = {str(init.parent.relative_to(SOURCE)) for init in SOURCE.glob("*/**/__init__.py")}
    assert named == folders - {"config/model", "api/routes"} | {"api/http"}


def test_the_first_hour_is_an_hour() -> None:
    (table,) = section("The first hour").tables
    files = [_LINK.findall(row[0])[0] for row in table[1:]]
    lines = sum(len((SOURCE / file).read_text().splitlines()) for file in files)
    assert len(files) > 5
    assert lines <= 60 * LINES_A_MINUTE, f"{lines} lines are too many for an hour: drop or split a file"
