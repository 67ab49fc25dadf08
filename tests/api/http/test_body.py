"""Where the body of a request ends, in whatever pieces it comes."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbox_init.api.http.body import ChunkedBody, SizedBody
from cbox_init.api.http.head import HttpError


def fed(body: SizedBody | ChunkedBody, data: bytes, cuts: list[int]) -> tuple[bytes, bytes]:
    """What is read of ``data`` in pieces, and what is left behind its end."""
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    found = b""
    for begin, end in pairwise(edges):
        piece, rest = body.feed(data[begin:end])
        found += piece
        if body.complete:
            return found, rest + data[end:]
        assert rest == b""
    return found, b""


def chunked(chunks: list[bytes], extension: bytes = b"", trailers: bytes = b"") -> bytes:
    parts = [b"%x%b\r\n%b\r\n" % (len(chunk), extension, chunk) for chunk in chunks if chunk]
    return b"".join(parts) + b"0\r\n" + trailers + b"\r\n"


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=300), st.binary(max_size=50), st.lists(st.integers(0, 400), max_size=6))
def test_a_length_that_was_declared(data: bytes, behind: bytes, cuts: list[int]) -> None:
    body = SizedBody(len(data))
    assert fed(body, data + behind, cuts) == (data, behind)
    assert body.complete


@settings(deadline=None)
@given(
    st.lists(st.binary(max_size=200), max_size=8),
    st.sampled_from([b"", b";a=b", b"  "]),
    st.sampled_from([b"", b"a: b\r\n", b"a: b\r\nc:\r\n"]),
    st.binary(max_size=50),
    st.lists(st.integers(0, 2000), max_size=12),
)
def test_chunks(
    chunks: list[bytes], extension: bytes, trailers: bytes, behind: bytes, cuts: list[int]
) -> None:
    body = ChunkedBody()
    assert fed(body, chunked(chunks, extension, trailers) + behind, cuts) == (b"".join(chunks), behind)
    assert body.complete


@pytest.mark.parametrize(
    "data",
    [
        b"x\r\n",
        b"\r\n",
        b"-1\r\n",
        b"+1\r\n",
        b"0x1\r\n",
        b"1_0\r\n",
        b" 1\r\n",
        b"1\n",
        b"123456789\r\n",
        b"1;a\rb\r\n",
        b"1" + b";" * 300 + b"\r\n",
        b"1" * 300,
        b"2\r\nabc\r\n",
        b"2\r\nab\n",
        b"2\r\nab\rx",
        b"0\r\nno colon\r\n\r\n",
        b"0\r\n folded: x\r\n\r\n",
        b"0\r\na: b\n\n",
        b"0\r\n" + b"a: b\r\n" * 6000,
        b"0\r\na: " + b"b" * 10_000,
        b"1\r\na\r\n" * 10_000,
    ],
    ids=lambda data: repr(data[:20]),
)
@pytest.mark.parametrize("step", [1, 7, 1_000_000])
def test_what_is_wrong(data: bytes, step: int) -> None:
    body = ChunkedBody()
    with pytest.raises(HttpError) as caught:
        for at in range(0, len(data), step):
            body.feed(data[at : at + step])
    assert caught.value.status == 400
    assert not body.complete


def test_small_chunks_within_reason_are_taken() -> None:
    chunks = [b"abcdefghij"] * 20_000
    assert fed(ChunkedBody(), chunked(chunks), []) == (b"".join(chunks), b"")
