"""More and more readers of the stream of events, while children are killed one after another."""

from bench.growth.base import Series
from bench.peers.base import Need
from bench.rows.events import EVENT_CPU, EVENT_P99, measure_readers

SERIES = Series(
    "event-readers",
    "Readers of the stream of events",
    "readers, each of every event",
    (1, 10, 100, 500),
    (EVENT_P99, EVENT_CPU),
    measure_readers,
    (Need.EVENTS,),
)
