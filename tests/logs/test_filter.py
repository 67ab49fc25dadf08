"""What a reader wants: the look at the block never hides a line that the look at the line would show."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbox_init.config.model.enums import LogLevel
from cbox_init.logs.filter import LogFilter, TextSearch
from cbox_init.logs.record import Block, RecordSource
from cbox_init.logs.ring import NumberedBlock

EVERYTHING = LogFilter()
WEB = RecordSource("web", "web-0", "stdout")


def block(
    data: bytes = b"line", source: RecordSource = WEB, level: LogLevel = LogLevel.INFO, time_ns: int = 50
) -> Block:
    return Block(time_ns, source, level, data)


def shown(chosen: LogFilter, given: Block) -> list[str]:
    if not chosen.may_take(given):
        return []
    lines = [record.message for _, record in chosen.lines(given)]
    assert [record.message for record in chosen.newest_first(given)] == lines[::-1]
    entry = NumberedBlock(1, given)
    in_bytes = given.data.isascii() and (chosen.text is None or chosen.text.needle is not None)
    known = {len(lines)} if in_bytes else {len(lines), None}
    assert {entry.count(chosen) for _ in range(2)} <= known
    line_end = LogFilter(text=TextSearch.of("\n"))
    spans = given.single and b"\n" in given.data
    assert entry.count(line_end) in ({spans} if given.data.isascii() else {spans, None})
    assert entry.count(chosen) in known
    for start in range(len(given) + 2):
        assert [record.message for index, record in chosen.lines(given, start)] == [
            record.message for index, record in chosen.lines(given) if index >= start
        ]
    return lines


@pytest.mark.parametrize(
    ("chosen", "wanted"),
    [
        (EVERYTHING, True),
        (LogFilter(processes=frozenset(("web", "api"))), True),
        (LogFilter(processes=frozenset(("api",))), False),
        (LogFilter(processes=frozenset()), False),
        (LogFilter(instances=frozenset(("web-0",))), True),
        (LogFilter(instances=frozenset(("web-1",))), False),
        (LogFilter(streams=frozenset(("stdout", "file"))), True),
        (LogFilter(streams=frozenset(("stderr",))), False),
        (LogFilter(min_level=LogLevel.INFO), True),
        (LogFilter(min_level=LogLevel.WARN), False),
        (LogFilter(since_ns=50, until_ns=50), True),
        (LogFilter(since_ns=51), False),
        (LogFilter(until_ns=49), False),
        (LogFilter(text=TextSearch.of("in")), True),
        (LogFilter(text=TextSearch.of("IN")), False),
        (LogFilter(text=TextSearch.of("IN", ignore_case=True)), True),
    ],
)
def test_each_condition(chosen: LogFilter, wanted: bool) -> None:
    assert shown(chosen, block()) == (["line"] if wanted else [])


def test_of_a_block_only_the_lines_with_the_text_and_from_a_place_on() -> None:
    chosen = LogFilter(text=TextSearch.of("a"))
    given = block(b"a0\nb1\na2\nb3\na4")
    assert shown(chosen, given) == ["a0", "a2", "a4"]
    assert [index for index, _ in chosen.lines(given, 1)] == [2, 4]
    assert [index for index, _ in EVERYTHING.lines(given, 3)] == [3, 4]
    assert list(chosen.lines(given, 5)) == []


def test_a_block_without_the_text_is_not_split() -> None:
    assert not LogFilter(text=TextSearch.of("needle")).may_take(block(b"hay\nstack"))
    assert not LogFilter(text=TextSearch.of("Needle", ignore_case=True)).may_take(block(b"HAY\nSTACK"))
    assert shown(LogFilter(text=TextSearch.of("hay\nstack")), block(b"hay\nstack")) == []


@pytest.mark.parametrize(
    ("text", "data"),
    [
        (r"caf\xe9", b"caf\xe9"),
        ("\N{KELVIN SIGN}elvin", b"kelvin"),
        ("kelvin", "\N{KELVIN SIGN}ELVIN".encode()),
        ("STRASSE", "straße".encode()),
        ("ÄRGER", "ärger".encode()),
        (r"C:\DIR", rb"c:\dir"),
    ],
)
def test_letters_beyond_ascii_and_bytes_that_are_no_text(text: str, data: bytes) -> None:
    assert shown(LogFilter(text=TextSearch.of(text, ignore_case=True)), block(data)) != []


_texts = st.text(st.sampled_from("aAkKäÄß\\x \N{KELVIN SIGN}"), min_size=1, max_size=3)
_data = st.binary(max_size=12) | st.text(st.sampled_from("aAkKäÄß\\x \n\N{KELVIN SIGN}"), max_size=12).map(
    str.encode
)


def test_a_record_of_several_lines_is_one() -> None:
    joined = Block(50, WEB, LogLevel.INFO, b"a\n  at a", single=True)
    assert shown(LogFilter(text=TextSearch.of("a\n ")), joined) == ["a\n  at a"]
    assert shown(LogFilter(text=TextSearch.of("a")), joined) == ["a\n  at a"]


@given(_texts, st.booleans(), _data)
def test_the_block_decides_as_its_lines_would(text: str, ignore_case: bool, data: bytes) -> None:
    fold = str.casefold if ignore_case else str
    given = block(data)
    expected = [record.message for record in given.records() if fold(text) in fold(record.message)]
    assert shown(LogFilter(text=TextSearch.of(text, ignore_case=ignore_case)), given) == expected


@pytest.mark.parametrize("line", [b"", b"x", "\N{LATIN SMALL LETTER E WITH ACUTE}".encode(), b"\xff"])
def test_lines_that_do_not_match_are_not_made_into_records(
    line: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block can have 64,000 lines; to look at each takes 0.1 s."""
    given = block(b"\n".join([*[line] * 20_000, b"K here", *[line] * 20_000, b"and K there"]))
    chosen = LogFilter(text=TextSearch.of("\N{KELVIN SIGN}", ignore_case=True))
    made = []
    record = Block.record
    monkeypatch.setattr(Block, "record", lambda of, data: made.append(data) or record(of, data))  # type: ignore[func-returns-value]
    assert [index for index, _ in chosen.lines(given)] == [20_000, 40_001]
    assert [index for index, _ in chosen.lines(given, 20_001)] == [40_001]
    assert [one.message for one in chosen.newest_first(given)] == ["and K there", "K here"]
    assert len(made) == 5


@pytest.mark.parametrize(
    ("text", "ignore_case", "data", "count"),
    [
        ("x", False, b"x\ny\nx", 2),
        ("\xe9", False, "\xe9\ne".encode(), 1),
        ("x", False, b"x\n" * 1000, 1000),
        ("x", False, b"x\n" * 1001, None),
        ("x", True, "x\n\xe9".encode(), None),
        ("x", False, b"x\n\xff", None),
    ],
)
def test_matches_are_counted_where_that_is_quick(
    text: str, ignore_case: bool, data: bytes, count: int | None
) -> None:
    """Each block that a slow reader drops is counted, for each text that is searched for."""
    entry = NumberedBlock(1, block(data))
    assert entry.count(LogFilter(text=TextSearch.of(text, ignore_case=ignore_case))) == count
