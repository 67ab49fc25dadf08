"""A restart that is waited for: from the successor's first instruction to the end of the answer."""

import statistics
import time

from bench import client
from bench.figures import Figure, percentile
from bench.peers.base import Job, Need, Request
from bench.rows.base import Effort, Row, Start

_TIMEOUT_S = 30.0

MEDIAN = Figure("restart_wait_median", "successor runs to the answer of `restart?wait`, median", "ms")
P99 = Figure("restart_wait_p99", "the same, p99", "ms")


def measure(start: Start, effort: Effort) -> dict[str, float]:
    with start(Job(1)) as daemon:
        known = len(daemon.wait_up())
        daemon.settle()
        listed = daemon.launch.list_request
        assert listed is not None, "it has Need.LIST"
        request = Request(listed.port, "/api/v1/processes/child/restart?wait=30s", "POST")
        times_ms = []
        for _ in range(effort.kills):
            client.ask(request, 1)
            answered_ns = time.monotonic_ns()
            successor = daemon.wait_records(known + 1, _TIMEOUT_S)[known]
            times_ms.append(max(0.0, (answered_ns - successor.started_ns) / 1e6))
            known += 1
    return {MEDIAN.key: statistics.median(times_ms), P99.key: percentile(times_ms, 99)}


ROW = Row(
    "restart-wait",
    "A restart that is waited for",
    (MEDIAN, P99),
    measure,
    (Need.LIST,),
    only_ours=True,
)
