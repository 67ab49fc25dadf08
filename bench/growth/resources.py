"""More and more children whose use of CPU, memory, descriptors and I/O is sampled every five seconds."""

from bench import procfs
from bench.figures import Figure
from bench.growth.base import Series
from bench.peers.base import Job, Need
from bench.rows.base import Effort, Start

#: Sampled is what a history is kept of: the default interval.
_EVERY_S = 5

#: After this time all have their ring, and the starts are over.
_SETTLE_S = 6.0

CPU = Figure("sampling_cpu", "CPU of the daemon, sampling", "% of a core")
PRIVATE = Figure("sampling_private", "private memory, two samples each", "MB")


def measure(start: Start, effort: Effort, size: int) -> dict[str, float]:
    with start(Job(size, sample_s=_EVERY_S)) as daemon:
        daemon.wait_up()
        daemon.settle(_SETTLE_S)
        pids = daemon.supervisors()
        cpu_s = -procfs.run_seconds(pids)
        daemon.settle(effort.idle_seconds)
        cpu_s += procfs.run_seconds(pids)
        return {CPU.key: cpu_s / effort.idle_seconds * 100, PRIVATE.key: procfs.memory(pids).private / 1e6}


SERIES = Series(
    "resources",
    "A history of what children use",
    "children that are sampled every 5 s",
    (10, 100, 500, 1000),
    (CPU, PRIVATE),
    measure,
    (Need.HISTORY,),
    once=True,
)
