"""One peer at work: started, watched, stopped, and cleaned up after."""

import contextlib
import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from bench import leftovers, procfs
from bench.errors import BenchError
from bench.peers.base import Peer, Work
from bench.records import Record, RecordFile

_UP_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 60.0
_POLL_S = 0.002  # the children themselves note the time, so that this costs no precision
_SETTLE_S = 0.5


class Daemon:
    """A peer that keeps `children` children, from entering the context to leaving it.

    Nothing else that this process has started may be running meanwhile: leaving kills all of it.
    """

    def __init__(self, peer: Peer, program: Path, children: int, quick_respawn: bool = False) -> None:
        self._peer = peer
        self._program = program
        self._children = children
        self._quick_respawn = quick_respawn

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
        return self.wait_records(self._children, _UP_TIMEOUT_S)[: self._children]

    def wait_records(self, count: int, timeout_s: float) -> list[Record]:
        """Wait until `count` starts of children are on record; return all records."""
        deadline = time.monotonic() + timeout_s
        while len(self.records) < count:
            if self._process.poll() is not None:
                raise self._failure(f"ended with {self._process.returncode}")
            if time.monotonic() > deadline:
                raise self._failure(f"started {len(self.records)} of {count} children in {timeout_s:.0f} s")
            time.sleep(_POLL_S)
        return self.records.read()

    def settle(self) -> None:
        """Leave the daemon the time to finish what a start or a request has set going."""
        time.sleep(_SETTLE_S)

    def stop(self) -> int:
        """Ask the daemon to end with SIGTERM; return how many nanoseconds until it and all children had."""
        pidfd = os.pidfd_open(self._process.pid)
        try:
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            began = time.monotonic_ns()
            self._process.send_signal(signal.SIGTERM)
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
        children = {record.pid for record in self.records.read()}
        return [pid for pid in procfs.descendants(os.getpid()) if pid not in children]

    def _start(self) -> None:
        work = Work(self._directory, self._program, self._children, _free_port(), self._quick_respawn)
        self.launch = self._peer.launch(work)
        environment = {**os.environ, **self.launch.environment, "BENCH_RECORD": str(self.records.path)}
        with open(self._directory / "output", "wb") as output:
            self.started_ns = time.monotonic_ns()
            self._process = subprocess.Popen(
                self.launch.argv,
                env=environment,
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # an interrupt from the terminal is for the benchmark alone
            )

    def _clean(self) -> None:
        leftovers.kill_descendants()
        with contextlib.suppress(AttributeError):
            self.records.close()
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
