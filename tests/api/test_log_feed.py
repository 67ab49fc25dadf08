"""Lines as events: wherever a stream is cut, it goes on with the next line, whatever is shared on the way."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from cbox_init.api.log_feed import EventWriter, Feed
from cbox_init.config.model.enums import LogLevel
from cbox_init.logs.filter import LogFilter, TextSearch
from cbox_init.logs.past import BlockSlice, Past, Position, StartCollector, position_of
from cbox_init.logs.record import Block, RecordSource
from cbox_init.logs.ring import NumberedBlock
from cbox_init.logs.subscription import Missed, Subscription

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pytest

RUN = "c0ffee"


def entries(sizes: Iterable[int]) -> tuple[NumberedBlock, ...]:
    """Blocks of the given numbers of lines; all lines are different."""
    made = []
    for number, size in enumerate(sizes, 1):
        data = "\n".join(f"{number}.{line}" for line in range(size)).encode()
        made.append(
            NumberedBlock(number, Block(number, RecordSource("web", "web-0", "stdout"), LogLevel.INFO, data))
        )
    return tuple(made)


def subscription(
    chosen: LogFilter, parts: Iterable[BlockSlice], missed: Missed | None = None
) -> Subscription:
    made = Subscription(chosen, lambda _: None)
    made.begin_with(parts, missed)
    return made


def sent(feed: Feed) -> list[tuple[str, str]]:
    """Id and message of each event, until there is nothing more."""
    stream = b""
    while feed.pending:
        stream += feed.chunk()
    seen = []
    for event in stream.decode().split("\n\n")[:-1]:
        id_, name, data = (line.partition(": ")[2] for line in event.split("\n"))
        seen.append((id_, json.loads(data)["message"] if name == "log" else name))
    return seen


@settings(deadline=None)
@given(
    st.lists(st.sampled_from((1, 2, 127, 128, 129, 300)), min_size=1, max_size=5),
    st.sampled_from(("", "7", "1.1", ".128", "none")),
    st.data(),
)
def test_every_cut_of_a_stream_goes_on_with_the_next_line(
    sizes: list[int], text: str, data: st.DataObject
) -> None:
    chosen = LogFilter(text=TextSearch.of(text) if text else None)
    past = Past((entries(sizes),), 0, Position(len(sizes) + 1))
    writer = EventWriter(RUN)
    whole = sent(Feed(subscription(chosen, map(BlockSlice, past.rings[0])), writer))
    assert [message for _, message in whole] == [
        record.message
        for entry in past.rings[0]
        for record in entry.block.records()
        if text in record.message
    ]
    if not whole:
        return
    cut = data.draw(st.integers(1, len(whole)))
    start = StartCollector(chosen, room=1 << 30, after=position_of(whole[cut - 1][0], RUN))
    for entry in past.newest_first():
        if not start.add(entry):
            break
    shared = data.draw(st.sampled_from((writer, EventWriter(RUN))))
    assert sent(Feed(subscription(chosen, start.parts), shared)) == whole[cut:]


def test_readers_that_keep_up_share_what_is_written() -> None:
    writer = EventWriter(RUN)
    parts = list(map(BlockSlice, entries([300])))
    first, second, other = (
        Feed(subscription(chosen, parts), writer)
        for chosen in (LogFilter(), LogFilter(), LogFilter(text=TextSearch.of("1.29")))
    )
    assert first._next() is second._next()
    assert len(sent(other)) == 11
    writer.forget()
    assert len(sent(first)) == len(sent(second)) == 300 - 128


def test_what_is_missing_has_a_place() -> None:
    (entry,) = entries([2])
    feed = Feed(subscription(LogFilter(), [BlockSlice(entry)], Missed(None, Position(1))), EventWriter(RUN))
    assert feed.mark(Position(1)) == b""  # there is something to say first
    assert feed.chunk().startswith(b"id: c0ffee-1-0\nevent: missed\ndata: {}\n\nid: c0ffee-1-1\nevent: log\n")
    assert feed.mark(Position(2)) == b""  # the last line has said so
    assert feed.mark(Position(3)) == b"id: c0ffee-3-0\n\n"
    assert feed.mark(Position(3)) == b""
    feed = Feed(subscription(LogFilter(), [], Missed(7, Position(5))), EventWriter(RUN))
    assert feed.chunk() == b'id: c0ffee-5-0\nevent: missed\ndata: {"count":7}\n\n'


def test_many_short_blocks_are_sent_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as a slice of time has room for: here it does not pass."""
    monkeypatch.setattr("cbox_init.api.log_feed.monotonic", lambda: 0.0)
    feed = Feed(subscription(LogFilter(), map(BlockSlice, entries([1] * 50))), EventWriter(RUN))
    assert feed.chunk().count(b"event: log") == 50
    assert feed.chunk() == b""


def test_blocks_in_which_nothing_is_found_take_no_more_than_a_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here one of them: the slice is over at once."""
    monkeypatch.setattr("cbox_init.api.log_feed.SLICE_S", 0.0)
    chosen = LogFilter(text=TextSearch.of("\N{KELVIN SIGN}", ignore_case=True))
    lines = subscription(chosen, map(BlockSlice, entries([3] * 50)))
    feed = Feed(lines, EventWriter(RUN))
    chunks = 0
    while feed.pending:
        assert feed.chunk() == b""
        chunks += 1
    assert chunks == 50
