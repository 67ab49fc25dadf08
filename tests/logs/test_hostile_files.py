"""Logs in directories of an application whose user leads them to files of root."""

from __future__ import annotations

import asyncio
import gzip
import os
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import pytest

from cbox_init.config.model import LogFileConfig, LoggingConfig, OutputConfig, RotateConfig
from cbox_init.logs import rotation
from cbox_init.logs.outputs import file
from cbox_init.logs.outputs.file import FileBackend
from cbox_init.logs.outputs.retry import Retry
from cbox_init.logs.rotation import Rotation
from cbox_init.logs.writer import Writer
from tests.attacker import LONGEST_S, NOBODY, Swapper, untouched
from tests.files import status
from tests.logs.conftest import Bench, end, until
from tests.logs.follow.conftest import append
from tests.logs.outputs.conftest import wait_for
from tests.system.helpers import as_root

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.logs.conftest import Said

pytestmark = as_root

KEEPS: Final = Rotation(max_size=100, max_files=5, compress=True)


class Output:
    """An output of the daemon to a file."""

    def __init__(self, path: Path, said: Said, rotation: Rotation | None = None) -> None:
        self.path = path
        self.retry = Retry(said.log, str(path))
        self.writer = Writer(FileBackend(str(path), rotation=rotation, retry=self.retry, log=said.log))

    def write(self, *lines: str) -> None:
        for line in lines:
            self.writer.write(f"{line}\n".encode())

    def write_until(self, condition: Callable[[], object], line: str = "a line") -> None:
        """Write until it has had an effect."""
        deadline = time.monotonic() + LONGEST_S
        while not condition():
            assert time.monotonic() < deadline, "in vain"
            self.write(line)
            self.retry.hurry()
            time.sleep(0.002)


def _link(path: Path, target: Path, *, hard: bool = False) -> None:
    """As the other user makes it."""
    if hard:
        os.link(target, path)
    else:
        path.symlink_to(target)
        os.lchown(path, NOBODY, NOBODY)


# -- outputs -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hard", [False, True])
def test_an_output_that_is_a_link_is_refused_until_the_link_is_gone(
    theirs: Path, secret: Path, said: Said, *, hard: bool
) -> None:
    path = theirs / "app.log"
    _link(path, secret, hard=hard)
    output = Output(path, said)
    output.write("lost", "lost")
    wait_for(lambda: output.writer.dropped == 2)
    assert output.retry.error is not None
    (record,) = said.records()
    assert record["output"] == str(path)
    why = "has another name as well (a hard link)" if hard else "uid 65534 made this link: replace it"
    assert why in str(record["error"])
    path.unlink()
    output.write_until(path.exists)
    end(output.writer)
    assert "a line" in path.read_text()
    assert said.messages()[-1] == "Log output can be written again"
    assert untouched(secret)


def _size(path: Path) -> int:
    """The size of a file, -1 while it is rotated."""
    found = status(path)
    return -1 if found is None else found.st_size


def test_a_link_that_comes_while_it_is_written_is_refused_too(theirs: Path, secret: Path, said: Said) -> None:
    path = theirs / "app.log"
    output = Output(path, said)
    output.write_until(path.exists)
    _link(theirs / "link", secret)
    (theirs / "link").rename(path)
    output.write_until(lambda: output.writer.dropped)
    end(output.writer)
    assert untouched(secret)


def test_an_output_in_a_folder_that_is_a_link_is_refused(theirs: Path, public_path: Path, said: Said) -> None:
    ours = public_path / "ours"
    ours.mkdir()
    _link(theirs / "logs", ours)
    output = Output(theirs / "logs" / "app.log", said)
    output.write("lost")
    end(output.writer)
    assert output.writer.dropped == 1
    assert list(ours.iterdir()) == []


async def test_an_output_that_leads_to_another_output_does_not_write_there(
    bench: Bench, theirs: Path, public_path: Path
) -> None:
    """They would share one writer, if it were root who had made the link."""
    _link(theirs / "app.log", public_path / "audit.log")
    outputs = {
        name: OutputConfig(path=str(path))
        for name, path in (("audit", public_path / "audit.log"), ("app", theirs / "app.log"))
    }
    log = bench.hub.open("web", LoggingConfig(outputs=outputs))
    _, fd = bench.pipe(log)
    os.write(fd, b"once\n")
    os.close(fd)
    await until(lambda: (public_path / "audit.log").exists())
    await bench.finish()
    assert (public_path / "audit.log").read_text().count("once") == 1


# -- rotation and compression --------------------------------------------------------------------------


def test_rotation_goes_around_links_at_every_name(theirs: Path, secret: Path, said: Said) -> None:
    path = theirs / "app.log"
    output = Output(path, said, KEEPS)
    output.write_until(path.exists)
    for number in range(1, 10):
        for suffix in ("", ".gz", ".gz.tmp"):
            _link(path.with_name(f"app.log.{number}{suffix}"), secret, hard=number % 2 == 0)
    output.write_until(lambda: _packed(theirs))
    end(output.writer)
    assert untouched(secret)


def _packed(folder: Path) -> bool:
    """Whether a rotated file of ours was compressed. Meanwhile it may be renamed by the next rotation."""
    for path in folder.glob("app.log.*.gz"):
        with suppress(FileNotFoundError):
            if (
                not path.is_symlink()
                and path.stat().st_nlink == 1
                and b"a line" in gzip.decompress(path.read_bytes())
            ):
                return True
    return False


def test_a_compressed_file_is_not_made_through_a_link(theirs: Path, secret: Path, said: Said) -> None:
    path = theirs / "app.log"
    for number in range(1, 7):
        _link(path.with_name(f"app.log.{number}.gz.tmp"), secret)
    output = Output(path, said, KEEPS)
    output.write_until(lambda: _packed(theirs))
    end(output.writer)
    assert untouched(secret)
    assert "Log file was not compressed" not in said.messages(), said.records()


