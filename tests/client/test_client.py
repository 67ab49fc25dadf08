"""Both clients, over httpx and over sockets, against a real HTTP server: what they send and return."""

from __future__ import annotations

import asyncio
import socket
from queue import Queue
from typing import TYPE_CHECKING, TypeVar

import msgspec
import pytest

from cbox_init.client import (
    ActionReply,
    ApiError,
    AsyncClient,
    Client,
    ClientError,
    DaemonUnreachable,
    Health,
    LogFilters,
    MissedEvent,
    ScaledReply,
    ScaleReply,
    StreamFilters,
    UnknownProcess,
    run_of,
)
from cbox_init.client.address import ClientSettings
from cbox_init.client.socket_transport import SocketTransport

from .fake import (
    Answer,
    FakeDaemon,
    daemon_entry,
    event,
    fake_daemon,
    instance,
    line,
    listed,
    process,
    raw_server,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

T = TypeVar("T")
BASE = "/api/v1"
WEB = f"{BASE}/processes/web"


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "api.sock")


@pytest.fixture
def daemon(path: str) -> Iterator[FakeDaemon]:
    with fake_daemon(path) as daemon:
        yield daemon


def both(
    path: str,
    ordinary: Callable[[Client], T],
    asynchronous: Callable[[AsyncClient], Awaitable[T]],
    *,
    timeout_s: float = 5.0,
) -> T:
    """The result of a call, the same from both clients and over each transport."""

    async def run() -> T:
        async with AsyncClient.connect(socket=path, timeout_s=timeout_s) as client:
            return await asynchronous(client)

    with Client.connect(socket=path, timeout_s=timeout_s) as client:
        first = ordinary(client)
    with over_sockets(path, timeout_s) as client:
        assert ordinary(client) == first
    assert asyncio.run(run()) == first
    return first


def over_sockets(path: str, timeout_s: float = 5.0) -> Client:
    """The client as the command line has it."""
    return Client(SocketTransport(ClientSettings.of(None, path, None, timeout_s)))


def error_of(path: str, kind: type[ClientError], *, timeout_s: float = 5.0) -> str:
    """The text of the error of a call for the list, the same from both clients.

    Over sockets too, but for what the two parsers of HTTP say of an answer that is not HTTP.
    """

    async def run() -> None:
        async with AsyncClient.connect(socket=path, timeout_s=timeout_s) as client:
            await client.processes()

    with pytest.raises(kind) as ordinary, Client.connect(socket=path, timeout_s=timeout_s) as client:
        client.processes()
    with pytest.raises(kind) as asynchronous:
        asyncio.run(run())
    with pytest.raises(kind) as small, over_sockets(path, timeout_s) as client:
        client.processes()
    assert str(ordinary.value) == str(asynchronous.value)
    head = "does not speak HTTP as cbox-init does"
    assert str(small.value).partition(head)[:2] == str(ordinary.value).partition(head)[:2]
    assert "\n" not in str(small.value)
    assert "\n" not in str(ordinary.value)
    return str(ordinary.value)


def test_daemon(daemon: FakeDaemon, path: str) -> None:
    daemon.answers[f"GET {BASE}/daemon"] = Answer(daemon_entry())
    assert both(path, Client.daemon, AsyncClient.daemon) == daemon_entry()


def test_health(daemon: FakeDaemon, path: str) -> None:
    daemon.answers[f"GET {BASE}/health"] = Answer({"status": "healthy"})
    assert both(path, Client.health, AsyncClient.health) == Health("healthy")


def test_openapi(daemon: FakeDaemon, path: str) -> None:
    daemon.answers[f"GET {BASE}/openapi.json"] = Answer({"openapi": "3.1.0"})
    assert both(path, Client.openapi, AsyncClient.openapi) == {"openapi": "3.1.0"}


