"""What comes faster than it may is dropped, and counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbox_init.logs.stages.batch import LineBatch
from cbox_init.logs.stages.rate import REPORT_S, RecordRateLimit
from tests.logs.stages.helpers import Line, blocks_of, lines_of, stages_of

if TYPE_CHECKING:
    from collections.abc import Callable


class World:
    """A clock that is set by hand, and what was asked for."""

    def __init__(self, lines: float, burst: int) -> None:
        self.now = 100.0
        self.reports: list[int] = []
        self.later: list[tuple[float, Callable[[], None]]] = []
        self.limit = RecordRateLimit(
            lines,
            burst,
            report=self.reports.append,
            later=lambda delay_s, callback: self.later.append((delay_s, callback)),
            clock=lambda: self.now,
        )

    def write(self, count: int) -> int:
        """How many of ``count`` lines get through."""
        text = "\n".join(map(str, range(count)))
        batches = self.limit(LineBatch(text, 1))
        assert "\n".join(batch.text for batch in batches) == "\n".join(
            text.split("\n")[: sum(map(len, batches))]
        )
        return sum(map(len, batches))


def test_a_burst_and_then_so_many_a_second() -> None:
    world = World(10, 25)
    assert world.write(20) == 20
    assert world.write(20) == 5
    assert world.write(20) == 0
    world.limit.tell()
    assert world.reports == [35]
    world.now += 0.55
    assert world.write(20) == 5
    assert world.limit.held_back == 50
    assert world.write(20) == 0
    assert world.limit.held_back == 70
    world.now += 1000
    assert world.write(100) == 25
    assert world.limit.held_back == 145


def test_one_report_a_second_says_how_many() -> None:
    world = World(10, 5)
    world.write(5)
    assert world.later == []
    world.write(7)
    world.write(3)
    assert [delay_s for delay_s, _ in world.later] == [REPORT_S]
    assert world.reports == []
    world.later[0][1]()
    assert world.reports == [10]
    world.write(1)
    assert len(world.later) == 2
    world.limit.tell()
    world.later[1][1]()
    assert world.reports == [10, 1]


def test_a_single_record_counts_as_one() -> None:
    world = World(1, 1)
    record = LineBatch("one\ntwo", 1, single=True)
    assert world.limit(record) == [record]
    assert world.limit(record) == []


def test_the_parts_of_a_long_line_count_as_one() -> None:
    section = {"rate_limit": {"lines": 1, "burst": 2}}
    data = b"x" * 200 + b"\n" + b"y" * 200 + b"\n" + b"z" * 200 + b"\nnext\n"
    found = lines_of(blocks_of(stages_of(section), [data], 64))
    assert found == [
        *[Line("x" * 64, partial=True)] * 3,
        Line("x" * 8),
        *[Line("y" * 64, partial=True)] * 3,
        Line("y" * 8),
    ]


def test_what_filters_drop_does_not_count() -> None:
    section = {"rate_limit": {"lines": 1, "burst": 2}, "filters": {"exclude": ["noise"]}}
    assert lines_of(blocks_of(stages_of(section), [b"noise\n" * 10 + b"a\nb\nc\n"])) == [Line("a"), Line("b")]
