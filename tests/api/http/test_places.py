"""Connections above a limit, and the places in which probes are answered nevertheless."""

from __future__ import annotations

import asyncio
import contextlib
from resource import RLIM_INFINITY
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from cbox_init.api.http import places
from cbox_init.api.http.limits import API_LIMITS, PROBE_LIMITS, SOCKET_LIMITS
from cbox_init.api.http.places import Places, address_key, is_this_machine
from tests.api.http.running import DEADLINE_S, closing, echo, get, trusting

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from starlette.types import Receive, Scope, Send

    from tests.api.http.running import Run

HEALTH = get("/api/v1/health")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("10.0.0.1", "::ffff:10.0.0.1", True),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
    ],
)
def test_what_counts_as_one_address(one: str, other: str, same: bool) -> None:
    assert (address_key(one) == address_key(other)) is same


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        *(("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("::ffff:127.0.0.1", True)),
        *(("10.0.0.1", False), ("::2", False), ("::ffff:10.0.0.1", False)),
    ],
)
def test_loopback(host: str, expected: bool) -> None:
    assert is_this_machine(host) is expected


@pytest.mark.parametrize("files", [64, 100, 256, 1024, 1 << 20, RLIM_INFINITY])
def test_descriptors_are_left_to_the_children(monkeypatch: pytest.MonkeyPatch, files: int) -> None:
    monkeypatch.setattr(places, "getrlimit", lambda _: (files, files))
    servers = [
        Places(limits, lambda _: False, lambda _: False)
        for limits in (API_LIMITS, SOCKET_LIMITS, PROBE_LIMITS, PROBE_LIMITS)
    ]
    limit = 1 << 20 if files == RLIM_INFINITY else files
    descriptor = 0
    for one in servers:
        for host in range(2000):  # a client tries again and again, with whatever is left
            if descriptor < limit:
                place = one.admit((f"10.0.{host // 256}.{host % 256}", 1), descriptor)
                assert place
                descriptor += not place.probe
    assert sum(one.taken for one in servers) <= 1024
    # Those of the daemon itself are some twenty.
    assert descriptor <= limit - max(8, min(limit // 4, 32)) and descriptor <= max(limit // 4 + 8, 24)
    assert all(one.taken >= 4 for one in servers), "each port has some"


async def test_one_address_has_no_more_than_its_places(run: Run) -> None:
    """Idle connections of the address make room; where it has none, nothing but a probe is answered."""
    go_on = asyncio.Event()

    async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/wait":
            await go_on.wait()
        await echo(scope, receive, send)

    running = run(waiting, per_address=5, exempt=lambda _: False)
    idle = [await running.connect() for _ in range(5)]
    await running.until(lambda: running.server.connections == 5)
    assert (await running.raw(closing(get()))).startswith(b"HTTP/1.1 200 ")
    assert await asyncio.wait_for(idle[0][0].read(), DEADLINE_S) == b"", "the oldest idle one"
    for _, writer in idle:
        writer.close()
    await running.until(lambda: running.server.connections == 0)

    busy = [await running.connect() for _ in range(5)]
    for _, writer in busy:
        writer.write(closing(get("/wait")))
    await running.until(lambda: len(running.connections) == 5)
    await running.until(lambda: not running.server._connections.idle)
    refused = await running.raw(get())
    assert refused.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nretry-after: 1\r\n" in refused
    assert refused.endswith(b'{"error":"too many connections"}')
    probe = await running.raw(HEALTH)
    assert probe.startswith(b"HTTP/1.1 200 ")
    assert b"\r\nconnection: close\r\n" in probe
    with_body = b"POST /api/v1/health HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello"
    assert (await running.raw(with_body)).startswith(b"HTTP/1.1 503 ")
    go_on.set()
    for reader, writer in busy:
        assert (await asyncio.wait_for(reader.read(), DEADLINE_S)).startswith(b"HTTP/1.1 200 ")
        writer.close()
    await running.until(lambda: running.server.connections == 0)
    assert running.server._connections.places.taken == 0
    assert running.server._connections.places._by_address == {}
    assert running.server._connections.places._probes == {}


async def test_a_flood_from_one_address_is_refused_before_anything_is_set_up(run: Run) -> None:
    """It would go round and round otherwise, each connection in the place of the one before it."""
    running = run(echo, per_address=5, exempt=lambda _: False)
    held = [await running.connect() for _ in range(5)]
    slow = closing(b"GET /api/v1/health HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n")
    statuses = []
    for _ in range(100):
        reader, writer = await running.connect()
        writer.write(slow)
        held.append((reader, writer))
    for reader, writer in held[5:]:
        with contextlib.suppress(ConnectionError, TimeoutError):  # a few are let in
            statuses.append(await asyncio.wait_for(reader.read(13), 0.2))
        writer.transport.abort()
    assert len(statuses) >= 50, "most are refused at once"
    assert set(statuses) <= {b"HTTP/1.1 503 ", b""}
    for _, writer in held[:5]:
        writer.close()


async def test_addresses_that_are_exempt(run: Run) -> None:
    running = run(echo, per_address=2)
    several = [await running.connect() for _ in range(10)]
    await running.until(lambda: running.server.connections == 10)
    for _, writer in several:
        writer.close()


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
async def test_probes_come_through_whatever_holds_the_connections(
    run: Run, tls: Callable[[], ssl.SSLContext], secure: bool
) -> None:
    """All places are held by requests that never end, and the places of probes by silent connections."""
    go_on = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/wait":
            await go_on.wait()
        await echo(scope, receive, send)

    running = run(app, connections=16, tls=tls if secure else None)
    options = {"ssl": trusting()} if secure else {}
    held = []
    for _ in range(10):  # five eighths
        connection = await running.connect(**options)
        connection[1].write(closing(get("/wait")))
        held.append(connection)
    await running.until(lambda: sum(bool(one._queue) for one in running.connections) == 10)
    silent = [await running.connect() for _ in range(60)]
    for _ in range(5):
        reader, writer = await running.connect(**options)
        writer.write(HEALTH)
        assert (await asyncio.wait_for(reader.read(), DEADLINE_S)).startswith(b"HTTP/1.1 200 ")
        writer.close()
    assert running.server.connections + len(running.server._connections.handshakes) <= 10 + 16
    go_on.set()
    for reader, writer in held:
        assert (await asyncio.wait_for(reader.read(), DEADLINE_S)).startswith(b"HTTP/1.1 200 ")
        writer.close()
    for _, writer in silent:
        writer.close()


async def test_slow_bodies_of_answered_requests_make_room(run: Run) -> None:
    """Slow health requests: each is answered, and goes on sending a body that nobody reads."""

    async def health(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"ok"})

    running = run(health, connections=64)
    slow = []
    for _ in range(200):
        reader, writer = await running.connect()
        writer.write(b"GET /api/v1/health HTTP/1.1\r\nhost: x\r\ncontent-length: 60000\r\n\r\nx")
        slow.append((reader, writer))
    await running.until(lambda: running.server.connections >= 40)
    assert (await running.raw(closing(get("/other")))).startswith(b"HTTP/1.1 200 ")
    assert running.server.connections <= 40 + 16
    for _, writer in slow:
        writer.close()


async def test_a_client_that_takes_nothing_makes_room_when_it_is_needed(run: Run) -> None:
    async def large(scope: Scope, receive: Receive, send: Send) -> None:
        size = 20_000_000 if scope["path"] == "/large" else 10
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"x" * size})

    running = run(large, connections=16, stalled_s=0.2, memory_bytes=1 << 30)
    held = []
    for _ in range(10):
        _, writer = await running.connect()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(get("/large"))
        held.append(writer)
    await running.until(lambda: sum(one.congested for one in running.connections) == 10)
    answers = b""
    async with asyncio.timeout(DEADLINE_S):
        while not answers.startswith(b"HTTP/1.1 200 "):
            answers = await running.raw(closing(get("/small")))
    assert running.server.connections >= 8, "only as many as are needed"
    for writer in held:
        writer.transport.abort()


async def test_a_probe_has_little_time(run: Run) -> None:
    running = run(echo, connections=16, probe_head_s=0.2, per_address=1, exempt=lambda _: False)
    _, holder = await running.connect()
    holder.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n")
    await running.until(lambda: any(one._queue for one in running.connections))
    assert (await running.raw(b"")).startswith(b"HTTP/1.1 408 ")
    holder.close()


def test_limits_of_a_port_are_shares_of_all() -> None:
    shares = [limits.eighths for limits in (API_LIMITS, SOCKET_LIMITS, PROBE_LIMITS, PROBE_LIMITS)]
    assert sum(shares) == 8
    assert replace(API_LIMITS).connections == 1024
