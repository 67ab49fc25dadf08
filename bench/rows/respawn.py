"""A child killed, to its successor's first instruction, with the least backoff that the peer allows."""

import os
import random
import signal
import statistics
import time

from bench.daemon import Daemon
from bench.figures import Figure, percentile
from bench.peers.base import Job
from bench.rows.base import Effort, Row, Start

_CHILDREN = 10
_TIMEOUT_S = 30.0
_PAUSE_S = 0.05

MEDIAN = Figure("respawn_median", "killed to respawned, median", "ms")
P99 = Figure("respawn_p99", "killed to respawned, p99", "ms")


def respawn_times(daemon: Daemon, effort: Effort, spared: int = 0, pause_s: float = _PAUSE_S) -> list[float]:
    """Kill children of a daemon that is up, and return the milliseconds until each had a successor.

    One after another, each time a random one, when its predecessor's successor is there; never one of the
    first `spared`.
    """
    choose = random.Random(effort.kills)
    living = [record.pid for record in daemon.wait_up()]
    times_ms: list[float] = []
    deadline = time.monotonic() + effort.kill_seconds
    while len(times_ms) < effort.kills and time.monotonic() < deadline:
        victim = choose.randrange(spared, len(living))
        known = len(daemon.records)
        killed_ns = time.monotonic_ns()
        os.kill(living[victim], signal.SIGKILL)
        successor = daemon.wait_records(known + 1, _TIMEOUT_S)[known]
        times_ms.append((successor.started_ns - killed_ns) / 1e6)
        living[victim] = successor.pid
        time.sleep(pause_s)
    return times_ms


def measure(start: Start, effort: Effort) -> dict[str, float]:
    with start(Job(_CHILDREN, quick_respawn=True)) as daemon:
        daemon.wait_up()
        daemon.settle()
        times_ms = respawn_times(daemon, effort)
    return {MEDIAN.key: statistics.median(times_ms), P99.key: percentile(times_ms, 99)}


ROW = Row("respawn", "A killed child to its successor", (MEDIAN, P99), measure)
