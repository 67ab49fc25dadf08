"""The queue of an output and its thread: whatever its backend does, and without a thread."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING

import pytest

from cbox_init.config.model import LoggingConfig, OutputConfig
from cbox_init.logs.writer import Chunk, Writer
from tests.logs.conftest import DEADLINE_S, Bench, Output, end, until

if TYPE_CHECKING:
    from pathlib import Path


class Backend:
    """Raises for each chunk that has ``bad`` in it, and wherever else it is asked to."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.fails_to_close = False

    def write(self, chunks: list[Chunk]) -> int:
        if any(b"bad" in chunk.data for chunk in chunks):
            raise ValueError("by the test")
        self.written += [chunk.data for chunk in chunks]
        return 0

    def close(self) -> None:
        if self.fails_to_close:
            raise RuntimeError("by the test")

    def reopen(self) -> None:
        pass


class ThreadsRefused:
    """Lets each start of a thread fail while it is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.refused = True
        start = threading.Thread.start

        def guarded(thread: threading.Thread) -> None:
            if self.refused and thread.name.startswith("log-"):
                raise RuntimeError("can't start new thread")
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", guarded)


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> ThreadsRefused:
    return ThreadsRefused(monkeypatch)


def test_what_a_backend_cannot_take_is_lost_alone() -> None:
    backend = Backend()
    writer = Writer(backend)
    errors: list[Exception] = []
    writer.on_failure = errors.append
    writer.cork()
    for number in range(100):
        writer.write(b"%d bad" % number if number in (7, 60) else b"%d" % number)
    writer.uncork()
    end(writer)
    assert backend.written == [b"%d" % number for number in range(100) if number not in (7, 60)]
    assert (writer.written, writer.dropped, writer.queued) == (98, 2, 0)
    assert errors


def test_a_writer_survives_whatever_happens_in_its_thread() -> None:
    backend = Backend()
    backend.fails_to_close = True
    writer = Writer(backend, high_water=100, low_water=50)
    errors: list[str] = []
    writer.on_failure = lambda error: errors.append(str(error))
    writer.on_room = lambda: 1 // 0  # type: ignore[assignment]
    for _ in range(3):
        writer.when_written(lambda: 1 // 0)  # type: ignore[arg-type]
        for _ in range(10):
            writer.write(b"x" * 50)
            writer.write(b"bad")
        end(writer)
    assert len(backend.written) == 30
    assert (writer.written, writer.dropped, writer.queued, writer.full) == (30, 30, 0, False)
    assert any("division" in error for error in errors)


def test_without_a_thread_what_is_queued_waits(threads: ThreadsRefused) -> None:
    backend = Backend()
    writer = Writer(backend)
    asked: list[bool] = []
    writer.on_no_thread = lambda: asked.append(True)
    writer.write(b"one")
    assert not writer.flush(0.01)
    assert asked
    assert not writer.start()
    threads.refused = False
    assert writer.start()
    end(writer)
    assert backend.written == [b"one"]


@pytest.mark.parametrize("before", [True, False], ids=["before the loop", "in the loop"])
async def test_no_thread_for_outputs_holds_up_children_only_until_there_is_one(
    output: Output, tmp_path: Path, threads: ThreadsRefused, before: bool
) -> None:
    output.start()
    bench = Bench(output)
    if not before:
        bench.hub.attach(asyncio.get_running_loop())
    log = bench.hub.open("web", LoggingConfig(outputs={"it": OutputConfig(path=str(tmp_path / "out"))}))
    capture, fd = bench.pipe(log)
    writing = threading.Thread(target=_flood, args=(fd,), name="flood")
    writing.start()
    if before:
        bench.hub.attach(asyncio.get_running_loop())
    await until(lambda: bench.stdout.full)
    assert bench.hub.outputs()[0].written == 0
    threads.refused = False
    await until(lambda: capture.closed)
    await until(lambda: all(one.queued_bytes == 0 for one in bench.hub.outputs()))
    records = await bench.finish()
    writing.join(DEADLINE_S)
    assert len([record for record in records if "stream" in record]) == 50_000
    assert len([line for line in (tmp_path / "out").read_text().splitlines() if '"x' in line]) == 50_000


def _flood(fd: int) -> None:
    with os.fdopen(fd, "wb") as pipe:
        pipe.write((b"x" * 99 + b"\n") * 50_000)


async def test_no_thread_at_the_end_is_waited_for(output: Output, threads: ThreadsRefused) -> None:
    output.start()
    bench = Bench(output)
    bench.hub.daemon.info("last")
    asyncio.get_running_loop().call_later(0.2, lambda: setattr(threads, "refused", False))
    assert [record["msg"] for record in await bench.finish()] == ["last"]
