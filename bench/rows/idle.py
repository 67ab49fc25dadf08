"""What a daemon does while nothing happens to its 100 children."""

import time

from bench import procfs
from bench.figures import Figure
from bench.peers.base import Job
from bench.rows.base import Effort, Row, Start

_CHILDREN = 100
_SETTLE_S = 2.0

WAKE_UPS = Figure("idle_wake_ups", "wake-ups in a minute, 100 idle children", "")
CPU = Figure("idle_cpu", "CPU in a minute, 100 idle children", "ms")


def measure(start: Start, effort: Effort) -> dict[str, float]:
    """Look for some seconds; for who never woke in them, for longer."""
    with start(Job(_CHILDREN)) as daemon:
        daemon.wait_up()
        daemon.settle(_SETTLE_S)
        pids = daemon.supervisors()
        began = time.monotonic()
        wake_ups, cpu_s = -procfs.wake_ups(pids), -procfs.run_seconds(pids)
        time.sleep(effort.idle_seconds)
        if procfs.wake_ups(pids) + wake_ups == 0:
            time.sleep(effort.idle_more_seconds)
        wake_ups, cpu_s = wake_ups + procfs.wake_ups(pids), cpu_s + procfs.run_seconds(pids)
        minutes = (time.monotonic() - began) / 60
        return {WAKE_UPS.key: wake_ups / minutes, CPU.key: cpu_s * 1e3 / minutes}


ROW = Row("idle", "100 idle children", (WAKE_UPS, CPU), measure)
