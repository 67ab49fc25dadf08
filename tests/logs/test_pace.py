"""When reads grow, and when the reader rests."""

from __future__ import annotations

import pytest

from cbox_init.logs.pace import FLOOD_READ_BYTES, MOST_REST_S, READ_BYTES, ReadPace, ReadSize

LINES = b"a line that somebody may want to read later\n" * 1000
NOW = 1000.0


def _full_reads(appetite: ReadSize, data: bytes, most: int = 200) -> int | None:
    """How many of them it takes until reads grow."""
    return next((number for number in range(1, most) if appetite.grows(data)), None)


def test_reads_grow_once_when_the_pipe_is_full_again_and_again() -> None:
    appetite = ReadSize()
    assert appetite.size == READ_BYTES
    assert _full_reads(appetite, LINES) == 64
    assert appetite.size == FLOOD_READ_BYTES
    assert _full_reads(appetite, LINES) is None


def test_reads_of_short_lines_stay_small() -> None:
    """The members of 24,576 empty lines as JSON are 4 MB, those of 65,536 would be 10 MB."""
    appetite = ReadSize()
    assert _full_reads(appetite, b"\n" * READ_BYTES) is None
    assert appetite.size == READ_BYTES
    assert _full_reads(appetite, LINES) is not None


def test_reads_stay_small_where_the_ring_could_not_keep_several_of_the_large() -> None:
    appetite = ReadSize(may_grow=False)
    assert _full_reads(appetite, LINES) is None
    assert appetite.size == READ_BYTES


def test_few_reads_are_no_reason_to_rest() -> None:
    pace = ReadPace()
    for turn in range(100):
        began = NOW + turn * 0.001
        pace.note(1, 100, began, began + 0.0001)
        assert pace.rest() == 0


def test_many_small_reads_are_and_the_rest_is_as_long_as_the_work_allows() -> None:
    pace = ReadPace()
    pace.note(10, 1000, NOW, NOW + 0.0005)
    assert pace.rest() == 0
    pace.note(10, 1000, NOW + 0.001, NOW + 0.0015)
    assert pace.rest() == pytest.approx(0.005)
    assert pace.rest() == 0, "it begins again"
    pace.note(200, 20_000, NOW + 1, NOW + 1.1)
    assert pace.rest() == MOST_REST_S


def test_a_flood_among_many_does_not_wait() -> None:
    pace = ReadPace()
    pace.note(100, 10_000, NOW, NOW + 0.001)
    pace.note(40, 40 * 16 * 1024, NOW + 0.002, NOW + 0.003)
    assert pace.rest() == 0
