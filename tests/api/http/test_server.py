"""One server under clients that do what they should not, and errors that are contained where they happen."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import os
import resource
import socket
import ssl
import weakref
from typing import TYPE_CHECKING, Any, cast

import pytest

from cbox_init.api.http import server
from cbox_init.api.http.limits import API_LIMITS
from cbox_init.api.http.plain import PlainHandler, PlainReply
from cbox_init.api.http.server import HttpServer
from cbox_init.api.http.tls import TlsTransport
from tests.api.http.running import DEADLINE_S, Log, Run, Running, closing, echo, get, streaming, trusting
from tests.garbage import no_cycles

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from cbox_init.api.http.plain import PlainPaths

# -- what HTTP allows --------------------------------------------------------------------------------------


@pytest.mark.parametrize("upgrade", ["h2c", "websocket", "TLS/1.0"])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_behind_an_upgrade_is_taken(run: Run, upgrade: str, chunked: bool) -> None:
    """Java's client and `curl --http2` offer HTTP/2 with each first request."""
    body = b"4\r\nhell\r\n1\r\no\r\n0\r\n\r\n" if chunked else b"hello"
    length = b"transfer-encoding: chunked" if chunked else b"content-length: 5"
    head = (
        b"POST / HTTP/1.1\r\nhost: x\r\nconnection: Upgrade, HTTP2-Settings\r\n"
        b"upgrade: %b\r\nhttp2-settings: AAEAAEAAAAIAAAAA\r\n%b\r\n\r\n" % (upgrade.encode(), length)
    )
    answer = await run(echo).raw(head + body + closing(get()))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"\r\n\r\nhelloHTTP/1.1 200 " in answer, "and the connection goes on in HTTP/1.1"


async def test_http_1_0_gets_no_chunks(run: Run) -> None:
    answer = await run(streaming(3)).raw(b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head
    assert b"connection: close" in head
    assert body == b"x" * 30


async def test_http_1_1_gets_chunks(run: Run) -> None:
    answer = await run(streaming(2)).raw(closing(get()))
    assert answer.endswith(
        b"transfer-encoding: chunked\r\nconnection: close\r\n\r\n"
        b"a\r\nxxxxxxxxxx\r\na\r\nxxxxxxxxxx\r\n0\r\n\r\n"
    )


async def test_a_client_that_has_said_all_gets_its_answer(run: Run) -> None:
    post = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello"
    answer = await run(echo).raw(get() * 5 + post, eof=True)
    assert answer.count(b"HTTP/1.1 200 ") == 6
    assert answer.endswith(b"hello")


async def test_each_request_of_a_connection_may_have_a_body(run: Run) -> None:
    chunked = b"POST /c HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    sized = b"POST /s HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nde"
    running = run(echo)
    data = (chunked + sized + get("/g")) * 3 + closing(get("/last"))
    answer = await running.raw(data)
    assert [line[8:] for line in answer.split(b"\r\n") if line.startswith(b"x-path")] == (
        [b"/c", b"/s", b"/g"] * 3 + [b"/last"]
    )
    reader, writer = await running.connect()
    for byte in data:
        writer.write(bytes((byte,)))
        await writer.drain()
    assert (await asyncio.wait_for(reader.read(), DEADLINE_S)).count(b" 200 OK") == 10
    writer.close()


# -- what is wrong -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nz\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 20_000,
    ],
)
@pytest.mark.parametrize("before", [0, 1, 2])
async def test_a_body_that_is_wrong_is_400_behind_the_answers_before(
    run: Run, data: bytes, before: int
) -> None:
    answer = await run(echo).raw(get() * before + data)
    assert answer.count(b"HTTP/1.1 200 ") == before
    assert answer.count(b"HTTP/1.1 400 ") == 1
    assert b"connection: close\r\n\r\n{" in answer


async def test_a_body_that_ends_too_early_is_no_body(run: Run) -> None:
    data = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhell"
    assert (await run(echo).raw(data, eof=True)).startswith(b"HTTP/1.1 400 ")


