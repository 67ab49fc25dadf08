"""A hub that writes to a pipe, who reads that pipe, children that write, and what the daemon says."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from cbox_init.config.model import LoggingConfig, LogLevel, LogOverflow, OutputConfig
from cbox_init.logs.daemon import DaemonLog
from cbox_init.logs.descriptor_writer import DescriptorWriter
from cbox_init.logs.encode.json_format import JsonFormat
from cbox_init.logs.hub import LogHub
from cbox_init.logs.ring import RING_BYTES
from cbox_init.logs.stages import guard
from cbox_init.logs.stages.guard import SearchTimer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from cbox_init.logs.capture import Capture
    from cbox_init.logs.process import ProcessLog
    from cbox_init.logs.writer import Writer

DEADLINE_S = 20.0


async def until(condition: Callable[[], bool], *, what: str = "the condition") -> None:
    """Wait until ``condition`` holds; fail when that takes longer than any machine needs."""
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, f"{what} did not come"
        await asyncio.sleep(0.002)


class PeakMemory:
    """The largest resident set from its making on, in bytes above what there was."""

    def __init__(self) -> None:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
        self._start = self._peak()

    @property
    def growth(self) -> int:
        return self._peak() - self._start

    def _peak(self) -> int:
        with open("/proc/self/status") as file:
            (size,) = (int(line.split()[1]) for line in file if line.startswith("VmHWM"))
        return size * 1024


class Output:
    """The reading end of what the stdout writes. Nothing is read before ``start``."""

    def __init__(self) -> None:
        self.read_end, self.fd = os.pipe()
        self.chunks: list[bytes] = []
        self._thread = threading.Thread(target=self._read)

    def start(self) -> None:
        self._thread.start()

    def finish(self) -> bytes:
        """Close the writing end and return all that was written."""
        self.close_write()
        if self._thread.ident is None:
            self._thread.start()
        self._thread.join(DEADLINE_S)
        return b"".join(self.chunks)

    def close_write(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def close_read(self) -> None:
        if self.read_end >= 0:
            os.close(self.read_end)
            self.read_end = -1

    def _read(self) -> None:
        while chunk := os.read(self.read_end, 1 << 20):
            self.chunks.append(chunk)


@pytest.fixture
def output() -> Iterator[Output]:
    output = Output()
    yield output
    end_of_compressions()
    output.close_write()
    if output._thread.ident is not None:
        output._thread.join(DEADLINE_S)
    output.close_read()


class Bench:
    """A hub with its output, and short ways to what the tests want of it."""

    def __init__(
        self,
        output: Output,
        fmt: str = "json",
        level: LogLevel = LogLevel.INFO,
        overflow: LogOverflow = LogOverflow.BLOCK,
        outputs: dict[str, OutputConfig] | None = None,
    ) -> None:
        self.output = output
        self.stdout = DescriptorWriter(output.fd)
        self.hub = LogHub(
            fmt=fmt, level=level, timestamps=True, stdout=self.stdout, overflow=overflow, outputs=outputs
        )
        self._closed = False

    def open(
        self,
        name: str = "web",
        min_level: LogLevel = LogLevel.DEBUG,
        ring_size: int = RING_BYTES,
        **labels: str,
    ) -> ProcessLog:
        logging = LoggingConfig(labels=labels, min_level=min_level)
        return self.hub.open(name, logging, ring_size=ring_size)

    def pipe(self, log: ProcessLog, instance: str = "web-0") -> tuple[Capture, int]:
        """A capture of stdout, and the writing end."""
        read_end, write_end = os.pipe()
        return log.capture(instance, stdout=read_end, stderr=None), write_end

    def spawn(
        self, log: ProcessLog, program: str, instance: str = "web-0", pass_fds: tuple[int, ...] = ()
    ) -> tuple[Capture, subprocess.Popen[bytes]]:
        """A Python child with both outputs captured."""
        out_read, out_write = os.pipe()
        err_read, err_write = os.pipe()
        child = subprocess.Popen(
            [sys.executable, "-S", "-c", program], stdout=out_write, stderr=err_write, pass_fds=pass_fds
        )
        os.close(out_write)
        os.close(err_write)
        return log.capture(instance, stdout=out_read, stderr=err_read), child

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            assert await self.hub.close(DEADLINE_S)

    async def finish(self) -> list[dict[str, object]]:
        """Close the hub and return every record that was written, parsed as JSON."""
        await self.close()
        written = await asyncio.to_thread(self.output.finish)
        assert written == b"" or written.endswith(b"\n")
        return [json.loads(line) for line in written.split(b"\n")[:-1]]


@pytest.fixture
async def bench(output: Output) -> AsyncIterator[Bench]:
    """A hub that reads in this test's loop and writes JSON to a pipe that is being read."""
    output.start()
    bench = Bench(output)
    bench.hub.attach(asyncio.get_running_loop())
    yield bench
    await bench.close()


@pytest.fixture(scope="module")
def patient_searches() -> Iterator[None]:
    """No search takes any time: none is ended, and no record is masked because it could not be searched.

    The limits count CPU time of this process, in which a collection of garbage alone can take longer: the
    heap of a test run is large.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SearchTimer, "limited", lambda _, search, text: search(text))
        patch.setattr(guard, "thread_time", lambda: 0.0)
        yield


class Said:
    """The messages of the daemon, in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT)
        self._stdout = DescriptorWriter(self._fd)
        self.log = DaemonLog(JsonFormat(timestamps=False), LogLevel.DEBUG, self._stdout)

    def records(self) -> list[dict[str, object]]:
        assert self._stdout.flush(DEADLINE_S)
        return [json.loads(line) for line in self._path.read_text().splitlines()]

    def messages(self) -> list[object]:
        return [record["msg"] for record in self.records()]

    def close(self) -> None:
        end_of_compressions()
        end(self._stdout)
        os.close(self._fd)


@pytest.fixture
def said(tmp_path: Path) -> Iterator[Said]:
    said = Said(tmp_path / "said")
    yield said
    said.close()


def end_of_compressions() -> None:
    """Wait for the threads that compress: what they log later would be in a file of the next test."""
    for thread in threading.enumerate():
        if thread.name == "log-compressor":
            thread.join(DEADLINE_S)


def end(writer: Writer) -> None:
    """Until all is written."""
    done = threading.Event()
    writer.end(done.set)
    assert done.wait(DEADLINE_S)
