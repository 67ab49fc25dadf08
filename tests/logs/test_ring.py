"""The ring: bounded, in order, split only when asked."""

from __future__ import annotations

import tracemalloc

import pytest

from cbox_init.config.model.enums import LogLevel
from cbox_init.logs.record import Block, RecordSource
from cbox_init.logs.ring import RING_BYTES, LogRing, NumberedBlock

API = RecordSource("api", "api-0", "stderr")


def entry(data: bytes, number: int = 1) -> NumberedBlock:
    return NumberedBlock(number, Block(1795511283_000000000 + number, API, LogLevel.INFO, data))


def messages(ring: LogRing) -> list[str]:
    return [record.message for block in ring.newest_first() for record in block.records(newest_first=True)]


def test_whole_blocks_are_kept_in_order() -> None:
    ring = LogRing()
    assert (messages(ring), ring.newest) == ([], 0)
    for number, data in enumerate((b"1\n2\n3", b"4", b"5\n6"), 1):
        ring.append(entry(data, number))
    assert messages(ring) == ["6", "5", "4", "3", "2", "1"]
    assert [one.number for one in ring.entries()] == [1, 2, 3]
    assert [len(one) for one in ring.entries()] == [3, 1, 2]
    assert (ring.newest, ring.gone) == (3, 0)


def test_a_record_says_where_it_comes_from() -> None:
    ring = LogRing()
    ring.append(NumberedBlock(1, Block(5, API, LogLevel.WARN, b"caf\xe9", partial=True)))
    (block,) = ring.newest_first()
    (record,) = block.records()
    assert (record.time_ns, record.process, record.instance, record.stream) == (5, "api", "api-0", "stderr")
    assert (record.level, record.message, record.partial) == (LogLevel.WARN, r"caf\xe9", True)


@pytest.mark.parametrize("size", [0, 60, 24 * 1024, 64 * 1024])
@pytest.mark.parametrize("limit", [RING_BYTES, 4 * RING_BYTES])
def test_memory_is_bounded_for_small_and_large_blocks(size: int, limit: int) -> None:
    tracemalloc.start()
    try:
        ring = LogRing(limit)
        count = 4 * limit // (size + 40)
        for number in range(1, count + 1):
            ring.append(entry(bytes(size + number % 2), number))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert limit * 0.7 <= ring.size <= limit
    assert held <= limit * 1.05
    assert ring.gone == count - len(ring.entries())
    assert ring.newest == count


def test_a_ring_can_shrink_and_grow_and_keep_nothing() -> None:
    ring = LogRing()
    for number in range(1, 101):
        ring.append(entry(b"x" * 744, number))
    ring.resize(10_000)
    assert [one.number for one in ring.entries()] == list(range(91, 101))
    assert (ring.gone, ring.size) == (90, 10_000)
    ring.resize(RING_BYTES)
    ring.append(entry(b"more", 101))
    assert len(ring.entries()) == 11
    ring.resize(0)
    ring.append(entry(b"secret", 102))
    assert (ring.entries(), ring.size, ring.gone, ring.newest) == ((), 0, 102, 102)
