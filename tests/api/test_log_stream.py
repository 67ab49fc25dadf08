"""Lines as they come."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from math import inf
from typing import TYPE_CHECKING, NamedTuple

import httpx
import pytest

from cbox_init.api import waiting
from cbox_init.api.log_feed import Feed
from cbox_init.api.routes import log_stream
from cbox_init.logs.past import StartCollector
from cbox_init.logs.subscription import BACKLOG_BYTES
from tests.api.test_logs import TIME
from tests.logs.conftest import PeakMemory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from cbox_init.logs.ring import NumberedBlock
    from tests.api.service import Serve, Service

STREAM = "/api/v1/logs/stream"


def speaker(name: str, folder: Path) -> str:
    """A process that says what is written into its pipe."""
    return f"\n  {name}: {{command: [sh, -c, 'exec cat <> {folder}/{name}']}}"


class Speakers:
    def __init__(self, service: Service, folder: Path) -> None:
        self.service = service
        self._folder = folder

    def say(self, name: str, text: str) -> None:
        with open(self._folder / name, "w") as pipe:
            pipe.write(text + "\n")


@pytest.fixture
async def speakers(serve: Serve, tmp_path: Path) -> Speakers:
    for name in ("one", "two"):
        os.mkfifo(tmp_path / name)
    service = await serve(speaker("one", tmp_path) + speaker("two", tmp_path))
    await service.house.until(lambda: service.house.pids("one") and service.house.pids("two"))
    return Speakers(service, tmp_path)


class Event(NamedTuple):
    """An event off the wire; ``id`` is that of the last one that had one, as a browser keeps it."""

    name: str
    data: dict[str, object]
    id: str

    @property
    def message(self) -> object:
        return self.data["message"]


async def events(response: httpx.Response) -> AsyncIterator[Event]:
    name = last_id = ""
    async for line in response.aiter_lines():
        field, _, value = line.partition(": ")
        if field == "id":
            last_id = value
        elif field == "event":
            name = value
        elif field == "data":
            yield Event(name, json.loads(value), last_id)


async def next_event(stream: AsyncIterator[Event]) -> Event:
    return await asyncio.wait_for(anext(stream), 20)


async def read(service: Service, query: str = "", *, last_id: str = "", until: str = "end") -> list[Event]:
    """The events of a new stream up to the line ``until``."""
    headers = {b"Last-Event-ID": last_id.encode()} if last_id else {}
    seen: list[Event] = []
    async with service.unix.stream("GET", f"{STREAM}?{query}", headers=headers) as response:
        assert response.status_code == 200
        stream = events(response)
        while not seen or seen[-1].data.get("message") != until:
            seen.append(await next_event(stream))
    return seen


def messages(seen: list[Event]) -> list[object]:
    return [event.message for event in seen]


@pytest.mark.parametrize("door", ["unix", "tcp"])
async def test_lines_come_as_they_are_written(speakers: Speakers, door: str) -> None:
    client = getattr(speakers.service, door)
    async with client.stream("GET", STREAM) as response:
        assert response.headers["content-type"] == "text/event-stream"
        assert response.headers["cache-control"] == "no-cache"
        stream = events(response)
        speakers.say("one", "hello")
        name, log, _ = await next_event(stream)
        assert name == "log"
        speakers.service.contract.validate_as("LogEntry", log)
        assert list(log) == ["timestamp", "process", "instance", "stream", "level", "message"]
        assert (log["process"], log["instance"], log["message"]) == ("one", "one-0", "hello")
        speakers.say("two", "there")
        assert (await next_event(stream)).message == "there"


async def test_only_the_processes_asked_for(speakers: Speakers) -> None:
    async with speakers.service.unix.stream("GET", f"{STREAM}?process=two") as response:
        stream = events(response)
        speakers.say("one", "no")
        speakers.say("two", "yes")
        assert (await next_event(stream)).message == "yes"


async def test_several_processes(speakers: Speakers) -> None:
    async with speakers.service.unix.stream("GET", f"{STREAM}?process=two&process=one") as response:
        stream = events(response)
        for name in ("one", "two"):
            speakers.say(name, "hear")
            assert (await next_event(stream)).data["process"] == name


async def test_a_reader_that_fails_ends_alone(speakers: Speakers, monkeypatch: pytest.MonkeyPatch) -> None:
    chunk = Feed.chunk

    def broken(feed: Feed) -> bytes:
        if feed._lines.chosen.processes == frozenset(("one",)):
            raise ZeroDivisionError
        return chunk(feed)

    async with (
        speakers.service.unix.stream("GET", f"{STREAM}?process=one") as failing,
        speakers.service.unix.stream("GET", STREAM) as good,
    ):
        lines, lost = events(good), events(failing)
        speakers.say("one", "before")
        assert (await next_event(lost)).message == "before"
        assert (await next_event(lines)).message == "before"
        monkeypatch.setattr(Feed, "chunk", broken)
        speakers.say("one", "hello")
        with pytest.raises(httpx.RemoteProtocolError):
            await next_event(lost)
        assert (await next_event(lines)).message == "hello"
        speakers.say("two", "there")
        assert (await next_event(lines)).message == "there"
    told = [message for message in speakers.service.house.messages() if "a request failed" in message]
    assert len(told) == 1
    await speakers.service.house.until(lambda: speakers.service.house.logs.figures.subscribers == 0)


async def test_unknown_process(speakers: Speakers) -> None:
    reply = await speakers.service.unix.get(f"{STREAM}?process=one&process=nobody")
    assert (reply.status_code, reply.json()) == (404, {"error": "process not found: nobody"})


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("level=loud", "level must be one of debug, info, warn, error, not 'loud'"),
        ("tail=-1", "tail must be a whole number from 0 to 10000, not '-1'"),
        ("tail=10001", "tail must be a whole number from 0 to 10000, not '10001'"),
        ("since=now", f"since {TIME} 'now'"),
        ("until=5m", "until has no meaning here: a stream has no end; use /logs"),
    ],
)
async def test_what_is_wrong_is_said(speakers: Speakers, query: str, error: str) -> None:
    reply = await speakers.service.unix.get(f"{STREAM}?{query}")
    assert (reply.status_code, reply.json()) == (400, {"error": error})


async def test_head_does_not_wait(speakers: Speakers) -> None:
    reply = await speakers.service.unix.head(STREAM)
    assert (reply.status_code, reply.content) == (200, b"")


async def test_keepalive(speakers: Speakers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_stream, "KEEPALIVE_S", 0.05)
    run = speakers.service.house.logs.run
    async with speakers.service.unix.stream("GET", f"{STREAM}?process=two") as response:
        chunks = response.aiter_raw()
        assert await asyncio.wait_for(anext(chunks), 20) == f"retry: 2000\nid: {run}-1-0\n\n".encode()
        for _ in range(3):
            assert await asyncio.wait_for(anext(chunks), 20) == b": keepalive\n\n"
        # What it does not want has moved the place from which it would go on.
        speakers.say("one", "for others")
        await speakers.service.house.until(lambda: speakers.service.house.lines("one"))
        moved = f": keepalive\nid: {run}-2-0\n\n".encode()
        while (chunk := await asyncio.wait_for(anext(chunks), 20)) != moved:
            assert chunk == b": keepalive\n\n"
        assert await asyncio.wait_for(anext(chunks), 20) == b": keepalive\n\n"


async def test_keepalive_comes_among_lines_too(speakers: Speakers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_stream, "KEEPALIVE_S", 0.05)
    async with speakers.service.unix.stream("GET", STREAM) as response:
        lines = response.aiter_lines()
        seen = 0
        while seen < 3:
            speakers.say("one", "busy")
            seen += await asyncio.wait_for(anext(lines), 20) == ": keepalive"


def test_keepalive_is_each_15_seconds() -> None:
    assert waiting.KEEPALIVE_S == 15


async def test_the_end_of_the_daemon_ends_the_stream(speakers: Speakers) -> None:
    async with speakers.service.unix.stream("GET", STREAM) as response:
        stream = events(response)
        speakers.say("one", "hello")
        await next_event(stream)
        await asyncio.wait_for(speakers.service.server.close(60), 20)
        with pytest.raises(StopAsyncIteration):
            await next_event(stream)


async def test_a_reader_that_goes_leaves_nothing_behind(speakers: Speakers) -> None:
    before = len(asyncio.all_tasks())
    async with speakers.service.unix.stream("GET", STREAM) as response:
        speakers.say("one", "hello")
        await next_event(events(response))
        assert len(asyncio.all_tasks()) > before
    await speakers.service.house.until(lambda: len(asyncio.all_tasks()) <= before)
    assert not [message for message in speakers.service.house.messages() if "Unexpected" in message]


async def test_a_slow_reader_is_told_what_it_missed(serve: Serve, tmp_path: Path) -> None:
    """What it does not take costs bounded memory, and it sees how many lines are gone."""
    lines = 300_000
    go = tmp_path / "go"
    script = f"while [ ! -e {go} ]; do sleep 0.01; done; seq {lines}; sleep 1000"
    service = await serve(f"\n  flood: {{command: [sh, -c, '{script}']}}")
    async with service.connection() as (reader, writer):
        writer.write(f"GET {STREAM} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        go.touch()
        await service.house.until(lambda: service.house.lines("flood")[-1:] == [str(lines)])
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        seen = missed = 0
        last = b""
        while json.dumps(str(lines)).encode() not in last:
            last = await asyncio.wait_for(reader.readline(), 20)
            if last.startswith(b'data: {"count":'):
                missed += json.loads(last[6:])["count"]
            elif last.startswith(b"data: "):
                seen += 1
    assert missed > 0
    assert seen + missed == lines


# -- what was there before -----------------------------------------------------------------------------


@pytest.fixture
async def spoken(speakers: Speakers) -> Speakers:
    """Four blocks of two processes."""
    house = speakers.service.house
    for name, text in (("one", "a1\na2\na3"), ("two", "b1"), ("one", "a4\na5"), ("two", "b2\nend")):
        speakers.say(name, text)
        await house.until_said(name, text.split("\n")[-1])
    return speakers


ALL = ["a1", "a2", "a3", "b1", "a4", "a5", "b2", "end"]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 8, 9, 10_000])
async def test_the_tail_comes_first(spoken: Speakers, count: int) -> None:
    assert messages(await read(spoken.service, f"tail={count}")) == ALL[-count:]


async def test_of_all_streams_one_looks_for_its_beginning_in_each_turn(
    speakers: Speakers, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        speakers.say("one", f"line {number}")
        await speakers.service.house.until_said("one", f"line {number}")
    monkeypatch.setattr(log_stream, "SLICE_S", 0.0)
    add = StartCollector.add
    turn = 0
    turns: list[int] = []

    def note(start: StartCollector, entry: NumberedBlock) -> bool:
        turns.append(turn)
        return add(start, entry)

    monkeypatch.setattr(StartCollector, "add", note)
    readers = [
        asyncio.ensure_future(read(speakers.service, f"grep=none{number}&ignore_case=1&tail=1", until="none"))
        for number in range(5)
    ]
    while len(turns) < 5 * 20:
        turn += 1
        await asyncio.sleep(0)
    assert max(map(turns.count, turns)) == 1
    for reader in readers:
        reader.cancel()
    await asyncio.gather(*readers, return_exceptions=True)


async def test_without_a_tail_there_is_no_past(spoken: Speakers) -> None:
    for query in ("", "tail=0", "tail=0&since=1h"):
        async with spoken.service.unix.stream("GET", f"{STREAM}?{query}") as response:
            stream = events(response)
            spoken.say("one", "new")
            assert (await next_event(stream)).message == "new"


async def test_the_tail_is_one_of_what_is_wanted(spoken: Speakers) -> None:
    service = spoken.service
    assert messages(await read(service, "tail=2&process=one", until="a5")) == ["a4", "a5"]
    assert messages(await read(service, "tail=4&grep=a", until="a5")) == ["a2", "a3", "a4", "a5"]
    assert messages(await read(service, "since=1h&instance=two-0")) == ["b1", "b2", "end"]
    assert messages(await read(service, "since=1h&tail=3")) == ["a5", "b2", "end"]
    assert messages(await read(service, "since=1h&grep=A&ignore_case=1&stream=stdout", until="a5")) == [
        "a1",
        "a2",
        "a3",
        "a4",
        "a5",
    ]


async def test_filters_count_for_what_comes(speakers: Speakers) -> None:
    query = "grep=Good&ignore_case=true&stream=stdout&instance=one-0"
    async with speakers.service.unix.stream("GET", f"{STREAM}?{query}") as response:
        stream = events(response)
        speakers.say("two", "good, but another instance")
        speakers.say("one", "bad\na GOOD one\nworse")
        speakers.say("one", "good as well")
        assert (await next_event(stream)).message == "a GOOD one"
        assert (await next_event(stream)).message == "good as well"


# -- to go on ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "wanted"), [("", ALL), ("process=two", ["b1", "b2", "end"]), ("grep=n", ["end"])]
)
async def test_from_every_cut_each_line_comes_once(spoken: Speakers, query: str, wanted: list[str]) -> None:
    seen = await read(spoken.service, f"since=1h&{query}")
    assert messages(seen) == wanted
    assert len({event.id for event in seen}) == len(seen)
    for cut, event in enumerate(seen[:-1], 1):
        assert messages(await read(spoken.service, query, last_id=event.id)) == wanted[cut:]
        # A browser comes back with the address that it was given.
        again = await read(spoken.service, f"{query}&tail=5&since=1h&last_event_id=x", last_id=event.id)
        assert messages(again) == wanted[cut:]
        assert messages(await read(spoken.service, f"{query}&last_event_id={event.id}")) == wanted[cut:]


async def test_an_id_is_good_for_other_processes_and_filters(spoken: Speakers) -> None:
    a2 = (await read(spoken.service, "since=1h"))[1]
    assert a2.message == "a2"
    assert messages(await read(spoken.service, "process=two", last_id=a2.id)) == ["b1", "b2", "end"]
    assert messages(await read(spoken.service, "grep=a", last_id=a2.id, until="a5")) == ["a3", "a4", "a5"]


async def test_behind_the_last_line_only_new_ones_come(spoken: Speakers) -> None:
    last = (await read(spoken.service, "tail=1"))[-1]
    async with spoken.service.unix.stream("GET", STREAM, headers={"Last-Event-ID": last.id}) as response:
        stream = events(response)
        spoken.say("two", "new")
        assert (await next_event(stream)).message == "new"


@pytest.mark.parametrize("last_id", ["00000000-7-1", "7", "\N{SNOWMAN}"])
async def test_the_id_of_another_run_gives_all_that_is_kept(spoken: Speakers, last_id: str) -> None:
    assert messages(await read(spoken.service, last_id=last_id)) == ALL


async def test_what_is_no_longer_kept_is_said(serve: Serve, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "one")
    made = await serve(speaker("one", tmp_path), log_ring_size=1000)
    await made.house.until(lambda: made.house.pids("one"))
    speakers = Speakers(made, tmp_path)
    async with made.unix.stream("GET", STREAM) as response:
        stream = events(response)
        ids = []
        for number in range(6):
            speakers.say("one", f"{number} " + "x" * 100)
            ids.append((await next_event(stream)).id)
    last = f"5 {'x' * 100}"
    for place, last_id in enumerate(ids[:-1]):
        seen = await read(made, last_id=last_id, until=last)
        if place < 3:  # line 3 is gone
            assert (seen[0].name, seen[0].data) == ("missed", {})
            assert messages(await read(made, last_id=seen.pop(0).id, until=last)) == messages(seen)
        assert [str(event.message)[0] for event in seen] == list("45")[max(0, place - 3) :]


# -- many readers, and the end -------------------------------------------------------------------------


async def test_many_readers_get_each_line_once(serve: Serve, tmp_path: Path) -> None:
    lines = 3000
    go = tmp_path / "go"
    script = f"while [ ! -e {go} ]; do sleep 0.01; done; seq {lines}; sleep 1000"
    service = await serve(f"\n  many: {{command: [sh, -c, '{script}']}}")
    ready = asyncio.Semaphore(0)

    async def follow() -> list[object]:
        async with service.unix.stream("GET", STREAM) as response:
            ready.release()
            stream = events(response)
            return [(await next_event(stream)).message for _ in range(lines)]

    async with asyncio.TaskGroup() as tasks:
        readers = [tasks.create_task(follow()) for _ in range(20)]
        for _ in readers:
            await ready.acquire()
        go.touch()
    assert all(reader.result() == [str(number) for number in range(1, lines + 1)] for reader in readers)


async def test_readers_that_stop_cost_no_more_than_their_backlog(serve: Serve, tmp_path: Path) -> None:
    """They share the blocks; what is written for each is bounded by its connection's buffer."""
    go = tmp_path / "go"
    # Some 40 MB, in lines of 100 bytes.
    flood = "yes $(printf %099d 0) | head -n 400000; echo end; sleep 1000"
    service = await serve(
        f"\n  flood: {{command: [sh, -c, 'while [ ! -e {go} ]; do sleep 0.01; done; {flood}']}}"
    )
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(20):
            reader, writer = await stack.enter_async_context(service.connection())
            writer.write(f"GET {STREAM} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
            await reader.readuntil(b"\r\n\r\n")
            writer.transport.pause_reading()  # type: ignore[attr-defined]
        memory = PeakMemory()
        go.touch()
        await service.house.until(lambda: service.house.lines("flood")[-1:] == ["end"])
        assert service.house.logs.unread <= 20 * BACKLOG_BYTES
        assert memory.growth < 20 * (BACKLOG_BYTES + 256 * 1024)
        # None of them takes the rest, and none is waited for.
        await asyncio.wait_for(service.server.close(60), 20)
    assert not [message for message in service.house.messages() if "Unexpected" in message]


async def test_the_last_lines_come_before_the_end(speakers: Speakers) -> None:
    async with speakers.service.unix.stream("GET", STREAM) as response:
        stream = events(response)
        speakers.say("one", "hello")
        await next_event(stream)
        # What has come when the end does, but was not sent yet.
        house = speakers.service.house
        read_end, write_end = os.pipe()
        os.write(write_end, b"bye\nbye again\n")
        os.close(write_end)
        house.logs._processes["one"].capture("one-0", stdout=read_end, stderr=None).drain(inf)
        await asyncio.wait_for(speakers.service.server.close(60), 20)
        assert messages([event async for event in stream]) == ["bye", "bye again"]