async def test_a_client_that_is_answered_before_it_has_sent_all_can_read_the_answer(run: Run) -> None:
    """Closed at once, the kernel would answer what still comes with a reset, and the response be lost."""

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 413})
        await send({"type": "http.response.body", "body": b"too large"})

    running = run(refuse)
    reader, writer = await running.connect()
    writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999\r\n\r\n")
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), DEADLINE_S)
    assert b"connection: close" in head
    for _ in range(100):
        writer.write(b"x" * 10_000)
        await writer.drain()
    assert await asyncio.wait_for(reader.read(), DEADLINE_S) == b"too large"
    writer.close()


async def test_a_small_body_that_nobody_reads_is_skipped(run: Run) -> None:
    post = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n"
    running = run(streaming(1))
    reader, writer = await running.connect()
    writer.write(post)
    await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), DEADLINE_S)
    writer.write(b"x" * 1000 + closing(get()))
    assert (await asyncio.wait_for(reader.read(), DEADLINE_S)).startswith(b"HTTP/1.1 200 ")
    writer.close()


# -- what one client may hold ------------------------------------------------------------------------------


async def test_no_more_requests_are_read_ahead_than_are_allowed(run: Run) -> None:
    begun: list[bytes] = []
    go_on = asyncio.Event()

    async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
        begun.append(scope["raw_path"])
        await go_on.wait()
        await echo(scope, receive, send)

    running = run(waiting, requests_ahead=2, read_bytes=4096)
    reader, writer = await running.connect()
    writer.write(get() * 5_000 + closing(get("/last")))
    await running.until(lambda: begun)
    (connection,) = running.connections
    await running.until(lambda: connection._reading_paused)
    assert len(connection._queue) == 3
    assert len(connection._unparsed) <= 2 * 4096
    assert len(begun) == 1
    go_on.set()
    answer = b""
    while b"/last" not in answer[-200:]:
        answer = answer[-200:] + await asyncio.wait_for(reader.read(1 << 20), DEADLINE_S)
    assert len(begun) == 5_001
    writer.close()


async def test_a_body_is_read_no_faster_than_it_is_taken(run: Run) -> None:
    go_on = asyncio.Event()

    async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
        await go_on.wait()
        await echo(scope, receive, send)

    running = run(waiting, body_ahead_bytes=1000)
    size = 20_000_000
    reader, writer = await running.connect()
    writer.write(
        b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % size + b"x" * size
    )
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(writer.drain(), 0.3)
    (connection,) = running.connections
    assert connection._queue[0].unread <= 1000 + API_LIMITS.read_bytes
    go_on.set()
    assert len(await asyncio.wait_for(reader.read(), DEADLINE_S)) > size
    writer.close()


@pytest.mark.parametrize(
    "app", [streaming(1_000_000, 1000), streaming(1, 50_000_000)], ids=["stream", "whole"]
)
async def test_a_client_that_takes_nothing_is_cut(run: Run, app: ASGIApp) -> None:
    running = run(app, write_s=0.2, stream_write_s=0.2)
    _, writer = await running.connect()
    await running.until(lambda: running.server.connections == 1)
    writer.write(get())
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    await running.until(lambda: running.server.connections == 0)
    writer.close()
    assert running.log.said == []


async def test_a_client_that_asks_on_and_takes_nothing_is_cut(run: Run) -> None:
    """What it has asked for meanwhile waits, and does not make the server wait longer."""
    begun: list[bytes] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        begun.append(scope["raw_path"])
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"x" * 20_000_000})

    running = run(app, write_s=0.2, stream_write_s=0.2)
    _, writer = await running.connect()
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(get("/first") + get("/second") * 50)
    await running.until(lambda: begun)
    await running.until(lambda: running.server.connections == 0)
    assert begun == [b"/first"]
    writer.close()


async def test_small_responses_that_nobody_takes_do_not_heap_up(run: Run) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"x" * 50_000})

    running = run(app)
    reader, writer = await running.connect()
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(get() * 1000 + closing(get()))
    await running.until(lambda: running.server.connections and len(running.connections) == 1)
    (connection,) = running.connections
    await running.until(lambda: connection.congested)
    assert connection._transport.get_write_buffer_size() < 200_000
    writer.transport.resume_reading()  # type: ignore[attr-defined]
    size = 0
    while chunk := await asyncio.wait_for(reader.read(1 << 20), DEADLINE_S):
        size += len(chunk)
    assert size > 1001 * 50_000
    writer.close()


