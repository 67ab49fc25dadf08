"""Those who follow: the quick miss nothing, the slow are told what they missed, nobody waits for them."""

from __future__ import annotations

import asyncio

from cbox_init.logs.levels import Level
from cbox_init.logs.record import Block, Record, Source
from cbox_init.logs.subscription import Missed, Subscription

WEB = Source("web", "web-0", "stdout")
API = Source("api", "api-0", "stdout")


def subscription(
    processes: list[str] | None = None, min_level: Level | None = None, backlog_bytes: int = 1000
) -> Subscription:
    return Subscription(processes, min_level, lambda _: None, backlog_bytes)


def block(data: bytes, source: Source = WEB, level: Level = Level.INFO) -> Block:
    return Block(0, source, level, data)


async def take(subscription: Subscription, count: int) -> list[str]:
    items = [await anext(subscription) for _ in range(count)]
    return [item.message if isinstance(item, Record) else f"missed {item.count}" for item in items]


async def test_a_reader_gets_what_comes_while_it_waits() -> None:
    with subscription() as follow:
        reading = asyncio.create_task(take(follow, 3))
        await asyncio.sleep(0)
        follow.offer(block(b"one\ntwo"))
        follow.offer(block(b"three"))
        assert await reading == ["one", "two", "three"]


async def test_a_slow_reader_is_told_how_many_records_it_missed() -> None:
    with subscription(backlog_bytes=500) as follow:
        follow.offer(block(b"first\nsecond"))
        assert await take(follow, 1) == ["first"]
        for number in range(10):
            follow.offer(block(b"a%d\nb%d" % (number, number)))
        # What the reader had begun comes to its end; then the gap, then what the backlog could hold.
        assert await take(follow, 2) == ["second", "missed 14"]
        assert await take(follow, 6) == ["a7", "b7", "a8", "b8", "a9", "b9"]
        follow.offer(block(b"later"))
        assert await take(follow, 1) == ["later"]


async def test_only_what_was_asked_for() -> None:
    with subscription(["api"], Level.WARN) as follow:
        follow.offer(block(b"other process", WEB, Level.ERROR))
        follow.offer(block(b"other level", API, Level.INFO))
        follow.offer(block(b"mine", API, Level.WARN))
        assert await take(follow, 1) == ["mine"]


async def test_closing_ends_the_iteration_for_a_reader_that_waits() -> None:
    follow = subscription()

    async def read() -> list[Record | Missed]:
        return [item async for item in follow]

    reading = asyncio.create_task(read())
    await asyncio.sleep(0)
    follow.close()
    follow.close()
    assert await reading == []


async def test_a_reader_that_is_cancelled_can_read_again() -> None:
    with subscription() as follow:
        reading = asyncio.create_task(take(follow, 1))
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait([reading])
        follow.offer(block(b"still here"))
        assert await take(follow, 1) == ["still here"]
