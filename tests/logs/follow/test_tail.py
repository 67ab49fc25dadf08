"""The files of one path come in the order in which they were written, whatever they are called meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cbox_init.logs.follow.tail import Tail
from cbox_init.system.inotify import CREATE, MOVED_FROM, MOVED_TO, InotifyEvent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.logs.conftest import Said


@pytest.fixture
def tail(tmp_path: Path, said: Said) -> Iterator[Tail]:
    made = Tail(
        str(tmp_path / "app.log"), said.log, opened=lambda tail, part: None, closed=lambda tail, part: None
    )
    yield made
    made.close()


def rotated(tail: Tail) -> None:
    """The file has been renamed to app.log.1, and another created, before either could be opened."""
    tail.apply(InotifyEvent(1, CREATE, 0, "app.log"))
    moved(tail, "app.log", "app.log.1")
    Path(tail.path).write_text("second\n")
    tail.apply(InotifyEvent(1, CREATE, 0, "app.log"))


def moved(tail: Tail, old: str, new: str) -> None:
    tail.apply(InotifyEvent(1, MOVED_FROM, 7, old))
    tail.apply(InotifyEvent(1, MOVED_TO, 7, new))


def opened(tail: Tail) -> None:
    assert tail.try_to_open()
    tail.accept()


def read(tail: Tail, now: float) -> bytes:
    data = b""
    while reads := tail.next_reads(now):
        data += b"".join(read.data for read in reads)
    return data


def test_a_file_waits_for_the_one_before_it(tail: Tail, tmp_path: Path) -> None:
    """The first has been renamed twice, and of the second time nobody has heard when they are opened."""
    (tmp_path / "app.log.2").write_text("first\n")
    rotated(tail)
    opened(tail)
    assert read(tail, now=0.0) == b""
    assert tail.tend(now=0.0) == ([], 1.0)
    moved(tail, "app.log.1", "app.log.2")
    opened(tail)
    assert read(tail, now=0.5) == b"first\nsecond\n"


def test_one_that_does_not_turn_up_is_not_waited_for_long(tail: Tail) -> None:
    rotated(tail)
    opened(tail)
    assert read(tail, now=5.0) == b""
    _, due = tail.tend(now=5.0)
    assert due is not None
    assert read(tail, now=due) == b"second\n"


def test_one_that_cannot_be_opened_is_not_waited_for(tail: Tail, tmp_path: Path, said: Said) -> None:
    (tmp_path / "app.log.1").symlink_to("app.log.1")
    rotated(tail)
    opened(tail)
    assert read(tail, now=0.0) == b"second\n"
    (record,) = said.records()
    assert record["error"] == "Too many levels of symbolic links"


def test_at_the_end_nothing_is_waited_for(tail: Tail) -> None:
    rotated(tail)
    opened(tail)
    tail.leave()
    assert read(tail, now=0.0) == b"second\n"


def test_what_was_written_to_the_old_file_last_comes_before_the_new_one(tail: Tail, tmp_path: Path) -> None:
    """A program that had the old file open at the rename; only the event of the new file has come yet."""
    (tmp_path / "app.log.1").write_text("first\n")
    rotated(tail)
    opened(tail)
    assert read(tail, now=0.0) == b"first\nsecond\n"
    for name, text in (("app.log.1", "third\n"), ("app.log", "fourth\n")):
        with (tmp_path / name).open("a") as file:
            file.write(text)
    tail.parts[-1].dirty = True
    assert read(tail, now=0.0) == b"third\nfourth\n"