def test_the_list_and_one_of_it(daemon: FakeDaemon, path: str) -> None:
    web, queue = process(instance()), process(name="queue")
    daemon.answers[f"GET {BASE}/processes"] = listed(web, queue)
    assert both(path, Client.processes, AsyncClient.processes) == (web, queue)
    assert both(path, lambda c: c.status("queue"), lambda c: c.status("queue")) == queue
    with pytest.raises(UnknownProcess, match="process not found: nobody"):
        both(path, lambda c: c.status("nobody"), lambda c: c.status("nobody"))


def test_members_that_this_version_does_not_know_do_not_confuse(daemon: FakeDaemon, path: str) -> None:
    entry = {**msgspec.to_builtins(process(instance())), "tomorrow": {"x": 1}, "state": "frozen"}
    daemon.answers[f"GET {BASE}/processes"] = Answer({"processes": [entry], "more": 1})
    with Client.connect(socket=path) as client:
        assert client.status("web").state == "frozen"


def test_the_configuration_of_a_process(daemon: FakeDaemon, path: str) -> None:
    daemon.answers[f"GET {WEB}"] = Answer({"process": "web", "config": {"scale": 2}})
    detail = both(path, lambda c: c.process("web"), lambda c: c.process("web"))
    assert (detail.process, detail.config) == ("web", {"scale": 2})


CHANGES: dict[str, object] = dict.fromkeys(("added", "changed", "adjusted", "removed", "kept"), ())


def test_the_configuration_as_a_whole(daemon: FakeDaemon, path: str) -> None:
    reply = {"status": "reloaded", "message": "m", **CHANGES, "needs_restart": ["x"], "warnings": []}
    daemon.answers[f"POST {BASE}/config/reload"] = Answer(reply)
    daemon.answers[f"POST {BASE}/config/reload?dry_run=true"] = Answer({**reply, "status": "dry_run"})
    daemon.answers[f"POST {BASE}/config/save"] = Answer({"status": "saved", "message": "m"})
    reloaded = both(path, Client.reload_config, AsyncClient.reload_config)
    assert (reloaded.status, reloaded.needs_restart) == ("reloaded", ("x",))
    tried = both(path, lambda c: c.reload_config(dry_run=True), lambda c: c.reload_config(dry_run=True))
    assert tried.status == "dry_run"
    assert both(path, Client.save_config, AsyncClient.save_config).status == "saved"
    dry = {"status": "dry_run", "message": "m", "diff": "+a"}
    daemon.answers[f"POST {BASE}/config/save?dry_run=true"] = Answer(dry)
    saved = both(path, lambda c: c.save_config(dry_run=True), lambda c: c.save_config(dry_run=True))
    assert saved.diff == "+a"


def test_the_configuration_and_checks_of_it(daemon: FakeDaemon, path: str) -> None:
    shown: dict[str, object] = {
        "path": None,
        "config": {"processes": {}},
        "unsaved": False,
        "diff": "",
        "file_errors": [],
    }
    daemon.answers[f"GET {BASE}/config"] = Answer(shown)
    assert both(path, Client.config, AsyncClient.config).config == {"processes": {}}
    problem = {"field": "a", "message": "b", "recommendation": "", "severity": "error"}
    daemon.answers[f"POST {BASE}/config/validate"] = Answer(
        {"valid": False, "errors": [problem], "warnings": [], "suggestions": []}
    )
    keys = {"command": ["a"]}
    found = (
        both(path, lambda c: c.validate_process("web", keys), lambda c: c.validate_process("web", keys)),
        both(path, lambda c: c.validate_config("processes:"), lambda c: c.validate_config("processes:")),
        both(path, lambda c: c.validate_config({"a": 1}), lambda c: c.validate_config({"a": 1})),
    )
    assert {one.errors[0].field for one in found} == {"a"}
    bodies = [msgspec.json.decode(sent.body) for sent in daemon.sent if sent.path.endswith("/validate")]
    assert bodies[::3] == [
        {"name": "web", "process": keys},
        {"yaml": "processes:"},
        {"config": {"a": 1}},
    ]


