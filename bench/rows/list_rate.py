"""The list of 100 instances over HTTP, from 32 connections."""

from bench import client, procfs, wrk
from bench.figures import Figure
from bench.peers.base import Job, Need
from bench.rows.base import Effort, Row, Start

_CHILDREN = 100
_CONNECTIONS = 32
_WARM_UP = 20

RATE = Figure("list_rate", "list of 100 instances, 32 connections", "/s", more_is_better=True)
CPU_RATE = Figure("list_cpu_rate", "the same, for a CPU second of the daemon", "/s", more_is_better=True)
P99 = Figure("list_p99", "the same, p99", "ms")


def measure(start: Start, effort: Effort, connections: int = _CONNECTIONS) -> dict[str, float]:
    with start(Job(_CHILDREN)) as daemon:
        daemon.wait_up()
        daemon.settle()
        request = daemon.launch.list_request
        assert request is not None, "it has Need.LIST"
        client.ask(request, _WARM_UP)
        pids = daemon.supervisors()
        cpu_s = -procfs.cpu_seconds(pids)
        load = wrk.load(request, connections, effort.load_seconds)
        cpu_s += procfs.cpu_seconds(pids)
        return {RATE.key: load.rate, CPU_RATE.key: load.requests / cpu_s, P99.key: load.p99_ms}


ROW = Row("list-rate", "The list of 100 instances over HTTP", (RATE, CPU_RATE, P99), measure, (Need.LIST,))
