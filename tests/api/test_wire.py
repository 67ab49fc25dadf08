"""Connections: what is not HTTP, what is too large or too slow, and what HTTP allows."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from cbox_init.api import stack
from cbox_init.api.http.limits import API_LIMITS
from tests.api.service import read_answer

if TYPE_CHECKING:
    from tests.api.service import Serve, Service

HEALTH = b"GET /api/v1/health HTTP/1.1\r\nhost: x\r\n\r\n"


def limit(monkeypatch: pytest.MonkeyPatch, **limits: Any) -> None:
    """Other limits for the services that are made from now on."""
    monkeypatch.setattr(stack, "API_LIMITS", replace(API_LIMITS, **limits))


HEALTHY = b'{"status":"healthy"}'


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n\r\nnonsense\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS to a port without
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET  /x HTTP/1.1\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: many\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        b"FROB / HTTP/1.1\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"x" * 30_000,
    ],
    ids=lambda data: repr(data[:20]),
)
async def test_garbage(service: Service, data: bytes) -> None:
    answer = await service.raw(data, eof=True)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 404 ", b"HTTP/1.1 431 "))
    service.contract.validate_as("ErrorReply", json.loads(body))
    assert (await service.tcp.get("/api/v1/health")).status_code == 200


async def test_garbage_is_not_logged(service: Service) -> None:
    """Else anybody could flood the log of the container."""
    await service.raw(b"nonsense\r\n\r\n")
    assert not [message for message in service.house.messages() if "HTTP" in message]


async def test_pipelined_requests_are_answered_in_order(service: Service) -> None:
    async with service.connection() as (reader, writer):
        writer.write(
            HEALTH
            + b"POST /api/v1/processes/web/scale HTTP/1.1\r\nhost: x\r\ncontent-length: 11\r\n\r\n"
            + b'{"scale":3}'
            + b"GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n"
            + HEALTH * 50
        )
        answers = [await read_answer(reader) for _ in range(53)]
    assert [answer.status for answer in answers] == [200, 202, 404] + [200] * 50
    assert answers[-1].body == HEALTHY


async def test_a_request_byte_by_byte(service: Service) -> None:
    async with service.connection() as (reader, writer):
        for byte in HEALTH:
            writer.write(bytes((byte,)))
            await writer.drain()
        assert (await read_answer(reader)).body == HEALTHY


async def test_http_1_0_closes_the_connection(service: Service) -> None:
    answer = await service.raw(b"GET /api/v1/health HTTP/1.0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(HEALTHY)


async def test_absolute_form(service: Service) -> None:
    request = b"GET http://x/api/v1/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    assert (await service.raw(request)).endswith(HEALTHY)


async def test_an_upgrade_is_not_taken(service: Service) -> None:
    async with service.connection() as (reader, writer):
        writer.write(
            b"GET /api/v1/health HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
            b"sec-websocket-version: 13\r\nsec-websocket-key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
        )
        assert (await read_answer(reader)).body == HEALTHY


async def test_expect_continue(service: Service) -> None:
    """The body is asked for where it is read; where it is not, the connection ends with the reply."""
    head = (
        b"POST /api/v1/processes/web/%b HTTP/1.1\r\n"
        b"host: x\r\ncontent-length: 11\r\nexpect: 100-continue\r\n\r\n"
    )
    async with service.connection() as (reader, writer):
        writer.write(head % b"scale")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b'{"scale":1}')
        assert (await read_answer(reader)).status == 202
    answer = await service.raw(head % b"start")
    assert answer.startswith(b"HTTP/1.1 202 ")
    assert b"connection: close\r\n" in answer


@pytest.mark.parametrize(
    "data",
    [
        b"GET /" + b"x" * API_LIMITS.head_bytes + b" HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nx: " + b"x" * API_LIMITS.head_bytes + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * (API_LIMITS.head_bytes // 6 + 1) + b"\r\n",
        b"GET /" + b"x" * API_LIMITS.head_bytes,
    ],
    ids=["path", "header", "headers", "unfinished"],
)
async def test_head_too_large(service: Service, data: bytes) -> None:
    answer = await service.raw(data)
    assert answer.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("data", [b"", b"GET", b"GET / HTTP/1.1\r\nx", HEALTH + b"GET /"])
async def test_head_too_slow(serve: Serve, monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    limit(monkeypatch, head_s=0.05)
    service = await serve()
    answer = await service.raw(data)
    assert b"HTTP/1.1 408 " in answer
    assert answer.startswith(b"HTTP/1.1 200 ") == data.startswith(HEALTH)


async def test_a_request_in_good_time_has_no_timer(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    limit(monkeypatch, head_s=0.2)
    service = await serve()
    async with service.connection() as (reader, writer):
        writer.write(HEALTH)
        assert (await read_answer(reader)).status == 200
        assert not await _ends_within(reader, 0.4)


async def test_line_ends_between_requests_do_not_hold_a_connection(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(monkeypatch, keep_alive_s=0.2)
    service = await serve()
    async with service.connection() as (reader, writer):
        writer.write(HEALTH)
        assert (await read_answer(reader)).status == 200
        writer.write(b"\r\n")
        assert await asyncio.wait_for(reader.read(), 20) == b""


async def _ends_within(reader: asyncio.StreamReader, seconds: float) -> bool:
    try:
        await asyncio.wait_for(reader.read(1), seconds)
    except TimeoutError:
        return False
    return True


FEW = 16
#: How many of ``FEW`` connections the TCP port has.
OF_TCP = 10


async def fill(service: Service, count: int, stack: contextlib.AsyncExitStack, data: bytes = b"") -> None:
    for _ in range(count):
        _, writer = await stack.enter_async_context(service.connection())
        writer.write(data)


async def test_idle_connections_make_room_in_the_order_of_their_last_request(serve: Serve) -> None:
    service = await serve(api_max_connections=FEW)
    async with (
        service.connection() as first,
        service.connection() as second,
        contextlib.AsyncExitStack() as rest,
    ):
        await fill(service, OF_TCP - 2, rest)
        for reader, writer in (first, second, first):  # the second is idle for longer now
            writer.write(HEALTH)
            assert (await read_answer(reader)).status == 200
        for _ in range(OF_TCP - 1):  # those that have not asked are older
            await rest.enter_async_context(service.connection())
        assert await asyncio.wait_for(second[0].read(), 20) == b""
        first[1].write(HEALTH)
        assert (await read_answer(first[0])).status == 200


async def test_half_a_request_makes_room_too(serve: Serve) -> None:
    service = await serve(api_max_connections=FEW)
    async with service.connection() as slow, contextlib.AsyncExitStack() as rest:
        slow[1].write(b"GET / HTTP/1.1\r\nx")
        await fill(service, OF_TCP - 1, rest, b"GET")
        assert (await service.raw(HEALTH.replace(b"host", b"connection: close\r\nhost"))).endswith(HEALTHY)
        assert await asyncio.wait_for(slow[0].read(), 20) == b""


async def test_with_all_connections_busy_one_more_is_refused(serve: Serve) -> None:
    service = await serve(api_max_connections=FEW)
    async with contextlib.AsyncExitStack() as busy:
        for _ in range(OF_TCP):
            reader, writer = await busy.enter_async_context(service.connection())
            writer.write(b"GET /api/v1/logs/stream HTTP/1.1\r\nhost: x\r\n\r\n")
            await asyncio.wait_for(reader.readuntil(b"retry"), 20)
        answer = await service.raw(b"GET /api/v1/processes HTTP/1.1\r\nhost: x\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nretry-after: 1\r\n" in answer
        assert answer.endswith(b'{"error":"too many connections"}')
        assert (await service.raw(HEALTH)).endswith(HEALTHY), "for probes there is a place"
        assert (await service.unix.get("/api/v1/health")).status_code == 200


async def test_date(service: Service) -> None:
    reply = await service.tcp.get("/api/v1/health")
    assert reply.headers["date"].endswith(" GMT")
    assert "server" not in reply.headers
