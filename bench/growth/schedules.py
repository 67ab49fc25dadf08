"""More and more jobs: what they cost while they wait, and how late the last one begins in its minute."""

import time

from bench import procfs
from bench.figures import Figure
from bench.growth.base import Series
from bench.peers.base import Job, Need
from bench.rows.base import Effort, Start

_HEADROOM_S = 12.0  # for a daemon to be up before the minute is over
_MINUTE_S = 60.0
_TIMEOUT_S = 70.0

PRIVATE = Figure("private", "private memory while they wait", "MB")
WAKE_UPS = Figure("wake_ups", "wake-ups while they wait, in 3 s", "")
LATE = Figure("late", "the last of all that are due at once begins after", "ms")

_LOOK_S = 3.0


def measure(start: Start, effort: Effort, size: int) -> dict[str, float]:
    left_s = _MINUTE_S - time.time() % _MINUTE_S
    if left_s < _HEADROOM_S:
        time.sleep(left_s)
    with start(Job(size, schedule="* * * * *")) as daemon:
        daemon.settle(_HEADROOM_S / 2)
        due_unix = (time.time() // _MINUTE_S + 1) * _MINUTE_S
        due_ns = time.monotonic_ns() + int((due_unix - time.time()) * 1e9)
        pids = daemon.supervisors()
        private = procfs.memory(pids).private
        wake_ups = -procfs.wake_ups(pids)
        daemon.settle(_LOOK_S)
        wake_ups += procfs.wake_ups(pids)
        records = daemon.wait_records(size, _TIMEOUT_S)
        return {
            PRIVATE.key: private / 1e6,
            WAKE_UPS.key: wake_ups,
            LATE.key: (max(record.started_ns for record in records[:size]) - due_ns) / 1e6,
        }


SERIES = Series(
    "schedules",
    "Scheduled jobs",
    "jobs, each due every minute",
    (1, 100, 2000),
    (PRIVATE, WAKE_UPS, LATE),
    measure,
    (Need.SCHEDULES,),
)
