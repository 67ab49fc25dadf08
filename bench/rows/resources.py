"""500 children whose use of CPU, memory, descriptors and I/O is sampled every five seconds."""

from bench.growth.resources import CPU, PRIVATE, measure
from bench.peers.base import Need
from bench.rows.base import Row

ROW = Row(
    "resources",
    "500 children, sampled every 5 s",
    (CPU, PRIVATE),
    lambda start, effort: measure(start, effort, 500),
    (Need.HISTORY,),
    counted=True,
)