async def test_a_reader_of_single_bytes_is_cut(run: Run) -> None:
    running = run(streaming(1, 20_000_000), write_s=0.3, stream_write_s=0.3)
    _, writer = await running.connect()
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(get())
    await running.until(lambda: running.server.connections == 1)
    (connection,) = running.connections
    await running.until(lambda: connection.congested)
    size = connection._transport.get_write_buffer_size
    taken = iter(range(1, 1_000_000))
    connection._transport.get_write_buffer_size = lambda: size() - next(taken)  # type: ignore[method-assign]
    await running.until(lambda: running.server.connections == 0)
    writer.close()


@pytest.mark.parametrize(
    "behind",
    [get() * 10, b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 900000\r\n\r\n" + b"x" * 300_000],
    ids=["requests", "body"],
)
async def test_the_end_of_a_reader_of_a_stream_is_noticed_behind_what_it_has_asked_for(
    run: Run, behind: bytes
) -> None:
    begun, gone = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        begun.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        gone.set()

    running = run(app)
    _, writer = await running.connect()
    writer.write(get("/stream") + behind)
    await asyncio.wait_for(begun.wait(), DEADLINE_S)
    writer.write(b"x" * 300_000)
    await asyncio.wait_for(writer.drain(), DEADLINE_S)
    writer.transport.abort()
    await asyncio.wait_for(gone.wait(), DEADLINE_S)
    await running.until(lambda: running.server.connections == 0)


async def test_what_comes_behind_the_last_request_is_not_kept(run: Run) -> None:
    go_on = asyncio.Event()

    async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
        await go_on.wait()
        await echo(scope, receive, send)

    running = run(waiting)
    reader, writer = await running.connect()
    writer.write(closing(get()))
    for _ in range(100):
        writer.write(b"x" * 100_000)
        await asyncio.wait_for(writer.drain(), DEADLINE_S)
    (connection,) = running.connections
    assert len(connection._unparsed) <= API_LIMITS.read_bytes
    go_on.set()
    assert (await asyncio.wait_for(reader.read(), DEADLINE_S)).startswith(b"HTTP/1.1 200 ")
    writer.close()


# -- the same over TLS -------------------------------------------------------------------------------------


async def test_a_large_response_is_encrypted_in_many_turns(
    run: Run, tls: Callable[[], ssl.SSLContext]
) -> None:
    size = 32 * 2**20
    running = run(streaming(1, size), tls=tls)
    reader, writer = await running.connect(ssl=trusting())
    wrote: list[int] = []
    encrypt = TlsTransport._encrypt

    def counted(transport: TlsTransport) -> None:
        before = transport._plain_bytes
        encrypt(transport)
        wrote.append(before - transport._plain_bytes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TlsTransport, "_encrypt", counted)
        writer.write(closing(get()))
        received = 0
        while chunk := await asyncio.wait_for(reader.read(1 << 20), DEADLINE_S):
            received += len(chunk)
    assert received > size
    assert sum(wrote) >= size
    assert max(wrote) <= 64 * 1024
    writer.close()


async def test_tls_client_that_takes_nothing_is_cut(run: Run, tls: Callable[[], ssl.SSLContext]) -> None:
    running = run(streaming(1, 32 * 2**20), tls=tls, write_s=1.0, stream_write_s=1.0)
    _, writer = await running.connect(ssl=trusting())
    await running.until(lambda: running.server.connections == 1)
    writer.write(get() * 5)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    (connection,) = running.connections
    await running.until(lambda: connection.congested)
    await running.until(lambda: running.server.connections == 0)
    assert cast("TlsTransport", connection._transport)._plain_bytes == 0
    writer.transport.abort()
    assert running.log.said == []


async def test_half_closed_tls_client_gets_all(run: Run, tls: Callable[[], ssl.SSLContext]) -> None:
    """The end of TCP without that of TLS, while most of the response is not encrypted yet."""
    size = 3_000_000
    running = run(streaming(1, size), tls=tls)

    def exchange() -> int:
        with socket.create_connection(running.listener.getsockname(), timeout=DEADLINE_S) as raw:
            client = trusting().wrap_socket(raw, suppress_ragged_eofs=True)
            client.sendall(get())
            socket.socket.shutdown(client, socket.SHUT_WR)
            received = 0
            with contextlib.suppress(ssl.SSLError):
                while chunk := client.recv(1 << 16):
                    received += len(chunk)
            client.close()
            return received

    assert await asyncio.to_thread(exchange) > size


async def test_a_client_that_takes_slowly_is_served_to_the_end(run: Run) -> None:
    running = run(streaming(1, 3_000_000), write_s=2.0)
    reader, writer = await running.connect()
    writer.write(closing(get()))
    size = 0
    while chunk := await asyncio.wait_for(reader.read(150_000), DEADLINE_S):
        size += len(chunk)
        await asyncio.sleep(0.12)  # in all longer than write_s
    assert size > 3_000_000
    writer.close()


async def test_closing_does_not_wait_for_a_reader_that_does_not_take_the_end_of_a_stream(run: Run) -> None:
    """Also not for one whose stream is over, with the last part of it in the buffer of the connection."""
    written = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        (connection,) = running.connections
        while not connection._transport.get_write_buffer_size():  # until the kernel takes no more
            await send({"type": "http.response.body", "body": b"x" * 20_000, "more_body": True})
        written.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        await send({"type": "http.response.body", "body": b"the end"})

    running = run(app)
    _, writer = await running.connect()
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(get())
    await asyncio.wait_for(written.wait(), DEADLINE_S)
    (connection,) = running.connections
    connection._queue[0].disconnect()  # as `Streams.end` at the end of the daemon
    await running.until(lambda: not connection._queue)
    assert running.server.connections == 1, "the end waits in the buffer"
    await asyncio.wait_for(running.server.close(60), DEADLINE_S)
    writer.close()


# -- accept(2) that fails ----------------------------------------------------------------------------------


class Exhausted:
    """A listener that has no descriptor for a connection while ``lacking``."""

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self.lacking = True
        self.asked = 0

    def fileno(self) -> int:
        return self.listener.fileno()

    def setsockopt(self, *option: Any) -> None:
        self.listener.setsockopt(*option)

    def accept(self) -> tuple[socket.socket, object]:
        self.asked += 1
        if self.lacking:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return self.listener.accept()


async def test_without_descriptors_accept_is_tried_at_intervals_and_said_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "ACCEPT_AGAIN_S", 0.02)
    log = Log()
    running = Running(PlainHandler({b"/": lambda: PlainReply(200, b"ok")}, log), log)
    running.server.stop_accepting()
    running.listener.close()
    lacking = Exhausted(socket.create_server(("127.0.0.1", 0)))
    lacking.listener.setblocking(False)
    running.listener = lacking.listener
    running.server = HttpServer(
        asyncio.get_running_loop(),
        PlainHandler({b"/": lambda: PlainReply(200, b"ok")}, log),
        API_LIMITS,
        log,
    )
    running.server.serve((lacking,))  # type: ignore[arg-type]
    waiting = asyncio.create_task(running.raw(closing(get())))
    await running.until(lambda: lacking.asked >= 5)
    assert log.said == [
        (
            "Connections cannot be accepted, tried again at intervals",
            {"error": "OSError: [Errno 24] Too many open files", "suppressed": None, "traceback": None},
        )
    ]
    running.server._accept_failed._said_at = -1e9  # as a minute later
    await running.until(lambda: len(log.said) == 2)
    assert log.said[1][1]["suppressed"] >= 4
    lacking.lacking = False
    assert (await waiting).endswith(b"ok")
    running.server.abort()
    await running.until(lambda: running.server.connections == 0)
    lacking.listener.close()