def test_edits(daemon: FakeDaemon, path: str) -> None:
    def answer(status: str) -> Answer:
        return Answer({"status": status, "process": "web", "message": "m"})

    keys = {"command": ["a"]}
    daemon.answers[f"POST {BASE}/processes"] = answer("created")
    daemon.answers[f"PUT {WEB}"] = answer("updated")
    daemon.answers[f"DELETE {WEB}"] = answer("removed")
    created = both(path, lambda c: c.add_process("web", keys), lambda c: c.add_process("web", keys))
    updated = both(path, lambda c: c.update_process("web", keys), lambda c: c.update_process("web", keys))
    removed = both(path, lambda c: c.remove_process("web"), lambda c: c.remove_process("web"))
    assert [one.status for one in (created, updated, removed)] == ["created", "updated", "removed"]
    bodies = [sent.body for sent in daemon.sent]
    assert msgspec.json.decode(bodies[0]) == {"name": "web", "process": keys}
    assert msgspec.json.decode(bodies[3]) == {"process": keys}


def test_every_problem_is_in_the_error(daemon: FakeDaemon, path: str) -> None:
    daemon.answers[f"POST {BASE}/config/reload"] = Answer({"error": "no", "details": ["a", "b"]}, 422)
    with pytest.raises(ApiError, match="no: a; b") as caught, Client.connect(socket=path) as client:
        client.reload_config()
    assert (caught.value.status, caught.value.details) == (422, ("a", "b"))


def test_commands(daemon: FakeDaemon, path: str) -> None:
    for action in ("start", "stop", "restart"):
        reply = {"message": f"{action} initiated", "process": "web", "change": "5a-1", "newer": "an addition"}
        daemon.answers[f"POST {WEB}/{action}"] = Answer(reply, 202)
    assert both(path, lambda c: c.start("web"), lambda c: c.start("web")).message == "start initiated"
    assert both(path, lambda c: c.stop("web"), lambda c: c.stop("web")).message == "stop initiated"
    expected = ActionReply("restart initiated", "web", "5a-1")
    assert both(path, lambda c: c.restart("web"), lambda c: c.restart("web")) == expected
    assert {sent.body for sent in daemon.sent} == {b""}


def test_scale(daemon: FakeDaemon, path: str) -> None:
    reply = {"message": "scale initiated", "process": "web", "scale": 3}
    daemon.answers[f"POST {WEB}/scale"] = Answer(reply, 202)
    assert both(path, lambda c: c.scale("web", 3), lambda c: c.scale("web", 3)) == ScaleReply(
        "scale initiated", "web", 3
    )
    assert {sent.body for sent in daemon.sent} == {b'{"scale":3}'}
    assert {sent.headers["content-type"] for sent in daemon.sent} == {"application/json"}


def test_scale_by(daemon: FakeDaemon, path: str) -> None:
    daemon.answers[f"POST {WEB}/scale"] = Answer({"status": "scaled", "process": "web", "delta": -1})
    reply = both(path, lambda c: c.scale_by("web", -1), lambda c: c.scale_by("web", -1))
    assert reply == ScaledReply(status="scaled", process="web", delta=-1)
    assert {sent.body for sent in daemon.sent} == {b'{"delta":-1}'}


def test_logs(daemon: FakeDaemon, path: str) -> None:
    answer = Answer({"scope": "stack", "limit": 100, "count": 1, "logs": [line("hello")]})
    daemon.answers[f"GET {BASE}/logs?limit=100&order=desc"] = answer
    daemon.answers[f"GET {WEB}/logs?limit=5&order=asc&level=warn"] = answer
    assert both(path, Client.logs, AsyncClient.logs).logs == (line("hello"),)
    both(
        path,
        lambda c: c.logs("web", limit=5, level="warn", order="asc"),
        lambda c: c.logs("web", limit=5, level="warn", order="asc"),
    )


