"""More and more readers of the stream of events, while children are killed one after another."""

from bench import procfs
from bench.errors import BenchError
from bench.event_readers import EventReaders
from bench.figures import Figure, percentile
from bench.growth.base import Series
from bench.peers.base import Job, Need
from bench.rows.base import Effort, Start
from bench.rows.respawn import respawn_times

_CHILDREN = 10

P99 = Figure("event_p99", "an event until a reader has it, p99", "ms")
CPU = Figure("event_cpu", "CPU of the daemon for an event to a reader", "µs")


def measure(start: Start, effort: Effort, size: int) -> dict[str, float]:
    with start(Job(_CHILDREN, quick_respawn=True, connections=2 * size + 100)) as daemon:
        daemon.wait_up()
        daemon.settle()
        request = daemon.launch.event_request
        assert request is not None, "it has Need.EVENTS"
        with EventReaders(request, size) as readers:
            daemon.settle()
            pids = daemon.supervisors()
            cpu_s = -procfs.run_seconds(pids)
            respawn_times(daemon, effort)
            daemon.settle()
            cpu_s += procfs.run_seconds(pids)
            delays_ms = readers.delays_ms
    if len(delays_ms) < effort.kills // 2 * size:
        raise BenchError(f"only {len(delays_ms)} events came to {size} readers")
    return {P99.key: percentile(delays_ms, 99), CPU.key: cpu_s / len(delays_ms) * 1e6}


SERIES = Series(
    "event-readers",
    "Readers of the stream of events",
    "readers, each of every event",
    (1, 10, 100, 500),
    (P99, CPU),
    measure,
    (Need.EVENTS,),
)
