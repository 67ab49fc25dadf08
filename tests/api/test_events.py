"""Events over real sockets: as a stream, by long poll, and as the history of a process."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING

import pytest

from cbox_init.api.caller import ProcessPatterns
from cbox_init.api.event_feed import EventFeed, EventFilter, EventReader
from cbox_init.supervisor.events import LATEST
from tests.api.test_roles import headers_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

    from cbox_init.supervisor.events import Events
    from tests.api.service import Serve, Service

EVENTS = "/api/v1/events"
ALL = EventFilter((), None, ProcessPatterns())
TOKENS = """
    [{name: all, role: viewer, token: the-token-of-all-readers},
    {name: web, role: viewer, processes: [web], token: the-token-of-web-reader}]"""


def emitted(service: Service) -> Events:
    return service.house.runtime.events


async def messages(response: httpx.Response) -> AsyncIterator[tuple[str, str, dict[str, object]]]:
    """The id, name and data of each message."""
    id_ = name = ""
    async for line in response.aiter_lines():
        field, _, value = line.partition(": ")
        if field == "id":
            id_ = value
        elif field == "event":
            name = value
        elif field == "data":
            yield id_, name, json.loads(value)
            name = ""


async def read(
    service: Service, query: str, count: int, headers: dict[str, str] | None = None
) -> list[tuple[str, str, dict[str, object]]]:
    """The first messages of a stream."""
    async with service.unix.stream("GET", f"{EVENTS}?{query}", headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream"
        stream = messages(response)
        return [await asyncio.wait_for(anext(stream), 20) for _ in range(count)]


async def poll(service: Service, query: str = "wait=0") -> dict[str, object]:
    reply = await service.unix.get(f"{EVENTS}?{query}")
    assert reply.status_code == 200, reply.text
    found: dict[str, object] = reply.json()
    return found


async def test_events_come_as_they_happen(service: Service) -> None:
    async with service.unix.stream("GET", f"{EVENTS}?process=web&kind=instance.*") as response:
        stream = messages(response)
        service.house.supervisor.restart("web")
        id_, name, event = await asyncio.wait_for(anext(stream), 20)
        service.contract.validate_as("EventEntry", event)
        assert name == ""
        assert id_.endswith(f"-{event['number']}")
        assert (event["kind"], event["process"]) == ("instance.exited", "web")


async def test_a_stream_goes_on_after_an_id(service: Service) -> None:
    for number in range(3):
        emitted(service).emit("daemon.defect", reason=str(number))
    first = await read(service, "kind=daemon.defect&tail=3", 1)
    assert first[0][2]["reason"] == "0"
    for query, headers in (
        ("", {"Last-Event-ID": first[0][0]}),
        (f"last_event_id={first[0][0]}", None),
        (f"since={first[0][0]}", None),
    ):
        more = await read(service, f"{query}&kind=daemon.defect", 2, headers)
        assert [data["reason"] for _, _, data in more] == ["1", "2"]


@pytest.mark.parametrize("id_", ["0123456789-7", "what?"])
async def test_an_id_from_before_a_restart(service: Service, id_: str) -> None:
    missed, first = await read(service, "", 2, {"Last-Event-ID": id_})
    assert missed[1:] == ("missed", {"restarted": True})
    assert first[2]["number"] == 1
    reply = await poll(service, f"wait=0&last_event_id={id_}")
    assert reply["missed"] == {"restarted": True}


async def test_what_is_not_kept_is_said(service: Service) -> None:
    before = (await poll(service))["last_event_id"]
    for _ in range(LATEST + 100):
        emitted(service).emit("daemon.defect", reason="x")
    gone = 100
    (missed,) = await read(service, f"since={before}", 1)
    assert missed[1:] == ("missed", {"count": gone})
    (filtered,) = await read(service, f"since={before}&kind=daemon.*", 1)
    assert filtered[1:] == ("missed", {})
    (web,) = await read(service, "process=web&tail=1", 1)
    assert web[1] == ""


async def test_a_reader_that_does_not_read_delays_nobody(service: Service) -> None:
    async with service.connection() as (_, writer):
        writer.write(f"GET {EVENTS} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await writer.drain()
        for number in range(5000):
            emitted(service).emit("daemon.defect", reason="x" * 900, number=number)
            if number % 100 == 0:
                await asyncio.sleep(0)
        (last,) = await read(service, "tail=1", 1)
    assert last[2]["data"] == {"number": 4999}


async def test_a_long_poll_waits_for_the_next(service: Service) -> None:
    seen = await poll(service)
    service.contract.validate_as("EventList", seen)
    waiting = asyncio.create_task(poll(service, f"wait=30s&kind=daemon.*&since={seen['last_event_id']}"))
    feeds_wait = service.house.runtime.events
    await service.house.until(lambda: feeds_wait._listeners)
    feeds_wait.emit("instance.started", "web")
    feeds_wait.emit("daemon.ready")
    found = await asyncio.wait_for(waiting, 20)
    assert found["count"] == 1
    assert found["events"][0]["kind"] == "daemon.ready"  # type: ignore[index]
    nothing = await poll(service, f"wait=10ms&since={found['last_event_id']}")
    assert nothing == {"count": 0, "events": [], "last_event_id": found["last_event_id"]}


async def test_the_history_of_a_process(service: Service) -> None:
    reply = await service.unix.get("/api/v1/processes/web/events?limit=2&kind=instance.started")
    assert reply.status_code == 200
    newest, older = reply.json()["events"]
    assert newest["number"] > older["number"]
    asc = await service.unix.get("/api/v1/processes/web/events?order=asc&limit=1&kind=instance.started")
    assert asc.json()["events"] == [newest]
    assert (await service.unix.get("/api/v1/processes/nope/events")).status_code == 404


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("kind=instance.exitd", 400, "did you mean instance.exited?"),
        ("kind=zzz", 400, "there are instance.started"),
        ("process=wbe*", 400, "did you mean web?"),
        ("process=nope", 404, "process not found: nope"),
        ("process=" + "x*" * 200, 400, "process must have 1 to 200 characters"),
        ("&".join(f"kind=instance.{'*' * n}" for n in range(1, 60)), 400, "at most 50"),
        ("process=", 400, "1 to 200 characters"),
        ("wait=1h", 400, "wait must be a duration from 0 to 60s"),
        ("wait=-1s", 400, "wait must be"),
        ("wait=x&tail=0", 400, "wait must be"),
        ("tail=-1", 400, "tail must be"),
        ("since=yesterday", 400, "since must be a time"),
        ("limit=0&wait=0", 400, "limit must be"),
    ],
)
async def test_bad_queries(service: Service, query: str, status: int, words: str) -> None:
    reply = await service.unix.get(f"{EVENTS}?{query}")
    assert reply.status_code == status
    assert words in reply.json()["error"]


async def test_an_id_of_the_future(service: Service) -> None:
    run = str((await poll(service))["last_event_id"]).partition("-")[0]
    reply = await service.unix.get(f"{EVENTS}?since={run}-999999")
    assert reply.status_code == 400
    assert "yet: the latest is" in reply.json()["error"]


async def test_a_hostile_pattern_takes_no_time(service: Service) -> None:
    pattern = "w" + "*w" * 60 + "[!a-z]"
    emitted(service).emit("instance.started", "w" * 5000)
    reply = await service.unix.get(f"{EVENTS}?wait=0&process={pattern}&process=web")
    assert reply.status_code == 400


async def test_callers_see_events_of_their_processes_alone(serve: Serve) -> None:
    two = "\n  web: {command: [sleep, '1000']}\n  other: {command: [sleep, '1000']}"
    service = await serve(two, api_tokens=TOKENS)
    await service.house.until(lambda: service.house.pids("web") and service.house.pids("other"))
    headers = headers_of("the-token-of-web-reader")
    found = (await service.tcp.get(f"{EVENTS}?wait=0", headers=headers)).json()
    assert {event.get("process") for event in found["events"]} == {"web"}
    refused = await service.tcp.get(f"{EVENTS}?wait=0&process=other", headers=headers)
    assert refused.status_code == 403
    none = await service.tcp.get(f"{EVENTS}?wait=0&process=oth*", headers=headers)
    assert none.status_code == 400
    assert "other" not in none.text
    everyone = (
        await service.tcp.get(f"{EVENTS}?wait=0", headers=headers_of("the-token-of-all-readers"))
    ).json()
    assert {event.get("process") for event in everyone["events"]} == {None, "web", "other"}


async def test_a_stream_ends_with_the_daemon(service: Service) -> None:
    async with service.unix.stream("GET", EVENTS) as response:
        stream = messages(response)
        service.house.supervisor.shutdown("the test")
        await service.house.until(lambda: service.house.exit_code is not None)
        closing = asyncio.create_task(service.server.close(5))
        kinds = [data["kind"] async for _, _, data in stream]
        await closing
    assert kinds[0] == "daemon.stopping"
    assert kinds[-1] == "process.state"


async def test_readers_share_what_is_encoded_and_leave_nothing(service: Service) -> None:
    events = emitted(service)
    feed = EventFeed(events, "run")
    readers = [EventReader(feed, EventFilter((), None, ProcessPatterns())) for _ in range(3)]
    events.emit("daemon.ready")
    chunks = [reader.chunk() for reader in readers]
    assert chunks[0] is chunks[1] is chunks[2]
    assert len(feed) == 3
    for reader in readers:
        reader.close()
    assert len(feed) == len(feed._pieces) == len(events._listeners) == 0


async def test_a_slow_reader_gets_exact_numbers(service: Service) -> None:
    """One that catches up in pieces while more is dropped."""
    events = emitted(service)
    with EventReader(EventFeed(events, "run"), ALL) as reader:
        seen = missed = 0
        begun = events.last
        for turn in range(40):
            for number in range(100):
                events.emit("instance.exited", f"p{number % 3}" if turn % 2 else "noisy")
            batch = reader.take(30)
            seen += len(batch.events)
            if batch.missed is not None:
                assert isinstance(batch.missed.count, int)
                missed += batch.missed.count
        while batch.events:
            batch = reader.take(30)
            seen += len(batch.events)
            if batch.missed is not None:
                assert isinstance(batch.missed.count, int)
                missed += batch.missed.count
    assert seen + missed == events.last - begun
    assert missed > 0


async def test_a_reader_that_fails_ends_alone(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.house.expects_defects = True
    chunk = EventReader.chunk

    def broken(reader: EventReader) -> bytes:
        if not reader.chosen.takes_all:
            raise ZeroDivisionError
        return chunk(reader)

    monkeypatch.setattr(EventReader, "chunk", broken)
    async with service.unix.stream("GET", EVENTS) as good:
        stream = messages(good)
        with contextlib.suppress(Exception):
            await asyncio.wait_for(read(service, "kind=daemon.*&tail=1", 1), 20)
        emitted(service).emit("daemon.ready")
        while (await asyncio.wait_for(anext(stream), 20))[2]["kind"] != "daemon.ready":
            pass
