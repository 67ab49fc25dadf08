"""The list of 100 instances, asked for from more and more connections."""

import msgspec

from bench.growth.base import Series
from bench.peers.base import Need
from bench.rows import list_rate

SERIES = Series(
    "connections",
    "API connections",
    "connections",
    (1, 8, 32, 64),
    (
        msgspec.structs.replace(list_rate.RATE, label="list of 100 instances"),
        msgspec.structs.replace(list_rate.CPU_RATE, label="for a CPU second of the daemon"),
        msgspec.structs.replace(list_rate.P99, label="p99"),
    ),
    list_rate.measure,
    (Need.LIST,),
)
