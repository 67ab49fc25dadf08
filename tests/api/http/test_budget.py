"""The memory of requests and responses, when clients want more of it than there is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.api.http.running import DEADLINE_S, Running, closing, echo, get, trusting

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable

    from starlette.types import Receive, Scope, Send

    from tests.api.http.running import Run

MIB = 2**20
SMALL = closing(get("/10"))


@pytest.fixture
async def held() -> AsyncIterator[list[asyncio.StreamWriter]]:
    """Connections of clients that do not read, cut after the test."""
    writers: list[asyncio.StreamWriter] = []
    yield writers
    for writer in writers:
        writer.transport.abort()


async def sized(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with as many bytes as the path says."""
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"x" * int(scope["path"][1:])})


def used(running: Running) -> int:
    return running.server._connections.memory.used


async def start(running: Running, held: list[asyncio.StreamWriter], data: bytes) -> asyncio.StreamReader:
    """A client that sends this, and reads nothing."""
    reader, writer = await running.connect()
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(data)
    held.append(writer)
    return reader


async def test_a_response_larger_than_the_budget_goes_out_alone(run: Run) -> None:
    running = run(sized, memory_bytes=MIB)
    answer = await running.raw(closing(get(f"/{20 * MIB}")))
    assert len(answer) > 20 * MIB
    await running.until(lambda: not running.server.connections)
    assert used(running) == 0


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
async def test_beyond_the_budget_is_503_until_a_client_that_takes_nothing_is_cut(
    run: Run, held: list[asyncio.StreamWriter], tls: Callable[[], ssl.SSLContext], secure: bool
) -> None:
    running = run(sized, memory_bytes=8 * MIB, stalled_s=0.5, tls=tls if secure else None)
    options = {"ssl": trusting()} if secure else {}

    async def asks(size: int, *, reads: bool) -> bytes:
        reader, writer = await running.connect(**options)
        held.append(writer)
        writer.write(closing(get(f"/{size}")))
        if not reads:
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            return b""
        return await asyncio.wait_for(reader.read(), DEADLINE_S)

    for _ in range(2):  # the second goes beyond the budget, as one may
        count = running.server.requests
        await asks(6 * MIB, reads=False)
        await running.until(lambda count=count: running.server.requests > count)  # type: ignore[misc]
    refused = await asks(6 * MIB, reads=True)
    if not refused.startswith(b"HTTP/1.1 503 "):  # this machine was slow, and one is cut already
        refused = await asks(60 * MIB, reads=True)
    assert b"\r\nretry-after: 1\r\n" in refused
    assert b"api_memory_budget" in refused
    assert (await asks(100, reads=True)).startswith(b"HTTP/1.1 200 "), "what is small needs no memory"
    answer = refused
    async with asyncio.timeout(DEADLINE_S):
        while answer.startswith(b"HTTP/1.1 503 "):
            answer = await asks(6 * MIB, reads=True)
    assert len(answer) > 6 * MIB
    for writer in held:
        writer.transport.abort()
    await running.until(lambda: not running.server.connections)
    assert used(running) == 0


async def test_half_requests_take_no_more_than_the_budget(run: Run, held: list[asyncio.StreamWriter]) -> None:
    """The oldest end for newer ones, and other clients notice nothing."""
    running = run(sized, memory_bytes=MIB)
    half = b"GET / HTTP/1.1\r\nx: " + b"x" * 60_000
    for _ in range(100):
        await start(running, held, half)
        assert used(running) <= MIB + 128 * 1024
    assert len(await running.raw(SMALL)) > 10
    await running.until(lambda: running.server.connections < 20)
    for writer in held:
        writer.transport.abort()
    await running.until(lambda: not running.server.connections)
    assert used(running) == 0


async def test_bodies_take_no_more_than_the_budget(run: Run, held: list[asyncio.StreamWriter]) -> None:
    """Of requests that are being answered; one may go beyond, so that a large body can be sent."""
    running = run(echo, memory_bytes=MIB)
    head = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 500000\r\n\r\n"
    readers = [await start(running, held, head + b"x" * 400_000) for _ in range(10)]
    await running.until(lambda: running.server.requests >= 5)
    for writer in held:
        writer.transport.resume_reading()  # type: ignore[attr-defined]
    lines = await asyncio.gather(*map(first_line, readers))
    assert 5 <= sum(b" 503 " in line for line in lines) <= 8
    answer = await running.raw(closing(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc"))
    assert answer.endswith(b"abc")
    assert running.log.said == []
    for writer in held:
        writer.transport.abort()
    await running.until(lambda: not running.server.connections)
    assert used(running) == 0


async def first_line(reader: asyncio.StreamReader) -> bytes:
    """Of the answer; empty while none comes."""
    try:
        return await asyncio.wait_for(reader.readline(), 3)
    except TimeoutError:
        return b""


async def test_a_transfer_that_goes_on_is_not_cut(run: Run, held: list[asyncio.StreamWriter]) -> None:
    """Another client wants memory meanwhile, again and again."""
    running = run(sized, memory_bytes=4 * MIB, stalled_s=1.5)
    reader, writer = await running.connect()
    writer.write(closing(get(f"/{3 * MIB}")))
    size = 0
    while chunk := await asyncio.wait_for(reader.read(100_000), DEADLINE_S):
        size += len(chunk)
        await start(running, held, get(f"/{3 * MIB}"))
        await asyncio.sleep(0.08)  # in all longer than stalled_s
    assert size > 3 * MIB
    writer.close()
