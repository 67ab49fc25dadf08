"""Heartbeats against a real HTTP server that answers, fails, hangs, redirects or goes on for ever."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, NamedTuple

import pytest

from cbox_init.supervisor.schedule import heartbeat
from cbox_init.threads import NoThreadError
from tests.ports import free_port
from tests.supervisor.house import DEADLINE_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.supervisor.house import Build, House


class Got(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]


class Monitor:
    """A server whose answer to each path is a list of statuses, the last for good; "hang" says nothing."""

    def __init__(self) -> None:
        self.got: list[Got] = []
        self.answers: dict[str, list[int | str]] = {}
        self.hanging = threading.Event()
        monitor = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                path = self.path
                monitor.got.append(Got(self.command, path, {k.lower(): v for k, v in self.headers.items()}))
                todo = monitor.answers.get(path, [200])
                what = todo.pop(0) if len(todo) > 1 else todo[0]
                if what == "hang":
                    monitor.hanging.wait(DEADLINE_S)
                elif what == "endless":
                    self.send_response(200)
                    self.end_headers()
                    try:
                        while not monitor.hanging.is_set():
                            self.wfile.write(b"x" * 65_536)
                    except OSError:
                        pass
                elif isinstance(what, str):
                    self.send_response(302)
                    self.send_header("Location", what)
                    self.end_headers()
                else:
                    self.send_response(what)
                    self.end_headers()

            do_GET = do_POST = do_PUT = answer  # noqa: N815

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def paths(self) -> list[str]:
        return [got.path for got in self.got]

    def close(self) -> None:
        self.hanging.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def monitor() -> Iterator[Monitor]:
    made = Monitor()
    yield made
    made.close()


def job(monitor: Monitor, command: str = "exit 0", **keys: object) -> str:
    heartbeat = {key: f"{monitor.url}{v}" if key.endswith("url") else v for key, v in keys.items()}
    chosen = {"timeout": 5, "retry_delay": "10ms", **heartbeat}
    return json.dumps(
        {
            "processes": {
                "job": {"command": ["sh", "-c", command], "schedule": "@yearly", "heartbeat": chosen},
            }
        }
    )


async def run(house: House) -> int | None:
    return await house.over(house.supervisor.trigger("job"))


def records(house: House, message: str) -> list[dict[str, str]]:
    house.logs.flush_sync(5)
    found = [json.loads(line) for line in house.log_file.read_text().splitlines()]
    return [record for record in found if record["msg"] == message]


def lost(house: House) -> list[str]:
    return [record["error"] for record in records(house, "Heartbeat could not be delivered")]


async def test_each_is_told_what_it_asked_for_in_order(build: Build, monitor: Monitor) -> None:
    urls = {f"{name}_url": f"/{name}" for name in ("start", "success", "failure")}
    house = build(job(monitor, "exit $((${CBOX_INIT_INSTANCE_NUMBER} - 1))", url="/both", **urls))
    assert await run(house) == 0
    await house.until(lambda: len(monitor.got) == 3)
    assert monitor.paths() == ["/start", "/both", "/success"]
    assert {got.method for got in monitor.got} == {"POST"}
    assert monitor.got[0].headers["user-agent"].startswith("cbox-init/")
    assert lost(house) == []


async def test_pings_wait_for_a_thread_and_are_sent_when_there_is_one(
    build: Build, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **keys: object) -> None:
        raise NoThreadError(str(keys["name"]))

    monkeypatch.setattr(heartbeat, "start_thread", refuse)
    house = build(job(monitor, start_url="/start", url="/end"))
    assert await run(house) == 0
    await house.until(lambda: len(records(house, "Heartbeats wait")) == 1)
    monkeypatch.undo()
    await house.until(lambda: monitor.paths() == ["/start", "/end"])
    assert len(records(house, "Heartbeats wait")) == 1


async def test_an_unexpected_error_loses_one_ping_and_no_other(
    build: Build, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver = heartbeat.HeartbeatSender._deliver

    def fail(self: heartbeat.HeartbeatSender, ping: heartbeat.Ping) -> None:
        if ping.key == "start_url":
            raise ZeroDivisionError
        deliver(self, ping)

    monkeypatch.setattr(heartbeat.HeartbeatSender, "_deliver", fail)
    house = build(job(monitor, start_url="/start", url="/end"))
    assert await run(house) == 0
    await house.until(lambda: monitor.paths() == ["/end"])
    assert lost(house) == ["heartbeat.start_url: unexpected: ZeroDivisionError()"]


async def test_a_failure_is_told_with_the_method_and_headers_that_are_set(
    build: Build, monitor: Monitor
) -> None:
    keys = {"success_url": "/good", "failure_url": "/bad", "method": "put", "headers": {"X-Key": "k3y"}}
    house = build(job(monitor, "exit 7", **keys))
    assert await run(house) == 7
    await house.until(lambda: monitor.got)
    (got,) = monitor.got
    assert (got.method, got.path, got.headers["x-key"]) == ("PUT", "/bad", "k3y")


async def test_a_server_that_fails_is_tried_again(build: Build, monitor: Monitor) -> None:
    monitor.answers["/x"] = [500, 503, 200]
    house = build(job(monitor, url="/x", retry_count=3))
    await run(house)
    await house.until(lambda: monitor.paths() == ["/x"] * 3)
    await house.supervisor.close(5)
    assert len(monitor.got) == 3
    assert lost(house) == []


@pytest.mark.parametrize(
    ("status", "tries", "said"),
    [(500, 3, "heartbeat.url: answered with 500 (3 tries)"), (404, 1, "heartbeat.url: answered with 404")],
)
async def test_what_cannot_be_delivered_is_said(
    build: Build, monitor: Monitor, status: int, tries: int, said: str
) -> None:
    monitor.answers["/s3cret"] = [status]
    house = build(job(monitor, url="/s3cret", retry_count=2))
    await run(house)
    await house.until(lambda: lost(house) == [said])
    assert len(monitor.got) == tries
    assert "s3cret" not in house.log_file.read_text()


async def test_nobody_listens(build: Build, monitor: Monitor) -> None:
    port = free_port()
    house = build(
        job(monitor, retry_count=0).replace('"timeout": 5', f'"url": "http://127.0.0.1:{port}/s3cret"')
    )
    await run(house)
    await house.until(lambda: lost(house))
    assert "refused" in lost(house)[0]
    assert "s3cret" not in house.log_file.read_text()


async def test_one_that_hangs_holds_up_neither_the_job_nor_others(build: Build, monitor: Monitor) -> None:
    monitor.answers["/hangs"] = ["hang"]
    text = json.loads(job(monitor, "echo ran", start_url="/hangs", timeout="400ms", retry_count=0))
    other = json.loads(job(monitor, url="/other"))["processes"]["job"]
    text["processes"]["other"] = other
    house = build(json.dumps(text))
    began = time.monotonic()
    await run(house)
    await house.over(house.supervisor.trigger("other"))
    assert time.monotonic() - began < 0.4 + 5
    assert house.lines("job") == ["ran"]
    await house.until(lambda: "/other" in monitor.paths())
    await house.until(lambda: lost(house) == ["heartbeat.start_url: no answer within 0.4 s"])


async def test_redirects_are_followed_and_keys_stay_behind(build: Build, monitor: Monitor) -> None:
    with another() as other:
        monitor.answers["/old"] = ["/new"]
        monitor.answers["/new"] = [f"{other.url}/elsewhere".replace("127.0.0.1", "localhost")]
        house = build(job(monitor, url="/old", headers={"X-Key": "k3y"}))
        await run(house)
        await house.until(lambda: other.got)
        assert monitor.paths() == ["/old", "/new"]
        assert [got.headers.get("x-key") for got in (*monitor.got, *other.got)] == ["k3y", "k3y", None]
        assert lost(house) == []


async def test_a_redirect_to_itself_ends(build: Build, monitor: Monitor) -> None:
    monitor.answers["/round"] = ["/round"]
    house = build(job(monitor, url="/round"))
    await run(house)
    await house.until(lambda: lost(house) == ["heartbeat.url: redirected more than 5 times"])


async def test_a_body_without_end_is_not_read(build: Build, monitor: Monitor) -> None:
    monitor.answers["/x"] = ["endless"]
    house = build(job(monitor, url="/x", timeout="2s"))
    await run(house)
    await house.supervisor.close(5)
    assert monitor.paths() == ["/x"]
    assert records(house, "Heartbeats are left unsent") == []


async def test_the_end_does_not_wait_for_one_that_hangs(build: Build, monitor: Monitor) -> None:
    monitor.answers["/x"] = ["hang"]
    house = build(job(monitor, url="/x", timeout=30))
    await run(house)
    await house.until(lambda: monitor.got)
    began = time.monotonic()
    await house.supervisor.close(0.1)
    assert time.monotonic() - began < 15
    assert len(records(house, "Heartbeats are left unsent")) == 1


async def test_disabled_is_silent(build: Build, monitor: Monitor) -> None:
    house = build(job(monitor, url="/x", enabled=False))
    await run(house)
    await house.supervisor.close(5)
    assert monitor.got == []


@contextmanager
def another() -> Iterator[Monitor]:
    made = Monitor()
    try:
        yield made
    finally:
        made.close()


async def test_without_a_thread_they_wait_for_the_next(
    build: Build, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = build(job(monitor, start_url="/start", success_url="/good"))
    start = threading.Thread.start

    def refused(thread: threading.Thread) -> None:
        if thread.name == "heartbeat":
            raise RuntimeError("can't start new thread")
        start(thread)

    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", refused)
        assert await run(house) == 0, "the run is not held up"
    assert monitor.got == []
    assert await run(house) == 0
    await house.until(lambda: len(monitor.got) == 4)
    assert monitor.paths() == ["/start", "/good"] * 2
    assert records(house, "Heartbeats wait")
