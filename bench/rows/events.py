"""An event on its way to 100 readers; and what 1,000 readers cost that do not read."""

from bench import procfs
from bench.errors import BenchError
from bench.event_readers import EventReaders
from bench.figures import Figure, percentile
from bench.peers.base import Job, Need
from bench.rows.base import Effort, Row, Start
from bench.rows.respawn import respawn_times

_READERS = 100
_SLEEPERS = 1000
_CHILDREN = 10
#: Kills, each with some events, of which nothing is read.
_KILLS = 300

P99 = Figure("events_p99", "an event until each of 100 readers has it, p99", "ms")
OPEN = Figure("events_sleepers", "private memory of 1,000 readers when they connect", "MB")
BEHIND = Figure("events_behind", "the same after 300 kills, of which they read nothing", "MB")
EVENT_P99 = Figure("event_p99", "an event until a reader has it, p99", "ms")
EVENT_CPU = Figure("event_cpu", "CPU of the daemon for an event to a reader", "µs")


def measure_readers(start: Start, effort: Effort, size: int) -> dict[str, float]:
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
    return {EVENT_P99.key: percentile(delays_ms, 99), EVENT_CPU.key: cpu_s / len(delays_ms) * 1e6}


def measure(start: Start, effort: Effort) -> dict[str, float]:
    found = measure_readers(start, effort, _READERS)
    with start(Job(_CHILDREN, quick_respawn=True, connections=2 * _SLEEPERS)) as daemon:
        daemon.wait_up()
        daemon.settle()
        request = daemon.launch.event_request
        assert request is not None, "it has Need.EVENTS"
        pids = daemon.supervisors()
        with EventReaders(request, 1, read=False):  # the HTTP stack is imported for the first request
            daemon.settle()
        rest = procfs.memory(pids).private
        with EventReaders(request, _SLEEPERS, read=False):
            daemon.settle()
            opened = procfs.memory(pids).private
            respawn_times(daemon, effort._replace(kills=_KILLS, kill_seconds=60), pause_s=0.005)
            behind = procfs.memory(pids).private
    return {
        P99.key: found[EVENT_P99.key],
        OPEN.key: (opened - rest) / 1e6,
        BEHIND.key: (behind - rest) / 1e6,
    }


ROW = Row("events", "Events to readers", (P99, OPEN, BEHIND), measure, (Need.EVENTS,))
