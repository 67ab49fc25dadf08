"""How the turns of the event loop are shared among clients."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import pytest

from cbox_init.api.http.plain import PlainHandler, PlainReply
from cbox_init.api.http.turns import LEAST_WORK_S, TURN_S, ClientTurns
from tests.api.http.running import DEADLINE_S, Log, Running, closing, get, trusting

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable


class Loop:
    """A clock that work moves, and turns that are taken one by one."""

    def __init__(self) -> None:
        self.now = 100.0
        self.soon: list[Callable[[], None]] = []

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.soon.append(callback)

    def turn(self) -> bool:
        """Take a turn; False when there is nothing to do in it."""
        due, self.soon = self.soon, []
        for callback in due:
            callback()
        return bool(due)


class Clients:
    """Work that takes 1 ms each time, and who had it done in which turn."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.turns = ClientTurns(cast("asyncio.AbstractEventLoop", self.loop), self.loop.time)
        self.done: list[list[str]] = [[]]

    def ask(self, address: str, takes_s: float = 0.001) -> None:
        self.turns.do(address, partial(self._work, address, takes_s))

    def _work(self, address: str, takes_s: float) -> None:
        self.loop.now += takes_s
        self.done[-1].append(address)

    def run(self) -> None:
        while self.loop.soon:
            self.done.append([])
            self.loop.turn()


def test_what_is_above_the_budget_of_a_turn_waits() -> None:
    clients = Clients()
    for _ in range(12):
        clients.ask("a")
    clients.run()
    assert [len(one) for one in clients.done if one] == [5, 5, 2]
    clients.ask("a")
    assert clients.done[-1] == ["a"]  # at once again


def test_addresses_have_their_place_one_after_another() -> None:
    clients = Clients()
    for _ in range(1000):
        clients.ask("flood")
    clients.ask("good")
    clients.ask("other")
    clients.run()
    waited = clients.done[1]
    assert "good" in waited
    assert "other" in waited
    assert sum(map(len, clients.done)) == 1002


def test_work_of_one_address_keeps_its_order() -> None:
    clients = Clients()
    order: list[int] = []

    def work(number: int) -> None:
        clients.loop.now += 0.002
        order.append(number)

    for number in range(20):
        clients.turns.do("a", partial(work, number))
    clients.run()
    assert order == list(range(20))


def test_each_piece_counts_however_short_it_is() -> None:
    clients = Clients()
    done: list[None] = []
    for _ in range(1000):
        clients.turns.do("a", partial(done.append, None))
    assert len(done) <= TURN_S / LEAST_WORK_S + 1
    clients.run()
    assert len(done) == 1000


def test_while_turns_are_long_less_is_done_in_each() -> None:
    clients = Clients()
    for _ in range(100):
        clients.ask("a")

    def other_work() -> None:
        clients.loop.now += 0.1

    counts = []
    for _ in range(8):
        clients.loop.call_soon(other_work)
        clients.done.append([])
        clients.loop.turn()
        counts.append(len(clients.done[-1]))
    assert counts[-1] == 1
    clients.run()
    assert max(len(one) for one in clients.done[-10:]) == 5


def test_work_that_fails_holds_up_no_other() -> None:
    clients = Clients()
    for _ in range(6):
        clients.ask("a")
    clients.turns.do("broken", lambda: 1 / 0)
    clients.ask("a")
    failures = 0
    while clients.loop.soon:
        try:
            clients.loop.turn()
        except ZeroDivisionError:
            failures += 1
    assert failures == 1
    assert sum(map(len, clients.done)) == 7


