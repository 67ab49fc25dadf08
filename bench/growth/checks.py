"""More and more children whose health is checked over TCP once a second."""

import contextlib
import socket
import threading
from collections.abc import Iterator

from bench import procfs
from bench.errors import BenchError
from bench.figures import Figure
from bench.growth.base import Series
from bench.peers.base import Job, Need
from bench.rows.base import Effort, Start

_SETTLE_S = 3.0

CPU = Figure("cpu", "CPU of the daemon", "% of a core")
PRIVATE = Figure("private", "private memory", "MB")
DONE = Figure("done", "checks done, of those that were due", "%", more_is_better=True)


class _Service:
    """Takes connections and closes them."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self.taken = 0

    def run(self) -> None:
        with contextlib.suppress(OSError):  # the listener is closed
            while True:
                self._listener.accept()[0].close()
                self.taken += 1


@contextlib.contextmanager
def _service() -> Iterator[tuple[_Service, int]]:
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
        service = _Service(listener)
        thread = threading.Thread(target=service.run)
        thread.start()
        try:
            yield service, listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def measure(start: Start, effort: Effort, size: int) -> dict[str, float]:
    with _service() as (service, port), start(Job(size, check_port=port)) as daemon:
        daemon.wait_up()
        daemon.settle(_SETTLE_S)
        pids = daemon.supervisors()
        cpu_s, taken = -procfs.run_seconds(pids), -service.taken
        daemon.settle(effort.idle_seconds)
        cpu_s, taken = cpu_s + procfs.run_seconds(pids), taken + service.taken
        if not taken:
            raise BenchError("no check came")
        return {
            CPU.key: cpu_s / effort.idle_seconds * 100,
            PRIVATE.key: procfs.memory(pids).private / 1e6,
            DONE.key: taken / (size * effort.idle_seconds) * 100,
        }


SERIES = Series(
    "checks",
    "Health checks",
    "children with a TCP check a second",
    (10, 100, 500),
    (CPU, PRIVATE, DONE),
    measure,
    (Need.CHECKS,),
)
