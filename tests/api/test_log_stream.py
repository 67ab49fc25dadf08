"""Lines as they come."""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING

import pytest

from cbox_init.api.routes import log_stream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import httpx

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


async def events(response: httpx.Response) -> AsyncIterator[tuple[str, dict[str, object]]]:
    name = ""
    async for line in response.aiter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


async def next_event(stream: AsyncIterator[tuple[str, dict[str, object]]]) -> tuple[str, dict[str, object]]:
    return await asyncio.wait_for(anext(stream), 10)


@pytest.mark.parametrize("door", ["unix", "tcp"])
async def test_lines_come_as_they_are_written(speakers: Speakers, door: str) -> None:
    client = getattr(speakers.service, door)
    async with client.stream("GET", STREAM) as response:
        assert response.headers["content-type"] == "text/event-stream"
        assert response.headers["cache-control"] == "no-cache"
        stream = events(response)
        speakers.say("one", "hello")
        name, log = await next_event(stream)
        assert name == "log"
        speakers.service.contract.validate_as("LogEntry", log)
        assert list(log) == ["timestamp", "process", "instance", "stream", "level", "message"]
        assert (log["process"], log["instance"], log["message"]) == ("one", "one-0", "hello")
        speakers.say("two", "there")
        assert (await next_event(stream))[1]["message"] == "there"


async def test_only_the_processes_asked_for(speakers: Speakers) -> None:
    async with speakers.service.unix.stream("GET", f"{STREAM}?process=two") as response:
        stream = events(response)
        speakers.say("one", "no")
        speakers.say("two", "yes")
        assert (await next_event(stream))[1]["message"] == "yes"


async def test_several_processes(speakers: Speakers) -> None:
    async with speakers.service.unix.stream("GET", f"{STREAM}?process=two&process=one") as response:
        stream = events(response)
        for name in ("one", "two"):
            speakers.say(name, "hear")
            assert (await next_event(stream))[1]["process"] == name


async def test_unknown_process(speakers: Speakers) -> None:
    reply = await speakers.service.unix.get(f"{STREAM}?process=one&process=nobody")
    assert (reply.status_code, reply.json()) == (404, {"error": "process not found: nobody"})


async def test_unknown_level(speakers: Speakers) -> None:
    assert (await speakers.service.unix.get(f"{STREAM}?level=loud")).status_code == 400


async def test_head_does_not_wait(speakers: Speakers) -> None:
    reply = await speakers.service.unix.head(STREAM)
    assert (reply.status_code, reply.content) == (200, b"")


async def test_keepalive(speakers: Speakers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_stream, "KEEPALIVE_S", 0.05)
    async with speakers.service.unix.stream("GET", STREAM) as response:
        chunks = response.aiter_raw()
        for _ in range(3):
            assert await asyncio.wait_for(anext(chunks), 10) == b": keepalive\n\n"


def test_keepalive_is_each_15_seconds() -> None:
    assert log_stream.KEEPALIVE_S == 15


async def test_the_end_of_the_daemon_ends_the_stream(speakers: Speakers) -> None:
    async with speakers.service.unix.stream("GET", STREAM) as response:
        stream = events(response)
        speakers.say("one", "hello")
        await next_event(stream)
        await asyncio.wait_for(speakers.service.server.close(5), 3)
        with pytest.raises(StopAsyncIteration):
            await next_event(stream)


async def test_a_reader_that_goes_leaves_nothing_behind(speakers: Speakers) -> None:
    before = len(asyncio.all_tasks())
    async with speakers.service.unix.stream("GET", STREAM) as response:
        speakers.say("one", "hello")
        await next_event(events(response))
        assert len(asyncio.all_tasks()) > before
    await speakers.service.house.until(lambda: len(asyncio.all_tasks()) <= before)
    assert not [message for message in speakers.service.house.messages() if "Exception" in message]


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