def test_a_compression_that_takes_for_ever_holds_nothing_up(
    theirs: Path, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a file of a terabyte that somebody has put there."""
    may_end = threading.Event()
    monkeypatch.setattr(rotation, "compress", lambda *_: may_end.wait(LONGEST_S))
    monkeypatch.setattr(file, "_COMPRESSION_TAKES_S", 0.05)
    path = theirs / "app.log"
    output = Output(path, said, KEEPS)
    output.write_until(lambda: _size(path) > 500)
    may_end.set()
    output.write_until(lambda: 0 <= _size(path) < 200)
    end(output.writer)
    assert "an older file is still being compressed" in str(said.records())


@pytest.mark.parametrize("name", ["app.log", "app.log.1", "app.log.1.gz.tmp", "app.log.2.gz"])
def test_files_are_swapped_while_they_are_rotated(theirs: Path, secret: Path, said: Said, name: str) -> None:
    output = Output(theirs / "app.log", said, KEEPS)
    with Swapper(theirs / name, secret) as swapper:
        while swapper.turns < 1000:
            swapper.check()
            output.write("a line " * 5)
            output.retry.hurry()
            assert secret.stat().st_uid == 0
    output.retry.leave(0.0)
    end(output.writer)
    assert untouched(secret)


def test_the_folder_is_swapped_while_files_are_rotated(
    theirs: Path, public_path: Path, secret: Path, said: Said
) -> None:
    ours = public_path / "ours"
    ours.mkdir()
    for name in ("app.log", "app.log.1", "app.log.1.gz.tmp"):
        (ours / name).write_text("root's\n")
        (ours / name).chmod(0o600)
    before = {path: (path.stat().st_ino, path.stat().st_uid, path.read_text()) for path in ours.iterdir()}
    output = Output(theirs / "logs" / "app.log", said, KEEPS)
    with Swapper(theirs / "logs", ours, directory=True) as swapper:
        while swapper.turns < 1000:
            swapper.check()
            output.write("a line " * 5)
            output.retry.hurry()
    output.retry.leave(0.0)
    end(output.writer)
    after = {path: (path.stat().st_ino, path.stat().st_uid, path.read_text()) for path in ours.iterdir()}
    assert after == before


# -- followed files ------------------------------------------------------------------------------------


def ring(bench: Bench) -> list[str]:
    return [record.message for record in bench.hub.records("web", limit=10_000, newest_first=False)]


def _said(bench: Bench, text: str) -> bool:
    """Whether this is in a message of the daemon."""
    return text in b"".join(bench.output.chunks).decode()


def follow(bench: Bench, path: Path, user: str | None) -> None:
    rotate = RotateConfig(max_size=10_000, max_files=3)
    files = {"app": LogFileConfig(path=str(path), rotate=rotate)}
    bench.hub.open("web", LoggingConfig(files=files), user=user)


@pytest.mark.parametrize("user", [None, "65534"])
@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("pattern", ["app.log", "app*.log"])
async def test_a_followed_file_that_is_replaced_by_a_link_is_not_shown(
    bench: Bench, theirs: Path, secret: Path, user: str | None, pattern: str, *, hard: bool
) -> None:
    path = theirs / "app.log"
    path.write_text("")
    follow(bench, theirs / pattern, user)
    append(path, "one")
    await until(lambda: ring(bench) == ["one"])
    _link(theirs / "new", secret, hard=hard)
    (theirs / "new").rename(path)
    await until(lambda: _said(bench, "Log file cannot be followed"))
    path.unlink()
    append(path, "two")
    await until(lambda: "two" in ring(bench))
    assert ring(bench) == ["one", "two"]


async def test_a_file_that_the_process_may_not_read_is_followed_once_it_may(
    bench: Bench, public_path: Path
) -> None:
    path = public_path / "app.log"
    append(path, "root's")
    path.chmod(0o600)
    follow(bench, path, "65534")
    await until(lambda: _said(bench, "may not read it: if this is the right file, let that user read it"))
    path.chmod(0o644)
    await until(lambda: ring(bench) == ["root's"])


async def test_a_user_that_does_not_exist_reads_nothing(bench: Bench, public_path: Path) -> None:
    append(public_path / "app.log", "one")
    follow(bench, public_path / "app.log", "nobody-like-that")
    await until(lambda: _said(bench, "user 'nobody-like-that' does not exist"))
    assert ring(bench) == []


@pytest.mark.parametrize("user", [None, "65534"])
async def test_a_followed_file_is_swapped_all_the_time(
    bench: Bench, theirs: Path, secret: Path, user: str | None
) -> None:
    path = theirs / "app.log"
    path.write_text("")
    follow(bench, path, user)
    with Swapper(path, secret) as swapper:
        while swapper.turns < 2000:
            swapper.check()
            bench.hub.reopen()
            await asyncio.sleep(0.001)
    await bench.finish()
    assert "root's" not in ring(bench)
    assert untouched(secret)


async def test_a_followed_file_is_not_rotated_where_a_link_of_the_user_leads(
    bench: Bench, theirs: Path, public_path: Path
) -> None:
    """The user may read that file, and so it is followed. But it could not rename it."""
    real = public_path / "root.log"
    real.write_text("")
    _link(theirs / "app.log", real)
    follow(bench, theirs / "app.log", "65534")
    append(real, "a line " * 2000)
    await until(lambda: len(ring(bench)) == 1)
    await until(lambda: _said(bench, "Log file was not rotated"))
    assert [name for name in os.listdir(public_path) if name.startswith("root.log")] == ["root.log"]