def test_logs_that_are_chosen(daemon: FakeDaemon, path: str) -> None:
    answer = Answer({"scope": "stack", "limit": 100, "count": 0, "logs": []})
    query = "limit=100&order=desc&process=web&process=a%26b&stream=stdout&stream=stderr&instance=web-0"
    query += "&since=1795511283.500000&until=5m&grep=a+b%25&ignore_case=true"
    daemon.answers[f"GET {BASE}/logs?{query}"] = answer
    daemon.answers[f"GET {BASE}/logs?limit=100&order=desc"] = answer
    filters: LogFilters = {
        "stream": ("stdout", "stderr"),
        "instance": "web-0",
        "since": 1795511283.5,
        "until": "5m",
        "grep": "a b%",
        "ignore_case": True,
    }
    both(path, lambda c: c.logs("web", "a&b", **filters), lambda c: c.logs("web", "a&b", **filters))
    nothing: LogFilters = {"level": None, "stream": (), "since": None, "grep": "", "ignore_case": False}
    both(path, lambda c: c.logs(**nothing), lambda c: c.logs(**nothing))


def test_what_is_no_text_is_not_sent(path: str) -> None:
    with Client.connect("http://localhost:1") as client:
        with pytest.raises(ClientError, match=r"'\\udcff' cannot be sent"):
            client.logs(grep="\udcff")
        with pytest.raises(ClientError, match=r"'\\udcff' is not the name of a process"):
            client.logs("\udcff")


def test_log_outputs(daemon: FakeDaemon, path: str) -> None:
    counts = {"written": 1, "dropped": 2, "queued_bytes": 3}
    one = {"type": "stdout", "target": "stdout", **counts}
    daemon.answers[f"GET {BASE}/logs/outputs"] = Answer({"outputs": [one], "rate_limited": {"web": 4}})
    reply = both(path, Client.log_outputs, AsyncClient.log_outputs)
    (found,) = reply.outputs
    assert reply.rate_limited == {"web": 4}
    assert (found.type, found.written, found.dropped, found.queued_bytes) == ("stdout", 1, 2, 3)


def test_notifications(daemon: FakeDaemon, path: str) -> None:
    figures = dict.fromkeys(("waiting", "sent", "failed", "dropped", "retries"), 1)
    one = {"name": "ops", "type": "command", "events": ["problems"], "processes": [], **figures}
    daemon.answers[f"GET {BASE}/notifications"] = Answer({"notifications": [one]})
    (found,) = both(path, Client.notifications, AsyncClient.notifications).notifications
    assert (found.name, found.sent, found.template) == ("ops", 1, msgspec.UNSET)
    tested = {"notification": "a/b", "delivered": False, "error": "no"}
    daemon.answers[f"POST {BASE}/notifications/a%2Fb/test"] = Answer(tested)
    reply = both(
        path, lambda client: client.test_notification("a/b"), lambda client: client.test_notification("a/b")
    )
    assert (reply.delivered, reply.error) == (False, "no")


@pytest.mark.parametrize(
    ("name", "segment"),
    [
        ("a/b", "a%2Fb"),
        ("a b?c#d", "a%20b%3Fc%23d"),
        ("..", "%2E%2E"),
        (".", "%2E"),
        ("...", "..."),
        ("grün", "gr%C3%BCn"),
        ("100%", "100%25"),
    ],
)
def test_names_are_encoded(daemon: FakeDaemon, path: str, name: str, segment: str) -> None:
    sent = f"{BASE}/processes/{segment}/stop"
    daemon.answers[f"POST {sent}"] = Answer({"message": "stop initiated", "process": name}, 202)
    assert both(path, lambda c: c.stop(name), lambda c: c.stop(name)).process == name


def test_an_empty_name_is_refused_here() -> None:
    with pytest.raises(ClientError, match="is empty"), Client.connect("http://localhost:1") as client:
        client.stop("")


def test_over_tcp_below_a_path_with_a_token() -> None:
    with fake_daemon() as daemon:
        daemon.answers[f"GET /base{BASE}/health"] = Answer({"status": "healthy"})
        with Client.connect(f"{daemon.url}/base/", token=" Bearer secret\n") as client:
            assert client.health().status == "healthy"
            assert client.address == f"{daemon.url}/base"
        assert daemon.sent[0].headers["authorization"] == "Bearer secret"