async def test_accepting_goes_on_after_the_kernel_had_no_memory_to_watch_the_port(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "ACCEPT_AGAIN_S", 0.02)
    running = run(echo)
    loop = asyncio.get_running_loop()
    add_reader = loop.add_reader
    failing = [OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)) for _ in range(3)]

    def fail(fd: Any, *rest: Any) -> Any:
        if fd is running.listener and failing:
            raise failing.pop()
        return add_reader(fd, *rest)

    monkeypatch.setattr(loop, "add_reader", fail)
    running.server._pause()
    running.server._resume()
    assert len(failing) == 2
    assert (await running.raw(closing(get()))).startswith(b"HTTP/1.1 200 ")
    assert not failing
    assert len(running.log.said) == 1


async def test_silent_connections_make_room_where_descriptors_are_short(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is the kernel's; our ends of the connections count too."""
    running = run(echo)
    silent = [await running.connect() for _ in range(40)]
    await running.until(lambda: running.server.connections == 40)
    lowest = os.dup(0)
    os.close(lowest)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 1, hard))  # room for our end, and none for theirs
    try:
        reader, writer = await running.connect()
        writer.write(closing(get()))
        assert (await asyncio.wait_for(reader.read(), DEADLINE_S)).startswith(b"HTTP/1.1 200 ")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    ((_, fields),) = running.log.said
    assert fields["error"] == "OSError: [Errno 24] Too many open files"
    for _, one in (*silent, (reader, writer)):
        one.close()


