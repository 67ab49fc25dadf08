"""The parser of server-sent events: the same events however the network cuts the stream."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbox_init.client.events import Event, EventParser
from cbox_init.errors import ClientError


def parse(*chunks: bytes) -> list[Event]:
    parser = EventParser()
    return [event for chunk in chunks for event in parser.feed(chunk)]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b'event: log\ndata: {"a":1}\n\n', [Event("log", '{"a":1}')]),
        (b"data: x\n\n", [Event("message", "x")]),
        (b"data:x\n\n", [Event("message", "x")]),
        (b"data:  x\n\n", [Event("message", " x")]),
        (b"data: a\ndata: b\n\n", [Event("message", "a\nb")]),
        (b"data\n\n", [Event("message", "")]),
        (b": keepalive\n\n", []),
        (b": keepalive\n\ndata: x\n\n", [Event("message", "x")]),
        (b"event: log\n\ndata: x\n\n", [Event("message", "x")]),
        (b"retry: 10\nnonsense\ndata: x\n\n", [Event("message", "x")]),
        (b"id: 7\ndata: x\n\ndata: y\n\n", [Event("message", "x", "7"), Event("message", "y", "7")]),
        (b"id: 7\n\ndata: x\n\nid\ndata: y\n\n", [Event("message", "x", "7"), Event("message", "y")]),
        (b"id: 7\n\nid: a\0b\ndata: x\n\n", [Event("message", "x", "7")]),
        (b"\xef\xbb\xbfdata: x\n\n", [Event("message", "x")]),
        (b"data: x\r\n\r\ndata: y\r\rdata: z\n\n", [Event("message", c) for c in "xyz"]),
        ("data: grün 😀\n\n".encode(), [Event("message", "grün 😀")]),
        (b"data: \xff\n\n", [Event("message", "�")]),
        (b"data: never finished\n", []),
        (b"", []),
    ],
)
def test_each_form_of_the_format(stream: bytes, events: list[Event]) -> None:
    assert parse(stream) == events
    assert parse(*(stream[i : i + 1] for i in range(len(stream)))) == events


def test_a_carriage_return_ends_an_event_before_its_line_feed_arrives() -> None:
    parser = EventParser()
    assert parser.feed(b"data: x\r\n\r") == [Event("message", "x")]
    assert parser.feed(b"") == []
    assert parser.feed(b"\ndata: y\n\n") == [Event("message", "y")]


def test_an_id_counts_when_its_event_has_ended() -> None:
    parser = EventParser()
    assert parser.feed(b"id: 7\n\nid: 8\n") == []
    assert parser.last_id == "7"
    parser.feed(b"\n")
    assert parser.last_id == "8"


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
    assert parse(*chunks) == [Event("log", text) for text, _ in records]
