"""The live state over real sockets: everything, what changes, figures; and who the caller is."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from msgspec.json import decode

from cbox_init.api.live_feed import LiveFeed, LiveReader
from cbox_init.api.schemas import ProcessList
from cbox_init.client import AsyncClient, LiveFigures, LiveProcesses, LiveSnapshot, LiveState
from tests.api.test_roles import headers_of
from tests.docs.markdown import ROOT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from cbox_init.client import LiveRecord
    from tests.api.service import Serve, Service

LIVE = "/api/v1/live"
WHOAMI = "/api/v1/whoami"
DEADLINE_S = 20
TWO = "\n  web: {command: [sleep, '1000']}\n  other: {command: [sleep, '1000']}"
TOKENS = """
    [{name: all, role: viewer, token: the-token-of-all-readers},
    {name: web, role: operator, processes: [web, "wörker-*"], token: the-token-of-web-reader,
     expires: 2100-01-01}]"""
SCHEMAS = {"snapshot": "LiveSnapshot", "processes": "LiveProcesses", "figures": "LiveFigures"}
KINDS: dict[str, type[LiveRecord]] = {
    "snapshot": LiveSnapshot,
    "processes": LiveProcesses,
    "figures": LiveFigures,
}


class Watcher:
    """A stream that is read, held against the document, and taken into a state."""

    def __init__(self, service: Service, response: httpx.Response) -> None:
        self.state = LiveState()
        self._service = service
        self._lines = response.aiter_lines()

    async def next(self) -> tuple[str, Any]:
        """The name and the data of the next message."""
        name = ""
        while True:
            field, _, value = (await asyncio.wait_for(anext(self._lines), DEADLINE_S)).partition(": ")
            if field == "event":
                name = value
            elif field == "data":
                break
        data = json.loads(value)
        self._service.contract.validate_as(SCHEMAS[name], data)
        self.state.take(decode(value, type=KINDS[name]))
        return name, data

    async def next_of(self, name: str) -> Any:
        """The data of the next message with this name."""
        while True:
            found, data = await self.next()
            if found == name:
                return data

    async def until(self, condition: Callable[[LiveState], object]) -> None:
        """Read until the state is like that."""
        async with asyncio.timeout(DEADLINE_S):
            while not condition(self.state):
                await self.next()


@contextlib.asynccontextmanager
async def watch(
    service: Service, query: str = "", headers: dict[str, str] | None = None
) -> AsyncIterator[Watcher]:
    client = service.unix if headers is None else service.tcp
    async with client.stream("GET", f"{LIVE}{query}", headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream"
        yield Watcher(service, response)


@pytest.fixture
def feeds(monkeypatch: pytest.MonkeyPatch) -> list[LiveFeed]:
    """The feeds that are made from now on."""
    found: list[LiveFeed] = []
    begin = LiveFeed.__init__

    def note(feed: LiveFeed, *args: Any) -> None:
        begin(feed, *args)
        found.append(feed)

    monkeypatch.setattr(LiveFeed, "__init__", note)
    return found


async def listed(service: Service, headers: dict[str, str] | None = None) -> tuple[Any, ...]:
    client = service.unix if headers is None else service.tcp
    reply = await client.get("/api/v1/processes", headers=headers)
    return decode(reply.content, type=ProcessList).processes


async def until_like_the_list(service: Service, watcher: Watcher, headers: Any = None) -> None:
    """Until the messages add up to the list, in its order, apart from figures."""

    def plain(entries: Any) -> list[tuple[object, ...]]:
        return [
            (entry.name, entry.state, entry.desired_scale, [(one.id, one.pid) for one in entry.instances])
            for entry in entries
        ]

    async with asyncio.timeout(DEADLINE_S):
        while plain(watcher.state.processes.values()) != plain(await listed(service, headers)):
            await watcher.next()


async def test_everything_then_what_changes(service: Service) -> None:
    house = service.house
    async with watch(service) as watcher:
        name, first = await watcher.next()
        assert name == "snapshot"
        assert [entry["name"] for entry in first["processes"]] == ["web"]
        assert first["daemon"]["pid"] == os.getpid()
        house.kill("web", 0)
        changed = await watcher.next_of("processes")
        assert [entry["name"] for entry in changed["processes"]] == ["web"]
        assert (changed["removed"], "order" in changed) == ([], False)
        await watcher.until(lambda state: state.processes["web"].instances[0].restart_count == 1)
        await until_like_the_list(service, watcher)


async def test_figures_come_without_a_change(service: Service) -> None:
    async with watch(service, "?interval=1") as watcher:
        figures = await watcher.next_of("figures")
        assert [one[0] for one in figures["instances"]] == ["web-0", "web-1"]
        assert all(one[2] > 0 for one in figures["instances"])
        assert figures["daemon"]["cpu_percent"] >= 0
        state = watcher.state
        assert state.daemon is not None
        assert state.daemon.uptime_seconds == figures["daemon"]["uptime_seconds"]
        web = state.processes["web"]
        assert web.memory_rss_bytes == sum(one[2] for one in figures["instances"])
        assert web.memory_percent == pytest.approx(sum(one[3] for one in figures["instances"]))
        again = await watcher.next_of("figures")
        assert again["time"] > figures["time"]


async def test_times_are_those_of_the_daemon(service: Service) -> None:
    """A reader with another clock computes ages and countdowns from the time of the last message."""
    service.house.runtime.set_clock(1_000_000_000.0)  # 2001: the clock of this test is years ahead
    async with watch(service, "?interval=1") as watcher:
        _, first = await watcher.next()
        assert 1_000_000_000 <= first["time"] < 1_000_001_000
        service.house.kill("web", 0)
        await watcher.until(lambda state: state.processes["web"].instances[0].restart_count == 1)
        started = watcher.state.processes["web"].instances[0].started_at
        assert 0 <= watcher.state.time - started < 1000
        figures = await watcher.next_of("figures")
        assert 1_000_000_000 < figures["time"] < 1_000_001_000
    me = (await service.unix.get(WHOAMI)).json()
    assert 1_000_000_000 < me["time"] < 1_000_001_000


async def test_reloads_add_remove_and_reorder(serve: Serve) -> None:
    service = await serve(TWO, api_tokens=TOKENS)
    house, text = service.house, ""
    headers = headers_of("the-token-of-web-reader")

    async def reload(processes: str) -> None:
        house.file.write_text(text.replace(TWO, processes))
        assert (await service.unix.post("/api/v1/config/reload")).status_code == 200

    text = house.file.read_text()
    assert TWO in text
    web, other = TWO.split("\n")[1:]
    new = '  "wörker-ß🙂": {command: [sleep, "1000"]}'
    hidden = '  "日本": {command: [sleep, "1000"]}'
    async with watch(service) as watcher, watch(service, headers=headers) as limited:
        await watcher.next()
        await limited.next()
        assert list(limited.state.processes) == ["web"]
        for processes in (
            (web, other, new),
            (new, hidden, web, other),
            (other, web, new),
            (new,),
            (web, other, new),
        ):
            await reload("\n" + "\n".join(processes))
            await until_like_the_list(service, watcher)
            await until_like_the_list(service, limited, headers)
        assert set(limited.state.processes) == {"web", "wörker-ß🙂"}


async def test_limited_callers_see_nothing_of_others(serve: Serve) -> None:
    service = await serve(TWO, api_tokens=TOKENS)
    headers = headers_of("the-token-of-web-reader")
    async with watch(service, "?interval=1", headers) as watcher:
        seen = [str(await watcher.next())]
        service.house.supervisor.restart("other")
        service.house.supervisor.restart("web")
        seen.extend([str(await watcher.next_of("processes")), str(await watcher.next_of("figures"))])
    assert not [text for text in seen if "other" in text]


async def test_bad_intervals(service: Service) -> None:
    for text in ("0", "61", "x", "-1", "1.5", "", "9" * 10):
        reply = await service.unix.get(f"{LIVE}?interval={text}")
        assert reply.status_code == 400, text
        assert reply.json()["error"].startswith("interval must be a whole number from 1 to 60, not ")


async def test_nothing_is_left_without_readers(service: Service, feeds: list[LiveFeed]) -> None:
    house = service.house
    head = await service.unix.head(LIVE)
    assert (head.status_code, head.content, feeds) == (200, b"", [])
    for _ in range(2):
        async with watch(service) as first, watch(service) as second:
            await first.next()
            await second.next()
            (feed,) = feeds
            assert (len(feed), house.supervisor.on_changed is not None) == (2, True)
        await house.until(lambda: len(feeds[0]) == 0)
        assert house.supervisor.on_changed is None
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "live-feed"]
        assert (feed._known, feed._messages, feed._of_instances) == ({}, {}, {})


async def test_what_readers_share_is_encoded_once(service: Service, feeds: list[LiveFeed]) -> None:
    async with watch(service) as watcher:
        await watcher.next()
        (feed,) = feeds
        everyone = next(iter(feed._readers)).audience
        readers = [LiveReader(feed, everyone, 2) for _ in range(3)]
        for reader in readers:
            reader._revision = feed.revision
        before = feed.revision
        service.house.supervisor.restart("web")
        await service.house.until(lambda: feed.revision > before)
        chunks = [reader.chunk() for reader in readers]
        assert chunks[0].startswith(b"event: processes")
        assert chunks[0] is chunks[1] is chunks[2]
        for reader in readers:
            reader.close()


async def test_a_slow_reader_gets_all_changes_together(service: Service, feeds: list[LiveFeed]) -> None:
    """One that has missed what is no longer known gets everything again."""
    house = service.house
    async with watch(service) as watcher:
        await watcher.next()
        (feed,) = feeds
        slow = LiveReader(feed, next(iter(feed._readers)).audience, 2)
        state = LiveState()
        state.take(decode((await slow.snapshot()).partition(b"data: ")[2], type=LiveSnapshot))
        for name in ("one", "two"):
            body = {"name": name, "process": {"command": ["sleep", "1000"]}}
            assert (await service.unix.post("/api/v1/processes", json=body)).status_code == 201
            while name not in watcher.state.processes:
                await watcher.next()
        assert (await service.unix.delete("/api/v1/processes/one")).status_code == 200
        await watcher.until(lambda state: "one" not in state.processes)
        (message,) = slow.chunk().split(b"\n\n")[:-1]
        state.take(decode(message.partition(b"data: ")[2], type=LiveProcesses))
        assert list(state.processes) == ["web", "two"]
        feed.complete_since = feed.revision + 1
        assert slow.begins
        house.supervisor.restart("web")
        await watcher.next_of("snapshot")
        slow.close()


async def test_a_stream_ends_with_the_daemon(service: Service) -> None:
    async with watch(service) as watcher:
        await watcher.next()
        service.house.supervisor.shutdown("the test")
        await service.house.until(lambda: service.house.exit_code is not None)
        closing = asyncio.create_task(service.server.close(5))
        with pytest.raises(StopAsyncIteration):
            while True:
                await watcher.next()
        await closing
    assert watcher.state.processes["web"].state == "stopped"


async def test_a_stream_ends_when_its_token_does(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """By expiry, and by a reload without it; others go on."""
    service = await serve(TWO, api_tokens=TOKENS)
    everyone, limited = headers_of("the-token-of-all-readers"), headers_of("the-token-of-web-reader")
    async with watch(service, "?interval=1", everyone) as good:
        async with watch(service, "?interval=1", limited) as watcher:
            await watcher.next()
            credentials = service.server._stack._credentials  # type: ignore[union-attr]
            assert credentials.tokens is not None
            monkeypatch.setattr(credentials.tokens, "_clock", lambda: 4_102_531_200.0)  # 2100-01-02
            with pytest.raises(StopAsyncIteration):
                while True:
                    await watcher.next()
            assert (await service.tcp.get(LIVE, headers=limited)).status_code == 401
        await good.next_of("figures")
        text = service.house.file.read_text()
        begin = text.index("[{name: all"), text.index(", role: viewer")
        service.house.file.write_text(text[: begin[0]] + "[{name: renamed" + text[begin[1] :])
        assert (await service.unix.post("/api/v1/config/reload")).status_code == 200
        with pytest.raises(StopAsyncIteration):
            while True:
                await good.next()


# -- errors are contained -----------------------------------------------------------------------------------


class Fails:
    """Raises when it is called, ``times`` times; then it does what it took the place of."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, target: Any, name: str, times: int = 1) -> None:
        self.left = times
        self.real = getattr(target, name)
        monkeypatch.setattr(target, name, self)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.left:
            self.left -= 1
            raise ZeroDivisionError
        return self.real(*args, **kwargs)


