"""Any way of cutting the same bytes into reads gives the same records."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from cbox_init.logs.framing import LINE_LIMIT, Framer

LIMIT = 8

texts = st.lists(
    st.one_of(
        st.sampled_from([b"\n", b"\r\n", b"\r", b"\n\n", "é".encode(), "€".encode(), "😀".encode(), b"\x80"]),
        st.binary(max_size=12),
        st.text(alphabet="ab ", max_size=20).map(str.encode),
    ),
    max_size=12,
).map(b"".join)


def records(reads: list[bytes], limit: int = LIMIT) -> list[tuple[bytes, bool]]:
    framer = Framer(limit)
    frames = [frame for read in reads for frame in framer.feed(read)] + framer.flush()
    return [(line, partial) for data, partial in frames for line in data.split(b"\n")]


def lines_of(data: bytes) -> list[bytes]:
    """The plain meaning: what ends with a newline, and a rest when there is one; one CR goes with its end."""
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix(b"\r") for line in lines]


def joined(parts: list[tuple[bytes, bool]]) -> list[bytes]:
    lines: list[bytes] = []
    open_line = b""
    for data, partial in parts:
        open_line += data
        if not partial:
            lines.append(open_line)
            open_line = b""
    assert not open_line
    return lines


@settings(deadline=None)
@given(texts, st.lists(st.integers(0, 200), max_size=12))
def test_any_split_into_reads_gives_the_same_records(data: bytes, cuts: list[int]) -> None:
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    reads = [data[a:b] for a, b in pairwise(places)]
    assert records(reads) == records([data])
    assert records([data[i : i + 1] for i in range(len(data))]) == records([data])


@settings(deadline=None)
@given(texts)
def test_parts_joined_are_the_lines_that_were_written(data: bytes) -> None:
    parts = records([data])
    assert joined(parts) == lines_of(data)
    assert all(len(line) <= LIMIT for line, _ in parts)


@settings(deadline=None)
@given(st.text(alphabet=st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=60))
def test_no_character_is_cut_in_two(text: str) -> None:
    for line, _ in records([text.encode()]):
        line.decode()


def test_a_line_of_the_limit_is_whole_and_one_more_byte_makes_two_parts() -> None:
    for ending in (b"\n", b"\r\n", b""):
        assert records([b"x" * LIMIT + ending]) == [(b"x" * LIMIT, False)]
        assert records([b"x" * LIMIT + b"y" + ending]) == [(b"x" * LIMIT, True), (b"y", False)]


def test_a_block_stays_whole() -> None:
    framer = Framer()
    assert framer.feed(b"one\ntwo\nthr") == [(b"one\ntwo", False)]
    assert framer.feed(b"ee") == []
    assert framer.feed(b"\n\n") == [(b"three\n", False)]
    assert framer.flush() == []


def test_a_line_without_end_takes_no_memory() -> None:
    framer = Framer()
    block = b"x" * LINE_LIMIT
    size = 0
    tracemalloc.start()
    try:
        for _ in range(1024):
            size += sum(len(frame.data) for frame in framer.feed(block))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    size += sum(len(frame.data) for frame in framer.flush())
    assert size == 1024 * LINE_LIMIT
    assert peak < 8 * LINE_LIMIT
