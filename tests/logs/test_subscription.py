"""Those who follow: the quick miss nothing, the slow are told what they missed, nobody waits for them."""

from __future__ import annotations

import asyncio
import itertools

from cbox_init.config.model.enums import LogLevel
from cbox_init.logs.filter import LogFilter, TextSearch
from cbox_init.logs.past import BlockSlice, Position
from cbox_init.logs.record import Block, RecordSource
from cbox_init.logs.ring import NumberedBlock
from cbox_init.logs.subscription import BACKLOG_BYTES, Missed, Subscription

EVERYTHING = LogFilter()
WEB = RecordSource("web", "web-0", "stdout")

_numbers = itertools.count(1)


def subscription(chosen: LogFilter = EVERYTHING, backlog_bytes: int = 2000) -> Subscription:
    return Subscription(chosen, lambda _: None, backlog_bytes)


def block(data: bytes) -> NumberedBlock:
    return NumberedBlock(next(_numbers), Block(0, WEB, LogLevel.INFO, data))


def taken(follow: Subscription) -> list[str]:
    """What can be taken now."""
    lines: list[str] = []
    while (item := follow.take()) is not None:
        if isinstance(item, Missed):
            lines.append(f"missed {item.count}")
        else:
            found = follow.chosen.lines(item.entry.block, item.start)
            lines += [record.message for _, record in found]
    return lines


async def test_a_reader_gets_what_comes_while_it_waits() -> None:
    with subscription() as follow:
        waiting = asyncio.create_task(follow.wait(60))
        await asyncio.sleep(0)
        follow.offer(block(b"one\ntwo"))
        follow.offer(block(b"three"))
        await asyncio.wait_for(waiting, 10)
        assert taken(follow) == ["one", "two", "three"]
        assert (follow.pending, follow.size) == (False, 0)


async def test_waiting_has_its_time() -> None:
    with subscription() as follow:
        await asyncio.wait_for(follow.wait(0.01), 10)
        assert not follow.pending
        follow.offer(block(b"there"))
        await asyncio.wait_for(follow.wait(3600), 10)


async def test_gathering_has_its_time_and_leaves_what_came() -> None:
    with subscription() as follow:
        gathering = asyncio.create_task(follow.gather(0.05))
        await asyncio.sleep(0)
        follow.offer(block(b"one"))
        await asyncio.sleep(0)
        assert not gathering.done()
        await asyncio.wait_for(gathering, 10)
        assert taken(follow) == ["one"]


async def test_much_ends_gathering_and_so_does_the_end() -> None:
    with subscription(backlog_bytes=BACKLOG_BYTES) as follow:
        gathering = asyncio.create_task(follow.gather(3600))
        await asyncio.sleep(0)
        follow.offer(block(b"one"))
        await asyncio.sleep(0)
        assert not gathering.done()
        follow.offer(block(b"x" * (BACKLOG_BYTES // 4)))
        await asyncio.wait_for(gathering, 10)
        await asyncio.wait_for(follow.gather(3600), 10)
        assert len(taken(follow)) == 2
        gathering = asyncio.create_task(follow.gather(3600))
        await asyncio.sleep(0)
        follow.end()
        await asyncio.wait_for(gathering, 10)
        await asyncio.wait_for(follow.gather(3600), 10)


async def test_a_wait_after_gathering_ends_with_the_first_block() -> None:
    with subscription() as follow:
        await follow.gather(0)
        waiting = asyncio.create_task(follow.wait(3600))
        await asyncio.sleep(0)
        follow.offer(block(b"one"))
        await asyncio.wait_for(waiting, 10)


async def test_a_slow_reader_is_told_how_many_records_it_missed() -> None:
    with subscription(backlog_bytes=1000) as follow:
        follow.offer(block(b"first\nsecond"))
        assert taken(follow) == ["first", "second"]
        blocks = [block(b"a%d\nb%d" % (number, number)) for number in range(10)]
        for one in blocks:
            follow.offer(one)
        assert follow.size <= 1000
        missed = follow.take()
        assert missed == Missed(14, Position(blocks[7].number))
        assert taken(follow) == ["a7", "b7", "a8", "b8", "a9", "b9"]
        follow.offer(block(b"later"))
        assert taken(follow) == ["later"]


async def test_only_lines_that_were_wanted_are_missed() -> None:
    with subscription(LogFilter(text=TextSearch.of("b")), 1000) as follow:
        for number in range(10):
            follow.offer(block(b"a%d\nb%d" % (number, number)))
        assert taken(follow) == ["missed 7", "b7", "b8", "b9"]


async def test_the_number_of_missed_lines_may_be_unknown() -> None:
    with subscription(LogFilter(text=TextSearch.of("b")), 1000) as follow:
        for data in [b"b"] * 3 + [b"b\xff"] + [b"b"] * 20:
            follow.offer(block(data))
        assert taken(follow)[0] == "missed None"
        for _ in range(20):
            follow.offer(block(b"b" * 100))
        assert taken(follow)[0].removeprefix("missed ").isdigit()
        assert not follow.pending


async def test_what_was_there_before_comes_first() -> None:
    """And is not dropped for what comes meanwhile."""
    old = [BlockSlice(block(b"old\nolder lines"), 1), BlockSlice(block(b"x" * 3000))]
    with subscription(backlog_bytes=1000) as follow:
        for _ in range(5):
            follow.offer(block(b"new"))
        follow.begin_with(old, Missed(None, Position(1)))
        assert follow.size > 3000
        assert taken(follow) == ["missed None", "older lines", "x" * 3000, "missed 2", "new", "new", "new"]


async def test_the_end_leaves_what_is_there() -> None:
    with subscription() as follow:
        follow.offer(block(b"last"))
        follow.end()
        follow.end()
        await asyncio.wait_for(follow.wait(3600), 10)
        assert (taken(follow), follow.ended) == (["last"], True)


async def test_closing_wakes_a_reader_that_waits_and_lets_go() -> None:
    follow = subscription()
    waiting = asyncio.create_task(follow.wait(3600))
    await asyncio.sleep(0)
    follow.close()
    await asyncio.wait_for(waiting, 10)
    follow.close()
    assert (taken(follow), follow.ended) == ([], True)

    late = subscription()
    late.begin_with([BlockSlice(block(b"before"))])
    late.offer(block(b"here"))
    late.close()
    assert (taken(late), late.size) == ([], 0)


async def test_a_reader_that_is_cancelled_can_read_again() -> None:
    with subscription() as follow:
        waiting = asyncio.create_task(follow.wait(3600))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        follow.offer(block(b"still here"))
        await asyncio.wait_for(follow.wait(3600), 10)
        assert taken(follow) == ["still here"]