class RealLoop:
    """The running loop, with a clock that work moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.turn = 0
        self.loop = asyncio.get_running_loop()
        self.create_future = self.loop.create_future
        self.call_soon = self.loop.call_soon
        self._count()

    def time(self) -> float:
        return self.now

    def _count(self) -> None:
        self.turn += 1
        self._next = self.loop.call_soon(self._count)

    def close(self) -> None:
        self._next.cancel()


async def test_tasks_wait_for_a_turn_that_has_time_left() -> None:
    loop = RealLoop()
    turns = ClientTurns(cast("asyncio.AbstractEventLoop", loop), loop.time)
    done: list[tuple[int, str]] = []

    async def work(address: str) -> None:
        for _ in range(2):
            loop.now += 0.004
            done.append((loop.turn, address))
            await asyncio.sleep(0)

    async def request(address: str) -> None:
        if turns.overdrawn:
            await turns.wait(address)
        await turns.measured(work(address))

    flood = [asyncio.create_task(request("flood")) for _ in range(200)]
    await asyncio.sleep(0)
    good = asyncio.create_task(request("good"))
    ended = asyncio.create_task(request("flood"))
    await asyncio.sleep(0)
    ended.cancel()
    await good
    assert len(done) < 40
    assert (await asyncio.gather(*flood, ended, return_exceptions=True)).count(None) == 200
    assert len(done) == 402
    loop.close()


async def test_many_tasks_that_wait_all_have_their_turn() -> None:
    """More than a turn could wake, if that were all that it did."""
    loop = RealLoop()
    turns = ClientTurns(cast("asyncio.AbstractEventLoop", loop), loop.time)
    done = 0

    async def work() -> None:
        nonlocal done
        loop.now += 0.001
        done += 1

    async def request() -> None:
        if turns.overdrawn:
            await turns.wait("one")
        await turns.measured(work())

    before = loop.turn
    await asyncio.gather(*(request() for _ in range(2_000)))
    assert done == 2_000
    assert loop.turn - before < 4_000
    loop.close()


async def test_what_is_measured_is_as_without() -> None:
    turns = ClientTurns(asyncio.get_running_loop())

    async def result() -> int:
        await asyncio.sleep(0)
        return 5

    async def fails() -> None:
        await asyncio.sleep(0)
        raise ZeroDivisionError

    async def times_out() -> str:
        try:
            async with asyncio.timeout(0):
                await asyncio.sleep(DEADLINE_S)
        except TimeoutError:
            return "timed out"
        return "slept"

    assert await turns.measured(result()) == 5
    with pytest.raises(ZeroDivisionError):
        await turns.measured(fails())
    assert await turns.measured(times_out()) == "timed out"

    async def sleeps() -> None:
        await turns.measured(asyncio.sleep(DEADLINE_S))

    task = asyncio.create_task(sleeps())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


class Counted:
    """A server whose answers are counted by the turn of the event loop in which they are made."""

    def __init__(self, tls: Callable[[], ssl.SSLContext] | None = None, **limits: Any) -> None:
        self.turn = 0
        self.answers: dict[int, int] = {}
        log = Log()
        handler = PlainHandler({b"/": self._answer}, log)
        self.running = Running(handler, log, tls, **limits)
        self._count()

    def _count(self) -> None:
        self.turn += 1
        self._next = asyncio.get_running_loop().call_soon(self._count)

    def _answer(self) -> PlainReply:
        self.answers[self.turn] = self.answers.get(self.turn, 0) + 1
        return PlainReply(200, b"ok")

    async def close(self) -> None:
        self._next.cancel()
        await self.running.server.close(1)
        self.running.listener.close()


async def test_requests_that_come_at_once_take_many_turns() -> None:
    """Two turns of the counter can lie in one of the loop's, which has the work of one budget."""
    counted = Counted()
    number = 3_000
    reader, writer = await counted.running.connect()
    writer.write(get() * number + closing(get()))
    answers = (await asyncio.wait_for(reader.read(), DEADLINE_S)).count(b"HTTP/1.1 200 ")
    assert answers == number + 1
    most = TURN_S / LEAST_WORK_S + 1
    assert max(counted.answers.values()) <= 2 * most
    writer.close()
    await counted.close()


async def test_connections_that_ask_at_once_share_a_turn() -> None:
    counted = Counted()
    clients = [await counted.running.connect() for _ in range(60)]
    for _, writer in clients:
        writer.write(get() * 20 + closing(get()))
    for reader, writer in clients:
        got = await asyncio.wait_for(reader.read(), DEADLINE_S)
        assert got.count(b"HTTP/1.1 200 ") == 21
        writer.close()
    assert max(counted.answers.values()) <= 2 * (TURN_S / LEAST_WORK_S + 1)
    await counted.close()


async def test_a_connection_that_ends_while_its_request_waits_harms_nobody() -> None:
    counted = Counted()
    clients = [await counted.running.connect() for _ in range(60)]
    for _, writer in clients:
        writer.write(get() * 30)
        await writer.drain()
    for _, writer in clients[::2]:
        writer.transport.abort()
    for reader, writer in clients[1::2]:
        writer.write(closing(get()))
        got = await asyncio.wait_for(reader.read(), DEADLINE_S)
        assert got.count(b"HTTP/1.1 200 ") == 31
        writer.close()
    await counted.running.until(lambda: counted.running.server.connections == 0)
    await counted.close()


async def test_a_client_that_has_sent_all_is_answered_when_its_turn_has_come() -> None:
    counted = Counted()
    clients = [await counted.running.connect() for _ in range(20)]
    for _, writer in clients:
        writer.write(get() * 200)
        writer.write_eof()
    for reader, writer in clients:
        got = await asyncio.wait_for(reader.read(), DEADLINE_S)
        assert got.count(b"HTTP/1.1 200 ") == 200
        writer.close()
    await counted.running.until(lambda: counted.running.server.connections == 0)
    await counted.close()


async def test_handshakes_of_tls_share_a_turn(
    tls: Callable[[], ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    from cbox_init.api.http.tls import TlsTransport

    counted = Counted(tls)
    shake_hands, steps = TlsTransport._shake_hands, 0.0

    def slow(transport: TlsTransport) -> bool:
        """As with a key that takes all of a turn."""
        nonlocal steps
        steps += 1
        assert turns.left > 0
        turns.left = 0
        return shake_hands(transport)

    turns = counted.running.server._connections.turns
    monkeypatch.setattr(TlsTransport, "_shake_hands", slow)

    async def ask() -> bytes:
        reader, writer = await counted.running.connect(ssl=trusting())
        writer.write(closing(get()))
        got = await asyncio.wait_for(reader.read(), DEADLINE_S)
        writer.close()
        return got

    for got in await asyncio.gather(*(ask() for _ in range(20))):
        assert got.startswith(b"HTTP/1.1 200 ")
    assert steps >= 40
    await counted.close()
