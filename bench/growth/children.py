"""What children cost: to start, to keep, to replace, to stop."""

import statistics

from bench import procfs
from bench.figures import Figure
from bench.growth.base import Series
from bench.peers.base import Job, Need
from bench.rows.base import Effort, Start
from bench.rows.respawn import respawn_times

_KILLS = 10

UP = Figure("up", "up, cold", "ms")
PRIVATE = Figure("private", "private memory", "MB")
RESPAWN = Figure("respawn", "killed to respawned, median", "ms")
STOP = Figure("stop", "stop", "ms")


def measure(start: Start, effort: Effort, size: int) -> dict[str, float]:
    with start(Job(size, quick_respawn=True)) as daemon:
        records = daemon.wait_up()
        up_ns = max(record.started_ns for record in records) - daemon.started_ns
        daemon.settle()
        found = {UP.key: up_ns / 1e6, PRIVATE.key: procfs.memory(daemon.supervisors()).private / 1e6}
        found[RESPAWN.key] = statistics.median(respawn_times(daemon, effort._replace(kills=_KILLS)))
        if daemon.has(Need.STOP):
            found[STOP.key] = daemon.stop() / 1e6
        return found


SERIES = Series(
    "children",
    "Children",
    "children",
    (1, 10, 100, 1000, 3000),
    (UP, PRIVATE, RESPAWN, STOP),
    measure,
)