def test_the_token_of_the_environment_is_for_tcp_alone(
    daemon: FakeDaemon, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CBOX_INIT_API_AUTH", "secret")
    with fake_daemon() as over_tcp:
        for fake, address in ((over_tcp, (over_tcp.url, None)), (daemon, (None, path))):
            fake.answers[f"GET {BASE}/health"] = Answer({"status": "healthy"})
            with Client.connect(*address) as client:
                client.health()
        assert over_tcp.sent[0].headers["authorization"] == "Bearer secret"
        assert "authorization" not in daemon.sent[0].headers


@pytest.mark.parametrize("token", ["two words", "line\nbreak", "grün"])
def test_a_token_that_no_header_can_carry(token: str) -> None:
    with pytest.raises(ClientError, match="token has characters"):
        Client.connect("http://localhost:1", token=token)


def test_proxies_of_the_environment_are_not_used(
    daemon: FakeDaemon, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:1")
    daemon.answers[f"GET {BASE}/health"] = Answer({"status": "healthy"})
    both(path, Client.health, AsyncClient.health)
    with fake_daemon() as over_tcp:
        over_tcp.answers[f"GET {BASE}/health"] = Answer({"status": "healthy"})
        with Client.connect(over_tcp.url) as client:
            assert client.health().status == "healthy"


# -- refusals and bad luck -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "status", "text"),
    [
        (Answer({"error": "unauthorized"}, 401), 401, "--token or in CBOX_INIT_API_AUTH"),
        (Answer({"error": "cannot scale web: it is locked"}, 409), 409, "cannot scale web: it is locked"),
        (Answer({"error": "invalid", "details": ["a", "b"]}, 422), 422, "invalid: a; b"),
        (Answer(b"<html>Bad Gateway</html>", 502), 502, "status 502 and no reason"),
        (Answer({"error": 7}, 500), 500, "status 500 and no reason"),
        (Answer(b"", 301), 301, "status 301"),
        (Answer({"error": "x" * 10_000}, 400), 400, "x…"),
        (Answer(b"<html>Welcome</html>"), 200, "not the API of cbox-init"),
        (Answer({"processes": 1}), 200, "not the API of cbox-init"),
        (Answer(b'{"processes":"\xff"}'), 200, "not the API of cbox-init"),
        (Answer(b""), 200, "not the API of cbox-init"),
    ],
)
def test_what_is_refused_says_why(
    daemon: FakeDaemon, path: str, answer: Answer, status: int, text: str
) -> None:
    daemon.answers[f"GET {BASE}/processes"] = answer
    with pytest.raises(ApiError) as caught, Client.connect(socket=path) as client:
        client.processes()
    assert caught.value.status == status
    assert text in str(caught.value)
    assert len(str(caught.value)) < 700
    assert error_of(path, ApiError) == str(caught.value)


def test_nothing_is_there(path: str) -> None:
    message = error_of(path, DaemonUnreachable)
    assert message == (
        f"no daemon answers at {path}: is cbox-init running? "
        "start it with `cbox-init serve`, or say where it is with --url"
    )


def test_a_dead_socket_is_there(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
    assert error_of(path, DaemonUnreachable).startswith(f"no daemon answers at {path}: is cbox-init running?")


def test_no_daemon_on_the_port() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with (
            pytest.raises(DaemonUnreachable, match=f"no daemon answers at {url}:"),
            Client.connect(url) as client,
        ):
            client.health()


def test_a_daemon_that_hangs(path: str) -> None:
    def behave(connection: socket.socket) -> None:
        while connection.recv(65536):
            pass

    with raw_server(path, behave):
        assert "does not answer in time" in error_of(path, DaemonUnreachable, timeout_s=0.1)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (b"", "closed the connection before its answer was complete"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", "closed the connection before its answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "does not speak HTTP as cbox-init does"),
        (b"\x00\xff\x00\xff\r\n\r\n", "does not speak HTTP as cbox-init does"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nno", "does not speak HTTP"),
    ],
)
def test_a_daemon_that_talks_nonsense(path: str, answer: bytes, text: str) -> None:
    def behave(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(answer)

    with raw_server(path, behave):
        assert text in error_of(path, DaemonUnreachable)


# -- the stream ----------------------------------------------------------------------------------------

STREAM = f"GET {BASE}/logs/stream"


async def followed(path: str, *names: str) -> list[object]:
    async with AsyncClient.connect(socket=path) as client, client.follow(*names) as records:
        return [record async for record in records]


def follow(path: str, *names: str) -> list[object]:
    """What the stream yields until its end, the same from both clients."""
    with Client.connect(socket=path) as client, client.follow(*names) as records:
        seen: list[object] = list(records)
    assert asyncio.run(followed(path, *names)) == seen
    with over_sockets(path) as client, client.follow(*names) as records:
        assert list(records) == seen
    return seen


def stream(*chunks: bytes, complete: bool = True) -> Answer:
    return Answer(content_type="text/event-stream; charset=utf-8", chunks=chunks, complete=complete)


def test_follow_yields_lines_and_what_was_missed(daemon: FakeDaemon, path: str) -> None:
    one, two = event(line("one")), event(line("zwei ü", 1))
    middle = two.index("ü".encode()) + 1
    missed = b'event: missed\ndata: {"count":7}\n\n: keepalive\n\nevent: new\ndata: ?\n\n'
    missed += b"event: missed\ndata: {}\n\n"
    daemon.answers[STREAM] = stream(one + two[:middle], two[middle:] + missed)
    assert follow(path) == [line("one"), line("zwei ü", 1), MissedEvent(7), MissedEvent()]


def test_follow_names_processes(daemon: FakeDaemon, path: str) -> None:
    daemon.answers[f"{STREAM}?process=a%26b&process=web"] = stream()
    assert follow(path, "a&b", "web") == []


def test_follow_says_where_it_begins_and_what_is_wanted(daemon: FakeDaemon, path: str) -> None:
    query = (
        "process=web&tail=10&last_event_id=a-1-0&level=warn&stream=stderr&since=5m&grep=x&ignore_case=true"
    )
    daemon.answers[f"{STREAM}?{query}"] = stream(event(line("one")))
    filters: StreamFilters = {
        "level": "warn",
        "stream": ["stderr"],
        "since": "5m",
        "grep": "x",
        "ignore_case": True,
    }
    with (
        Client.connect(socket=path) as client,
        client.follow("web", tail=10, last_event_id="a-1-0", **filters) as records,
    ):
        assert list(records) == [line("one")]
    daemon.answers[f"{STREAM}?tail=0"] = stream()
    with Client.connect(socket=path) as client, client.follow(tail=0) as records:
        assert list(records) == []


def test_each_record_has_its_place(daemon: FakeDaemon, path: str) -> None:
    """Also when several come in one piece; the end has the last id, with or without an event."""
    one, two = (b"id: a-%d-0\n%b" % (number, event(line("x", number))) for number in (1, 2))
    daemon.answers[STREAM] = stream(b"retry: 2000\nid: a-1-0\n\n", one + two, b": keepalive\nid: a-9-0\n\n")
    seen: list[str | None] = []
    with Client.connect(socket=path) as client, client.follow() as records:
        seen.append(records.last_event_id)
        for _ in records:
            seen += [records.last_event_id, str(records.pending)]
        seen.append(records.last_event_id)
    assert seen == [None, "a-1-0", "True", "a-2-0", "False", "a-9-0"]

    async def places() -> list[str | None]:
        async with AsyncClient.connect(socket=path) as client, client.follow() as records:
            return [records.last_event_id async for _ in records] + [records.last_event_id]

    assert asyncio.run(places()) == ["a-1-0", "a-2-0", "a-9-0"]
    assert (run_of("a-1-0"), run_of("b-1-0")) == ("a", "b")


def test_a_stream_that_breaks_gives_what_came_and_says_so(daemon: FakeDaemon, path: str) -> None:
    daemon.answers[STREAM] = stream(event(line("one")), complete=False)
    seen = []
    with (
        pytest.raises(DaemonUnreachable, match="closed the connection before its answer was complete"),
        Client.connect(socket=path) as client,
        client.follow() as records,
    ):
        for record in records:
            seen.append(record)
    assert seen == [line("one")]
    with pytest.raises(DaemonUnreachable, match="closed the connection"):
        asyncio.run(followed(path))


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (Answer({"error": "process not found: nobody"}, 404), ApiError, "process not found: nobody"),
        (Answer({"processes": []}), ApiError, "does not send a stream of events"),
        (stream(b"event: log\ndata: {}\n\n"), ClientError, "an invalid record"),
        (stream(b"event: log\ndata: ?\n\n"), ClientError, "an invalid record"),
    ],
)
def test_a_stream_that_is_none(
    daemon: FakeDaemon, path: str, answer: Answer, kind: type[ClientError], text: str
) -> None:
    daemon.answers[STREAM] = answer
    with pytest.raises(kind, match=text):
        follow(path)
    with pytest.raises(kind, match=text):
        asyncio.run(followed(path))