async def test_a_connection_that_cannot_be_set_up_harms_no_other(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = run(echo)
    loop = asyncio.get_running_loop()
    connect = loop.connect_accepted_socket
    failing = [OSError(errno.ENOMEM, "Cannot allocate memory")]

    async def fail_once(*args: Any, **kwargs: Any) -> object:
        if failing:
            raise failing.pop()
        return await connect(*args, **kwargs)

    monkeypatch.setattr(loop, "connect_accepted_socket", fail_once)
    with contextlib.suppress(ConnectionError):
        assert await running.raw(get()) == b""
    assert (await running.raw(closing(get()))).startswith(b"HTTP/1.1 200 ")
    assert len(running.log.said) == 1


# -- applications that fail --------------------------------------------------------------------------------


async def broken(scope: Scope, receive: Receive, send: Send) -> None:
    """Fails at the point that the path names."""
    if scope["path"] == "/good":
        await echo(scope, receive, send)
        return
    if scope["path"] == "/nothing":
        return
    if scope["path"] != "/before":
        headers = [(b"content-length", b"9")] if scope["path"] in ("/short", "/long") else []
        if scope["path"] == "/header":
            headers = [(b"x", b"a\r\nset-cookie: b")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send(
            {
                "type": "http.response.body",
                "body": b"x" * (10 if scope["path"] == "/long" else 5),
                "more_body": True,
            }
        )
        if scope["path"] == "/short":
            await send({"type": "http.response.body"})
    raise ZeroDivisionError(scope["path"])


@pytest.mark.parametrize("path", ["/before", "/nothing", "/header", "/long"])
async def test_a_failure_before_the_answer_is_500(run: Run, path: str) -> None:
    running = run(broken)
    answer = await running.raw(get(path) + closing(get("/good")))
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert answer.count(b"HTTP/1.1 200 ") == 1, "and the connection goes on"
    assert b"set-cookie" not in answer
    assert len(running.log.said) == (0 if path == "/nothing" else 1)


@pytest.mark.parametrize("path", ["/after", "/short"])
async def test_a_failure_within_an_answer_ends_its_connection_alone(run: Run, path: str) -> None:
    running = run(broken)
    reader, writer = await running.connect()
    with contextlib.suppress(ConnectionError):
        answer = await running.raw(get(path))
        assert not answer.endswith(b"0\r\n\r\n")
    writer.write(closing(get("/good")))
    assert (await asyncio.wait_for(reader.read(), DEADLINE_S)).startswith(b"HTTP/1.1 200 ")
    writer.close()


async def test_failures_are_logged_at_intervals_with_their_number(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = run(broken)
    for _ in range(20):
        await running.raw(closing(get("/before")))
    ((message, fields),) = running.log.said
    assert (message, fields["method"], fields["path"], fields["suppressed"]) == (
        "Unexpected: a request failed",
        "GET",
        "/before",
        None,
    )
    assert "ZeroDivisionError" in fields["traceback"]


async def test_a_plain_answer_that_fails_is_500_and_harms_no_other() -> None:
    log = Log()
    loop = asyncio.get_running_loop()
    late: asyncio.Future[PlainReply] = loop.create_future()
    never: asyncio.Future[PlainReply] = loop.create_future()

    def fail() -> PlainReply:
        raise ZeroDivisionError

    paths: PlainPaths = {
        b"/fail": fail,
        b"/late": lambda: late,
        b"/never": lambda: never,
        b"/good": lambda: PlainReply(200, b"ok"),
    }
    running = Running(PlainHandler(paths, log), log, keep_alive_s=0.0)
    assert (await running.raw(get("/fail"))).startswith(b"HTTP/1.1 500 ")
    asking = asyncio.create_task(running.raw(get("/late")))
    await running.until(lambda: running.server.connections == 1)
    late.set_exception(ZeroDivisionError())
    assert (await asking).startswith(b"HTTP/1.1 500 ")
    asking = asyncio.create_task(running.raw(get("/never")))
    await running.until(lambda: running.server.connections == 1)
    never.cancel()
    assert (await asking).startswith(b"HTTP/1.1 500 ")
    assert (await running.raw(get("/good"))).endswith(b"ok")
    running.server.abort()
    running.listener.close()
    await running.until(lambda: running.server.connections == 0)


async def test_a_plain_answer_that_never_comes_ends() -> None:
    log = Log()
    never: asyncio.Future[PlainReply] = asyncio.get_running_loop().create_future()
    running = Running(PlainHandler({b"/": lambda: never}, log), log, answer_s=0.1)
    with contextlib.suppress(ConnectionError):
        assert await running.raw(get()) == b""
    never.set_result(PlainReply(200, b"too late"))
    running.server.abort()
    running.listener.close()
    await running.until(lambda: running.server.connections == 0)


# -- what is left of a connection --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        get(),
        get() * 100,
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 500 + b"\r\n",
        b"no request\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf",
        b"GET / HT",
        b"",
    ],
    ids=["request", "many", "headers", "garbage", "bad_chunk", "half_a_body", "half_a_head", "nothing"],
)
@pytest.mark.parametrize("encrypted", [False, True])
async def test_a_connection_that_has_ended_is_freed_without_the_garbage_collector(
    run: Run, tls: Callable[[], ssl.SSLContext], data: bytes, encrypted: bool
) -> None:
    """In a flood the collector comes late, and each connection has up to 64 KiB of input."""
    running = run(echo, tls=tls if encrypted else None)
    gc.collect()
    gc.disable()
    try:
        reader, writer = await running.connect(**({"ssl": trusting()} if encrypted else {}))
        await running.until(lambda: running.connections)
        (ended,) = [weakref.ref(one) for one in running.connections]
        writer.write(data)
        await writer.drain()
        if data.endswith(b"\r\n"):
            assert await asyncio.wait_for(reader.read(1), DEADLINE_S)
        writer.transport.abort()
        await running.until(lambda: not running.connections)
        await running.until(lambda: ended() is None)
    finally:
        gc.enable()


@pytest.mark.parametrize("over", ["tcp", "tls", "tls-refused"])
async def test_the_transport_of_a_connection_that_has_ended_is_freed_too(
    run: Run, tls: Callable[[], ssl.SSLContext], over: str
) -> None:
    running = run(echo) if over == "tcp" else run(echo, tls=tls)

    def client() -> None:  # without asyncio, whose transports the test looks for
        with socket.create_connection(running.listener.getsockname(), DEADLINE_S) as connection:
            if over == "tls":
                with trusting().wrap_socket(connection) as encrypted:
                    encrypted.sendall(get())
                    encrypted.recv(4096)
            else:
                connection.sendall(get())
                connection.recv(4096)

    with no_cycles():
        for _ in range(3):
            await asyncio.to_thread(client)
        of = running.server._connections
        await running.until(lambda: not (of.all or of.handshakes))
