"""Heads of requests: what is read from them, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbox_init.api.http.connections import http_date
from cbox_init.api.http.head import CHUNKED, HeadParser, HttpError, RequestHead

GOOD = b"GET /a?b=c HTTP/1.1\r\nHost: x\r\nX-Empty:\r\n\r\n"


def parsed(data: bytes) -> RequestHead:
    return HeadParser(100).parse(data)


def test_what_is_read() -> None:
    head = parsed(GOOD)
    assert head == RequestHead(
        method="GET",
        target=b"/a?b=c",
        version="1.1",
        headers=[(b"host", b"x"), (b"x-empty", b"")],
        length=0,
        keep_alive=True,
        expects_continue=False,
    )


@pytest.mark.parametrize(
    ("lines", "length", "keep_alive"),
    [
        ("POST / HTTP/1.1\r\nContent-Length: 5", 5, True),
        ("POST / HTTP/1.1\r\nContent-Length: 5 ", 5, True),
        ("POST / HTTP/1.1\r\nContent-Length: 0", 0, True),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: Chunked", CHUNKED, True),
        ("POST / HTTP/1.1\r\nConnection: close\r\nContent-Length: 7", 7, False),
        ("GET / HTTP/1.0", 0, False),
        ("GET / HTTP/1.0\r\nConnection: keep-alive", 0, False),
        ("GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket", 0, True),
        (
            "POST / HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nContent-Length: 3",
            3,
            True,
        ),
    ],
)
def test_body_and_connection(lines: str, length: int, keep_alive: bool) -> None:
    head = parsed(f"{lines}\r\n\r\n".encode())
    assert (head.length, head.keep_alive) == (length, keep_alive)


@pytest.mark.parametrize(("version", "expects"), [("1.1", True), ("1.0", False)])
def test_expect(version: str, expects: bool) -> None:
    data = f"POST / HTTP/{version}\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n".encode()
    assert parsed(data).expects_continue is expects


@pytest.mark.parametrize(
    "lines",
    [
        "POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5",
        "POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5",
        "POST / HTTP/1.1\r\nContent-Length: +5",
        "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999",
        "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "POST / HTTP/1.1\r\nTransfer-Encoding: identity",
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked",
        "GET / HTTP/1.1\r\nHost: localhost\r\nhost: other",
        "GET / HTTP/1.1\r\nname : x",
        "GET / HTTP/1.1\r\nfolded: x\r\n y",
        "GET / HTTP/1.1\r\nnul: a\0b",
        "GET / HTTP/0.9",
        "GET / HTTP/2.0",
        "GET /",
        "GET /a b HTTP/1.1",
    ],
)
def test_what_is_refused_leaves_the_parser_as_it_was(lines: str) -> None:
    parser = HeadParser(100)
    with pytest.raises(HttpError) as caught:
        parser.parse(f"{lines}\r\n\r\n".encode())
    assert caught.value.status == 400
    assert parser.parse(GOOD).target == b"/a?b=c"


def test_number_of_headers() -> None:
    assert len(parsed(b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 100 + b"\r\n").headers) == 100
    with pytest.raises(HttpError, match="more than 100 headers") as caught:
        parsed(b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 101 + b"\r\n")
    assert caught.value.status == 431


@settings(deadline=None)
@given(
    st.lists(
        st.binary(max_size=40) | st.sampled_from([GOOD, b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n"])
    )
)
def test_whatever_came_before_a_good_request_is_read(before: list[bytes]) -> None:
    parser = HeadParser(100)
    for data in before:
        try:
            parser.parse(data)
        except HttpError as error:
            assert error.status in (400, 431)
    assert parser.parse(GOOD) == parsed(GOOD)


def test_dates() -> None:
    assert http_date(784111777) == "Sun, 06 Nov 1994 08:49:37 GMT"
    assert http_date(0) == "Thu, 01 Jan 1970 00:00:00 GMT"
