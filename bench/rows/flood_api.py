"""What else the daemon does, while one child writes as fast as it can."""

import statistics

from bench import client
from bench.figures import Figure, percentile
from bench.peers.base import Job, Need, Output, Writing
from bench.rows.base import Effort, Row, Start
from bench.rows.respawn import respawn_times

_CHILDREN = 10
_WARM_UP = 20
_PAUSE_S = 0.005

API_P99 = Figure("flood_api_p99", "list of 10 instances while a child floods, p99", "ms")
MEDIAN = Figure("flood_respawn_median", "killed to respawned while a child floods, median", "ms")
P99 = Figure("flood_respawn_p99", "killed to respawned while a child floods, p99", "ms")


def measure(start: Start, effort: Effort) -> dict[str, float]:
    writing = Writing(writers=1, lines=0)
    with start(Job(_CHILDREN, quick_respawn=True, output=Output.JSON, writing=writing)) as daemon:
        daemon.wait_up()
        daemon.settle()
        daemon.write()
        daemon.settle()
        found = {}
        if request := daemon.launch.list_request:
            client.ask(request, _WARM_UP)
            found[API_P99.key] = percentile(client.ask(request, effort.requests, _PAUSE_S), 99) * 1e3
        times_ms = respawn_times(daemon, effort, spared=writing.writers)
        daemon.counter.stop()
    return found | {MEDIAN.key: statistics.median(times_ms), P99.key: percentile(times_ms, 99)}


ROW = Row(
    "flood-api",
    "The API and respawns while one child floods its output",
    (API_P99, MEDIAN, P99),
    measure,
    needs=(Need.OUTPUT,),
    uses=(Need.LIST,),
)
