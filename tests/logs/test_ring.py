"""The ring: bounded, in order, split only when asked."""

from __future__ import annotations

import tracemalloc

from cbox_init.logs.levels import Level
from cbox_init.logs.record import Block, Source
from cbox_init.logs.ring import RING_BYTES, Ring, latest

WEB = Source("web", "web-0", "stdout")
API = Source("api", "api-0", "stderr")


def block(data: bytes, time_ns: int = 0, source: Source = WEB, level: Level = Level.INFO) -> Block:
    return Block(time_ns, source, level, data)


def messages(
    *rings: Ring, limit: int = 100, newest_first: bool = True, min_level: Level | None = None
) -> str:
    records = latest(rings, limit=limit, newest_first=newest_first, min_level=min_level)
    return " ".join(record.message for record in records)


def test_the_newest_lines_come_first_or_last_and_are_the_same_ones() -> None:
    ring = Ring()
    for data in (b"1\n2\n3", b"4", b"5\n6"):
        ring.append(block(data))
    assert messages(ring) == "6 5 4 3 2 1"
    assert messages(ring, limit=4) == "6 5 4 3"
    assert messages(ring, limit=4, newest_first=False) == "3 4 5 6"
    assert messages(ring, limit=0) == ""
    assert messages(Ring()) == ""


def test_several_rings_are_merged_by_time() -> None:
    web, api = Ring(), Ring()
    web.append(block(b"w1\nw2", 10))
    api.append(block(b"a1", 20, API))
    web.append(block(b"w3", 30))
    assert messages(web, api) == "w3 a1 w2 w1"
    assert messages(web, api, limit=2, newest_first=False) == "a1 w3"


def test_lower_levels_are_left_out() -> None:
    ring = Ring()
    ring.append(block(b"quiet", level=Level.DEBUG))
    ring.append(block(b"loud", level=Level.ERROR))
    assert messages(ring, min_level=Level.INFO) == "loud"


def test_a_record_says_where_it_comes_from() -> None:
    ring = Ring()
    ring.append(Block(5, API, Level.WARN, b"caf\xe9", partial=True))
    (record,) = latest([ring], limit=1, newest_first=True, min_level=None)
    assert (record.time_ns, record.process, record.instance, record.stream) == (5, "api", "api-0", "stderr")
    assert (record.level, record.message, record.partial) == (Level.WARN, r"caf\xe9", True)


def test_memory_is_bounded_for_small_and_large_blocks() -> None:
    for size in (0, 60, 24 * 1024, 64 * 1024):
        tracemalloc.start()
        try:
            ring = Ring()
            for number in range(4 * RING_BYTES // (size + 40)):
                ring.append(block(bytes(size + number % 2), time_ns=1795511283_000000000 + number))
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert RING_BYTES * 0.7 <= ring.size <= RING_BYTES
        assert held <= RING_BYTES * 1.05