async def test_a_process_that_cannot_be_shown_hides_no_other(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = await serve(TWO)
    house = service.house
    house.expects_defects = True
    await house.until(lambda: house.pids("web") and house.pids("other"))
    async with watch(service) as watcher:
        await watcher.next()
        old = house.pids("web")
        fails = Fails(monkeypatch, house.supervisor.table["web"], "status", times=2)
        house.supervisor.restart("web")
        house.supervisor.restart("other")
        await watcher.next_of("processes")
        assert list(watcher.state.processes) == ["web", "other"]
        await house.until(lambda: fails.left == 0)  # the test reads the status too
        await house.until(lambda: house.pids("web") not in ([], old))
        await until_like_the_list(service, watcher)
    assert "a process is not up to date in the live state" in house.log_text()


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("cbox_init.api.live_feed", "process_entry"),
        ("cbox_init.api.live_feed", "daemon_entry"),
        ("cbox_init.api.live_feed", "LiveDaemon"),
        ("cbox_init.api.live_feed", "encode"),
        ("cbox_init.api.live_feed", "Slices"),
        ("feed", "_take_names"),
        ("feed", "_wake_all"),
        ("feed", "_plan"),
        ("feed", "_time"),
        ("feed", "_note_change"),
        ("figures", "sample"),
        ("figures", "of"),
    ],
)
async def test_defects_are_contained(
    service: Service, feeds: list[LiveFeed], monkeypatch: pytest.MonkeyPatch, target: str, name: str
) -> None:
    """One is reported, and then the state goes on as if nothing had been."""
    monkeypatch.setattr("cbox_init.api.live_feed._AGAIN_S", 0.01)
    house = service.house
    house.expects_defects = True
    async with watch(service, "?interval=1") as watcher:
        await watcher.next()
        (feed,) = feeds
        found: Any = {"feed": feed, "figures": feed._context.figures}.get(target)
        if found is None:
            import importlib

            found = importlib.import_module(target)
        fails = Fails(monkeypatch, found, name)
        if name == "_note_change":
            house.supervisor.on_changed = feed._note_change
        house.supervisor.scale("web", 3)
        await house.until(lambda: fails.left == 0)
        house.supervisor.scale("web", 1)
        with contextlib.suppress(StopAsyncIteration, httpx.HTTPError):  # it may be what one reader needs
            await watcher.until(lambda state: state.processes["web"].scale == 1)
    assert house.runtime.defects.count or name in ("_time", "encode", "daemon_entry")
    async with watch(service, "?interval=1") as watcher:
        await until_like_the_list(service, watcher)


