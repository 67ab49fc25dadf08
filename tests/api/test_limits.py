"""The rate limit: pure, and over sockets."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from cbox_init.api.guards import RateLimit
from cbox_init.token_buckets import TokenBuckets

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

    from tests.api.service import Serve

HEALTH = "/api/v1/health"


def test_burst_then_rate() -> None:
    buckets = TokenBuckets(rate=10, burst=5)
    assert [buckets.take("a", 100.0) for _ in range(5)] == [0.0] * 5
    assert round(buckets.take("a", 100.0), 6) == 0.1
    assert round(buckets.take("a", 100.05), 6) == 0.05
    assert buckets.take("a", 100.1) == 0.0
    assert buckets.take("a", 100.1) > 0


def test_refused_requests_cost_nothing() -> None:
    buckets = TokenBuckets(rate=1, burst=1)
    assert buckets.take("a", 0.0) == 0.0
    for _ in range(1000):
        assert buckets.take("a", 0.5) > 0
    assert buckets.take("a", 1.0) == 0.0


def test_recovery_is_to_the_burst_and_not_beyond() -> None:
    buckets = TokenBuckets(rate=10, burst=5)
    for _ in range(5):
        buckets.take("a", 0.0)
    later = 1_000_000.0
    assert [buckets.take("a", later) == 0.0 for _ in range(7)] == [True] * 5 + [False] * 2


def test_addresses_do_not_share() -> None:
    buckets = TokenBuckets(rate=1, burst=1)
    assert buckets.take("a", 0.0) == 0.0
    assert buckets.take("b", 0.0) == 0.0
    assert buckets.take("a", 0.0) > 0


def test_a_burst_of_zero_still_lets_one_through() -> None:
    assert TokenBuckets(rate=1, burst=0).take("a", 0.0) == 0.0


def test_memory_is_bounded() -> None:
    buckets = TokenBuckets(rate=0.001, burst=1, most_keys=100)
    for address in range(10_000):
        buckets.take(str(address), 0.0)
    assert len(buckets) <= 100


def test_full_buckets_are_let_go_of_when_others_ask() -> None:
    buckets = TokenBuckets(rate=10, burst=5)
    for address in range(1000):
        buckets.take(str(address), 0.0)
    for n in range(1000):
        buckets.take("one", 10.0 + n)
    assert len(buckets) == 1


@settings(deadline=None)
@given(
    rate=st.floats(0.1, 1e6),
    burst=st.integers(1, 1000),
    steps=st.lists(st.floats(0, 10), min_size=1, max_size=200),
)
def test_never_more_than_burst_and_rate(rate: float, burst: int, steps: list[float]) -> None:
    buckets = TokenBuckets(rate, burst)
    now = 0.0
    for taken, step in enumerate(steps, start=1):
        now += step
        wait_s = buckets.take("a", now)
        if wait_s:
            assert buckets.take("a", now + wait_s * 1.001 + 1e-6) == 0.0
            return
        assert taken <= burst + rate * now + 1


async def test_too_many_requests(serve: Serve) -> None:
    service = await serve(api_rate_limit=1, api_rate_burst=5)
    replies = [await service.tcp.get(HEALTH) for _ in range(8)]
    refused = [reply for reply in replies if reply.status_code == 429]
    assert [reply.status_code for reply in replies[:5]] == [200] * 5
    assert len(refused) >= 2
    assert refused[0].content == b'{"error":"rate limit exceeded"}'
    assert refused[0].headers["retry-after"] == "1"


async def test_addresses_of_ipv6_count_by_their_64() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})

    async def receive() -> Message:
        raise AssertionError

    async def status_of(address: str) -> int:
        seen: list[int] = []

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen.append(message["status"])

        await limit({"client": (address, 1), "path": "/"}, receive, send)
        return seen[0]

    limit = RateLimit(app, rate=0.1, burst=2, clock=lambda: 0.0)
    assert [await status_of(f"2001:db8::{n}") for n in range(4)] == [200, 200, 429, 429]
    assert await status_of("2001:db8:0:1::1") == 200
    assert [await status_of(one) for one in ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1")] == [200, 200, 429]


async def test_a_probe_is_answered_beside_a_busy_client(serve: Serve) -> None:
    service = await serve(api_rate_limit=0.01, api_rate_burst=2)
    statuses = [(await service.tcp.get("/api/v1/processes")).status_code for _ in range(4)]
    assert statuses == [200, 200, 429, 429]
    assert [(await service.tcp.get(HEALTH)).status_code for _ in range(3)] == [200, 200, 429]


async def test_recovery(serve: Serve) -> None:
    service = await serve(api_rate_limit=20, api_rate_burst=1)
    assert (await service.tcp.get(HEALTH)).status_code == 200
    async with asyncio.timeout(5):
        while (await service.tcp.get(HEALTH)).status_code != 200:
            pass


async def test_a_wrong_token_counts_too(serve: Serve) -> None:
    service = await serve(api_auth="sesame", api_rate_limit=0.1, api_rate_burst=3)
    statuses = [(await service.tcp.get("/api/v1/processes")).status_code for _ in range(5)]
    assert statuses == [401] * 3 + [429] * 2


async def test_the_unix_socket_has_no_limit(serve: Serve) -> None:
    service = await serve(api_rate_limit=1, api_rate_burst=1)
    replies = await asyncio.gather(*(service.unix.get(HEALTH) for _ in range(50)))
    assert {reply.status_code for reply in replies} == {200}


async def test_zero_is_off(serve: Serve) -> None:
    service = await serve(api_rate_limit=0, api_rate_burst=1)
    replies = await asyncio.gather(*(service.tcp.get(HEALTH) for _ in range(50)))
    assert {reply.status_code for reply in replies} == {200}
