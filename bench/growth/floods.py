"""More and more children that write as fast as they can, the same number of lines in all."""

from bench.figures import Figure
from bench.growth.base import Series
from bench.peers.base import Need, Output, Writing
from bench.rows import log_flood
from bench.rows.base import Effort, Start

RATE = Figure("lines_rate", "lines in all", "lines/s", more_is_better=True)
SPOILED = Figure("spoiled", "lost, cut or doubled", "lines")
PEAK = Figure("peak", "peak memory above that at rest", "MB")


def measure(start: Start, effort: Effort, size: int) -> dict[str, float]:
    found = log_flood.measure(start, Output.JSON, Writing(size, effort.lines // size))
    return {figure.key: found[figure.key] for figure in SERIES.figures}


SERIES = Series(
    "floods",
    "Flooding children",
    "children that write as fast as they can",
    (1, 10, 50, 200),
    (RATE, SPOILED, PEAK),
    measure,
    (Need.OUTPUT,),
)
