"""Where a reader begins in what was written before: no line is left out, none comes twice."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbox_init.config.model.enums import LogLevel
from cbox_init.logs.filter import LogFilter, TextSearch
from cbox_init.logs.past import BEGINNING, Past, Position, StartCollector, name_of, position_of
from cbox_init.logs.record import Block, RecordSource
from cbox_init.logs.ring import NumberedBlock

EVERYTHING = LogFilter()
NAMES = ("web", "api", "db")


class Written(NamedTuple):
    """Some blocks, and the past that holds them: a ring a process."""

    entries: list[NumberedBlock]

    @property
    def past(self) -> Past:
        rings = tuple(
            tuple(entry for entry in self.entries if entry.block.source.process == name) for name in NAMES
        )
        return Past(rings, 0, Position(len(self.entries) + 1))

    def lines(self, chosen: LogFilter) -> list[tuple[Position, str]]:
        """Every wanted line with its place, in the order of writing, the slow way."""
        return [
            (Position(entry.number, index), record.message)
            for entry in self.entries
            if entry.block.level.rank >= (chosen.min_level or LogLevel.DEBUG).rank
            for index, record in enumerate(entry.block.records())
            if chosen.text is None or chosen.text.text in record.message
        ]


def write(*blocks: tuple[str, LogLevel, list[str]]) -> Written:
    return Written(
        [
            NumberedBlock(
                number,
                Block(number, RecordSource(name, f"{name}-0", "stdout"), level, "\n".join(lines).encode()),
            )
            for number, (name, level, lines) in enumerate(blocks, 1)
        ]
    )


def read(start: StartCollector, past: Past, chosen: LogFilter) -> list[tuple[Position, str]]:
    for entry in past.newest_first():
        if not start.add(entry):
            break
    return [
        (Position(part.entry.number, index), record.message)
        for part in start.parts
        for index, record in chosen.lines(part.entry.block, part.start)
    ]


_written = st.lists(
    st.tuples(
        st.sampled_from(NAMES),
        st.sampled_from((LogLevel.INFO, LogLevel.ERROR)),
        st.lists(st.sampled_from(("a", "b", "ab")), min_size=1, max_size=4),
    ),
    max_size=12,
).map(lambda blocks: write(*blocks))
_chosen = st.sampled_from(
    (
        EVERYTHING,
        LogFilter(min_level=LogLevel.ERROR),
        LogFilter(text=TextSearch.of("a")),
        LogFilter(text=TextSearch.of("ab"), min_level=LogLevel.ERROR),
    )
)


@given(_written, _chosen, st.integers(1, 14), st.integers(0, 5))
def test_from_any_place_on_each_line_once(
    written: Written, chosen: LogFilter, number: int, line: int
) -> None:
    after = Position(number, line)
    seen = read(StartCollector(chosen, room=1 << 20, after=after), written.past, chosen)
    assert seen == [one for one in written.lines(chosen) if one[0] >= after]


@given(_written, _chosen, st.integers(0, 20) | st.none())
def test_the_last_lines_are_those_of_all_processes(
    written: Written, chosen: LogFilter, count: int | None
) -> None:
    seen = read(StartCollector(chosen, room=1 << 20, count=count), written.past, chosen)
    wanted = written.lines(chosen)
    assert seen == (wanted if count is None else wanted[len(wanted) - min(count, len(wanted)) :])


def test_no_more_than_fits() -> None:
    written = write(*(("web", LogLevel.INFO, ["x" * 744]) for _ in range(10)))
    start = StartCollector(EVERYTHING, room=3000)
    assert [place.number for place, _ in read(start, written.past, EVERYTHING)] == [8, 9, 10]
    assert start.cut
    start = StartCollector(EVERYTHING, room=3000, count=3)
    assert len(read(start, written.past, EVERYTHING)) == 3
    assert not start.cut


def test_of_no_process_there_is_nothing() -> None:
    assert list(Past((), 0, BEGINNING).newest_first()) == []


def test_places_have_names() -> None:
    assert name_of(Position(12, 3), "c0ffee") == "c0ffee-12-3"
    assert position_of("c0ffee-12-3", "c0ffee") == Position(12, 3)


@pytest.mark.parametrize(
    "name",
    [
        *("", "7", "c0ffee", "c0ffee-1", "c0ffee-1-2-3", "c0ffee-1-x", "c0ffee--1-2", "c0ffee-²-1"),
        *("beef-12-3", f"c0ffee-{'9' * 5000}-0"),
    ],
)
def test_another_name_is_the_beginning_of_this_run(name: str) -> None:
    assert position_of(name, "c0ffee") == BEGINNING