# -- the client library -------------------------------------------------------------------------------------


async def test_both_clients(service: Service) -> None:
    from cbox_init.client import Client

    async with AsyncClient.connect(socket=service.path) as client, client.live(interval_s=1) as messages:
        state = LiveState()
        async for message in messages:
            state.take(message)
            if isinstance(message, LiveFigures):
                break
        assert list(state.processes) == ["web"]
        assert state.daemon_cpu_percent is not None
        assert (await client.whoami()).role == "admin"
        assert (await client.upcoming_runs(until="1h")).runs == ()
    service_path = service.path

    def read() -> LiveRecord:
        with Client.connect(socket=service_path) as client, client.live() as messages:
            assert client.whoami().kind == "socket"
            return next(messages)

    assert isinstance(await asyncio.to_thread(read), LiveSnapshot)


async def test_the_program_of_the_documentation(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs/api.md").read_text().partition("## GET /api/v1/live")[2]
    program = page.partition("```python\n")[2].partition("```")[0]
    assert "while True" in program
    once = program.replace("while True", "for _ in range(1)").replace("time.sleep(2)", "pass")
    monkeypatch.setenv("CBOX_INIT_API_SOCKET", service.path)
    running = asyncio.create_task(asyncio.to_thread(exec, once, {}))
    said = ""
    async with asyncio.timeout(DEADLINE_S):
        while "web running" not in said:
            said += capsys.readouterr().out
            await asyncio.sleep(0.01)
    await service.server.close(5)
    await asyncio.wait_for(running, DEADLINE_S)


# -- who the caller is --------------------------------------------------------------------------------------


async def test_whoami(serve: Serve) -> None:
    service = await serve(TWO, api_tokens=TOKENS, api_auth="the-token-of-the-admin")
    found = {}
    for token in ("the-token-of-all-readers", "the-token-of-web-reader", "the-token-of-the-admin"):
        me = (await service.tcp.get(WHOAMI, headers=headers_of(token))).json()
        del me["time"]
        found[me.pop("name")] = me
    assert found == {
        "all": {"kind": "token", "role": "viewer", "processes": []},
        "web": {
            "kind": "token",
            "role": "operator",
            "processes": ["web", "wörker-*"],
            "expires_at": 4_102_531_200.0,
        },
        "api_auth": {"kind": "token", "role": "admin", "processes": []},
    }
    assert (await service.tcp.get(WHOAMI)).status_code == 401
    me = (await service.unix.get(WHOAMI)).json()
    assert (me["kind"], me["name"], me["role"]) == ("socket", f"uid:{os.getuid()}", "admin")
