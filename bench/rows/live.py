"""What 20 people with the page open cost, who read live state and events: at rest, and with crashes."""

import time

from bench import procfs
from bench.errors import BenchError
from bench.event_readers import EventReaders
from bench.figures import Figure
from bench.peers.base import Job, Request
from bench.rows.base import Effort, Row, Start
from bench.rows.respawn import respawn_times

_CHILDREN = 100
_READERS = 20
_SETTLE_S = 3.0
#: Between two kills, in seconds: about as many messages as there can be.
_PAUSE_S = 0.5

REST = Figure("live_cpu", "20 readers of live state and events, 100 children, CPU", "% of a core")
BUSY = Figure("live_busy_cpu", "the same with two kills each second, CPU", "% of a core")
PRIVATE = Figure("live_private", "private memory for the 20 readers", "MB")


def measure(start: Start, effort: Effort) -> dict[str, float]:
    with start(Job(_CHILDREN, quick_respawn=True, connections=4 * _READERS + 100)) as daemon:
        daemon.wait_up()
        daemon.settle()
        listed = daemon.launch.list_request
        assert listed is not None, "cbox-init has a list"
        request = Request(listed.port, "/api/v1/live")
        pids = daemon.supervisors()
        with EventReaders(request, 1):  # the HTTP stack is imported for the first request
            daemon.settle()
        rest = procfs.memory(pids).private
        events = Request(listed.port, "/api/v1/events")
        with EventReaders(request, _READERS) as readers, EventReaders(events, _READERS):
            daemon.settle(_SETTLE_S)
            private = procfs.memory(pids).private - rest
            began, cpu_s = time.monotonic(), -procfs.run_seconds(pids)
            time.sleep(effort.idle_seconds)
            at_rest = (cpu_s + procfs.run_seconds(pids)) / (time.monotonic() - began)
            began, cpu_s = time.monotonic(), -procfs.run_seconds(pids)
            kills = effort._replace(kills=1_000_000, kill_seconds=effort.idle_seconds)
            respawn_times(daemon, kills, pause_s=_PAUSE_S)
            busy = (cpu_s + procfs.run_seconds(pids)) / (time.monotonic() - began)
            if readers.blocks < _READERS * effort.idle_seconds:
                raise BenchError(f"only {readers.blocks} messages came to {_READERS} readers")
    return {REST.key: at_rest * 100, BUSY.key: busy * 100, PRIVATE.key: private / 1e6}


ROW = Row("live", "Readers of the live state", (REST, BUSY, PRIVATE), measure, only_ours=True)