def test_leaving_early_closes_the_connection(path: str) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    data = event(line("one"))
    ended: Queue[bytes] = Queue()

    def behave(connection: socket.socket) -> None:
        if not connection.recv(65536):
            return  # only seen whether anyone listens
        connection.sendall(head + b"%x\r\n%s\r\n" % (len(data), data))
        connection.settimeout(20)
        ended.put(connection.recv(1))

    async def one() -> object:
        async with AsyncClient.connect(socket=path) as client, client.follow() as records:
            return await anext(records)

    with raw_server(path, behave):
        with Client.connect(socket=path) as client, client.follow() as records:
            assert next(records) == line("one")
        assert ended.get(timeout=20) == b""
        assert asyncio.run(one()) == line("one")
        assert ended.get(timeout=20) == b""


def test_changes(daemon: FakeDaemon, path: str) -> None:
    entry = {
        "id": "5a-1",
        "kind": "restart",
        "process": "web",
        "status": "failed",
        "reason": "web-0: exit code 3",
        "actor": {"type": "system", "id": "autoscale"},
        "started_at": "2026-11-24T10:49:28.120Z",
        "progress": {"done": 0, "total": 1},
        "instances": [{"id": "web-0", "process": "web", "status": "failed", "state": "failed"}],
        "version": 3,
    }
    daemon.answers[f"GET {BASE}/changes/5a-1"] = daemon.answers[f"DELETE {BASE}/changes/5a-1"] = Answer(entry)
    daemon.answers[f"GET {BASE}/changes/5a-1?wait=1.500&seen=2"] = Answer(entry)
    daemon.answers[f"GET {BASE}/changes?limit=5&process=w%2A&status=failed"] = Answer(
        {"changes": [entry], "count": 1, "limit": 5}
    )
    daemon.answers[f"POST {WEB}/start"] = Answer({"message": "start initiated", "process": "web"}, 202)
    one = both(path, lambda c: c.change("5a-1"), lambda c: c.change("5a-1"))
    assert (one.reason, one.instances[0].id, one.progress.total) == ("web-0: exit code 3", "web-0", 1)
    waited = both(
        path,
        lambda c: c.change("5a-1", wait_s=1.5, seen=2),
        lambda c: c.change("5a-1", wait_s=1.5, seen=2),
    )
    found = both(
        path,
        lambda c: c.changes(process="w*", status="failed", limit=5),
        lambda c: c.changes(process="w*", status="failed", limit=5),
    )
    assert (waited, found.changes) == (one, (one,))
    assert both(path, lambda c: c.abandon_change("5a-1"), lambda c: c.abandon_change("5a-1")) == one
    both(path, lambda c: c.start("web", key="17"), lambda c: c.start("web", key="17"))
    assert daemon.sent[-1].headers["idempotency-key"] == "17"
