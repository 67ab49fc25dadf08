"""One peer at work: started, watched, stopped, and cleaned up after."""

import contextlib
import os
import select
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from bench import leftovers, procfs
from bench.counter import Count, Counter
from bench.errors import BenchError
from bench.peers.base import Job, Need, Output, Peer, Work
from bench.records import Record, RecordFile
from bench.workspace import Programs

_UP_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 60.0
_LINES_TIMEOUT_S = 120.0
_POLL_S = 0.002  # the children themselves note the time, so that this costs no precision
_SETTLE_S = 0.5


class Daemon:
    """A peer that does `job`, from entering the context to leaving it.

    Nothing else that this process has started may be running meanwhile: leaving kills all of it.
    """

    def __init__(self, peer: Peer, programs: Programs, job: Job) -> None:
        self._peer = peer
        self._programs = programs
        self._job = job
        self._counter: Counter | None = None
        self._go: int | None = None

    def __enter__(self) -> Self:
        self._directory = Path(tempfile.mkdtemp(prefix="cbox-bench-"))
        try:
            self.records = RecordFile(self._directory / "records")
            self._start()
        except BaseException:
            self._clean()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clean()

    def wait_up(self) -> list[Record]:
        """Wait until every child has begun to run; return their records."""
        return self.wait_records(self._job.children, _UP_TIMEOUT_S)[: self._job.children]

    def wait_records(self, count: int, timeout_s: float) -> list[Record]:
        """Wait until `count` starts of children are on record; return all records."""
        deadline = time.monotonic() + timeout_s
        while len(self.records) < count:
            if self._process.poll() is not None:
                raise self._failure(f"ended with {self._process.returncode}")
            if time.monotonic() > deadline:
                raise self._failure(f"started {len(self.records)} of {count} children in {timeout_s:.0f} s")
            self.reap_orphans()
            time.sleep(_POLL_S)
        return self.records.read()

    def reap_orphans(self) -> None:
        """Reap what daemons leave to the first process of a container."""
        leftovers.reap_orphans([self._process.pid, self._counter.pid if self._counter else 0])

    def settle(self, seconds: float = _SETTLE_S) -> None:
        """Leave the daemon the time to finish what a start or a request has set going."""
        time.sleep(seconds)

    def has(self, need: Need) -> bool:
        return need not in self._peer.lacks

    def write(self) -> int:
        """Tell the children to write; return when, on CLOCK_MONOTONIC in nanoseconds."""
        now = time.monotonic_ns()
        # For reading, too: so that it does not wait for children that are not there yet.
        self._go = os.open(self._directory / "go", os.O_RDWR | os.O_CLOEXEC)
        return now

    @property
    def counter(self) -> Counter:
        """Who counts the lines that come through."""
        assert self._counter is not None, "the job has no output"
        return self._counter

    def count(self) -> Count:
        """Wait until all lines have come through, or no more come; return what came."""
        count = self.counter.wait(_LINES_TIMEOUT_S)
        if not count.lines:
            raise self._failure("let no line through")
        return count

    def stop(self) -> int:
        """Ask the daemon to end; return how many nanoseconds until it and all children had."""
        pidfd = os.pidfd_open(self._process.pid)
        try:
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            began = time.monotonic_ns()
            self._process.send_signal(self.launch.stop_signal)
            if not poll.poll(_STOP_TIMEOUT_S * 1000):
                raise self._failure(f"did not stop in {_STOP_TIMEOUT_S:.0f} s")
            ended = time.monotonic_ns()
        finally:
            os.close(pidfd)
        self._process.wait()
        # A daemon that ends before its children has not stopped them yet.
        while any(_alive(record.pid) for record in self.records.read()):
            ended = time.monotonic_ns()
            if ended - began > _STOP_TIMEOUT_S * 1e9:
                raise self._failure("left children behind when it stopped")
        return ended - began

    def supervisors(self) -> list[int]:
        """Return the pids of the peer's own processes: all below the benchmark that are not the children."""
        others = {record.pid for record in self.records.read()}
        if self._counter:
            others.add(self._counter.pid)
        return [pid for pid in procfs.descendants(os.getpid()) if pid not in others]

    def _start(self) -> None:
        job, writing = self._job, self._job.writing
        environment = {"BENCH_RECORD": str(self.records.path)}
        if writing:
            os.mkfifo(self._directory / "go")
            environment |= {
                "BENCH_GO": str(self._directory / "go"),
                "BENCH_WRITERS": str(writing.writers),
                "BENCH_LINES": str(writing.lines),
                "BENCH_RATE": str(writing.rate),
            }
        if job.schedule:
            environment["BENCH_EXIT"] = "1"
        work = Work(job, self._directory, self._programs.child, environment, _free_port())
        self.launch = self._peer.launch(work)
        if writing and job.output is not Output.IGNORED:
            self._counter = Counter(self._programs.counter, writing, self.launch.logs)
        with open(self._directory / "output", "wb") as output:
            self.started_ns = time.monotonic_ns()
            self._process = subprocess.Popen(
                [*job.wrapper, *self.launch.argv],
                env={**os.environ, **self.launch.environment, **environment},
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=(self._counter and self._counter.pipe) or output,
                stderr=output,
                start_new_session=True,  # an interrupt from the terminal is for the benchmark alone
            )
        if self._counter and self._counter.pipe:
            self._counter.pipe.close()  # the daemon has it now, and its end shall be seen

    def _clean(self) -> None:
        leftovers.kill_descendants()
        with contextlib.suppress(AttributeError):
            self.records.close()
        if self._counter:
            self._counter.close()
        if self._go is not None:
            os.close(self._go)
        shutil.rmtree(self._directory, ignore_errors=True)

    def _failure(self, what: str) -> BenchError:
        output = (self._directory / "output").read_text(errors="replace").splitlines()
        return BenchError(f"{self._peer.name} {what}; it said: {' | '.join(output[-3:]) or 'nothing'}")


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
