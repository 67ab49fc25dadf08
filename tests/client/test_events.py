"""Server-sent events: the same events wherever the network cuts the stream, also from httpx-sse."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbox_init.client.events import EventParser, ServerEvent
from cbox_init.client.httpx_transport import EventPieces
from cbox_init.errors import ClientError


def parse(*chunks: bytes) -> list[ServerEvent]:
    parser = EventParser()
    return [event for chunk in chunks for event in parser.feed(chunk)]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b'event: log\ndata: {"a":1}\n\n', [ServerEvent("log", '{"a":1}')]),
        (b"data: x\n\n", [ServerEvent("message", "x")]),
        (b"data:x\n\n", [ServerEvent("message", "x")]),
        (b"data:  x\n\n", [ServerEvent("message", " x")]),
        (b"data: a\ndata: b\n\n", [ServerEvent("message", "a\nb")]),
        (b"data\n\n", [ServerEvent("message", "")]),
        (b": keepalive\n\n", []),
        (b": keepalive\n\ndata: x\n\n", [ServerEvent("message", "x")]),
        (b"event: log\n\ndata: x\n\n", [ServerEvent("message", "x")]),
        (b"retry: 10\nnonsense\ndata: x\n\n", [ServerEvent("message", "x")]),
        (
            b"id: 7\ndata: x\n\ndata: y\n\n",
            [ServerEvent("message", "x", "7"), ServerEvent("message", "y", "7")],
        ),
        (
            b"id: 7\n\ndata: x\n\nid\ndata: y\n\n",
            [ServerEvent("message", "", "7"), ServerEvent("message", "x", "7"), ServerEvent("message", "y")],
        ),
        (
            b"id: 7\n\nid: a\0b\ndata: x\n\n",
            [ServerEvent("message", "", "7"), ServerEvent("message", "x", "7")],
        ),
        (b"\xef\xbb\xbfdata: x\n\n", [ServerEvent("message", "x")]),
        (b"data: x\r\n\r\ndata: y\r\rdata: z\n\n", [ServerEvent("message", c) for c in "xyz"]),
        ("data: grün 😀\n\n".encode(), [ServerEvent("message", "grün 😀")]),
        (b"data: \xff\n\n", [ServerEvent("message", "�")]),
        (b"data: never finished\n", []),
        (b"", []),
    ],
)
def test_each_form_of_the_format(stream: bytes, events: list[ServerEvent]) -> None:
    assert parse(stream) == events
    assert parse(*(stream[i : i + 1] for i in range(len(stream)))) == events


def test_a_carriage_return_ends_an_event_before_its_line_feed_arrives() -> None:
    parser = EventParser()
    assert parser.feed(b"data: x\r\n\r") == [ServerEvent("message", "x")]
    assert parser.feed(b"") == []
    assert parser.feed(b"\ndata: y\n\n") == [ServerEvent("message", "y")]


def test_an_id_counts_when_its_event_has_ended() -> None:
    parser = EventParser()
    assert parser.feed(b"id: 7\n\nid: 8\n") == [ServerEvent("message", "", "7")]
    assert parser.feed(b": keepalive\n\n\n") == [ServerEvent("message", "", "8")]
    assert parser.feed(b": keepalive\n\n") == []


@pytest.mark.parametrize("stream", [b"data: " + b"x" * 200, b"data: xxxxxxxxxx\n" * 20])
def test_an_event_without_end_is_refused(stream: bytes) -> None:
    parser = EventParser(largest=100)
    with pytest.raises(ClientError, match="more than 100 bytes"):
        for start in range(0, len(stream), 10):
            parser.feed(stream[start : start + 10])


def test_many_small_events_are_not_one_large_one() -> None:
    parser = EventParser(largest=100)
    assert sum(len(parser.feed(b"data: xxxxxxxxxx\n\n")) for _ in range(100)) == 100


_texts = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]))


@settings(deadline=None)
@given(st.lists(st.tuples(_texts, st.sampled_from(["\n", "\r\n", "\r"]))), st.data())
def test_cuts_do_not_matter(records: list[tuple[str, str]], data: st.DataObject) -> None:
    stream = "".join(f"event: log{end}data: {text}{end}{end}" for text, end in records).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert parse(*chunks) == [ServerEvent("log", text) for text, _ in records]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_pieces_for_httpx_sse_are_whole_events(end: bytes) -> None:
    pieces = EventPieces()
    one, two, keepalive = (text + end + end for text in (b"data: 1", b"data: 2", b": keepalive"))
    pieces.feed(one + two + keepalive + b"data: half")
    taken = []
    for piece in pieces.take():
        taken.append((piece, pieces.pending))
    assert taken == [(one, True), (two, False), (keepalive, False), (b"data: half", False)]


@pytest.mark.parametrize("stream", [b"data: " + b"x" * 200, b"data: xxxxxxxxxx\n" * 20])
def test_pieces_of_an_event_without_end_are_refused(stream: bytes) -> None:
    pieces = EventPieces(largest=100)
    with pytest.raises(ClientError, match="more than 100 bytes"):
        for start in range(0, len(stream), 10):
            pieces.feed(stream[start : start + 10])
    pieces = EventPieces(largest=100)
    for _ in range(100):
        pieces.feed(b"data: xxxxxxxxxx\n\n")
