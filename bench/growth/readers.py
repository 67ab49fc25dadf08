"""More and more readers of the stream of lines, while a child writes 1,000 lines a second."""

from bench import procfs
from bench.errors import BenchError
from bench.figures import Figure
from bench.growth.base import Series
from bench.peers.base import Job, Need, Output, Writing
from bench.readers import Readers
from bench.rows.base import Effort, Start

_RATE = 1000

CPU = Figure("cpu", "CPU of the daemon", "% of a core")
GOT = Figure("got", "lines that came, of all to all readers", "%", more_is_better=True)
PEAK = Figure("peak", "peak memory above that at rest", "MB")


def measure(start: Start, effort: Effort, size: int) -> dict[str, float]:
    writing = Writing(writers=1, lines=_RATE * effort.load_seconds, rate=_RATE)
    with start(Job(1, output=Output.JSON, writing=writing)) as daemon:
        daemon.wait_up()
        daemon.settle()
        request = daemon.launch.stream_request
        assert request is not None, "it has Need.STREAM"
        with Readers(request, size) as readers:
            daemon.settle()
            pids = daemon.supervisors()
            rest = procfs.memory(pids).rss
            procfs.reset_peak(pids)
            cpu_s, began_ns = -procfs.run_seconds(pids), daemon.write()
            count = daemon.count()
            cpu_s += procfs.run_seconds(pids)
            peak = procfs.peak_rss(pids)
            daemon.settle()
            got = readers.lines
    if count.spoiled(writing.lines):
        raise BenchError(f"{count.spoiled(writing.lines):,} lines did not come to standard output")
    return {
        CPU.key: cpu_s / ((count.last_ns - began_ns) / 1e9) * 100,
        GOT.key: got / (size * writing.lines) * 100,
        PEAK.key: max(peak - rest, 0) / 1e6,
    }


SERIES = Series(
    "readers",
    "Readers of the log stream",
    "readers, 1,000 lines/s to each",
    (1, 10, 100),
    (CPU, GOT, PEAK),
    measure,
    (Need.STREAM,),
)
