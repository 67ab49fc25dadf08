"""``/readyz`` and ``/livez`` over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from cbox_init.api.http import limits, places
from cbox_init.api.http.limits import PROBE_LIMITS
from cbox_init.api.readyz import ReadyzServer
from cbox_init.core.states import State
from cbox_init.errors import ListenError
from cbox_init.telemetry.vitals import Vitals
from tests.ports import free_port
from tests.supervisor.health.certificates import make_certificate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.supervisor.house import Build, House

WEB = "{web: {command: [sleep, '1000']}}"


class Served:
    """A supervisor whose readiness is served."""

    def __init__(self, house: House, port: int) -> None:
        self.house = house
        self.port = port

    async def ask(self, request: str | bytes) -> tuple[int, dict[str, str], bytes]:
        """The status, the headers and the body of the answer to what is sent."""
        data = request if isinstance(request, bytes) else f"{request}\r\nhost: x\r\n\r\n".encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            answer = await asyncio.wait_for(reader.read(), 20)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        head, _, body = answer.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        return int(first.split()[1]), dict(line.split(": ") for line in lines), body

    async def status(self, path: str) -> int:
        return (await self.ask(f"GET {path} HTTP/1.1"))[0]


@contextlib.asynccontextmanager
async def serve(build: Build, processes: str = WEB, more: str = "") -> AsyncIterator[Served]:
    port = free_port()
    keys = f"enabled: true, path: '', http_host: 127.0.0.1, http_port: {port}{more}"
    house = build(f"global: {{readiness: {{{keys}}}}}\nprocesses: {processes}")
    server = ReadyzServer.bind(house.supervisor.config.global_)
    assert server
    assert server.addresses() == (() if "http_tls" in more else (f"http://127.0.0.1:{port}",))
    readiness = house.supervisor.lifecycle.readiness
    assert readiness
    await server.serve(asyncio.get_running_loop(), readiness, house.logs.daemon, Vitals())
    try:
        yield Served(house, port)
    finally:
        await server.close()


async def test_ready_and_not_ready(build: Build) -> None:
    async with serve(build) as served:
        await served.house.until_state("web", State.RUNNING)
        status, headers, body = await served.ask("GET /readyz HTTP/1.1")
        assert status == 200
        assert headers["content-type"] == "application/json"
        entry = {"name": "web", "state": "running", "health": "healthy"}
        assert json.loads(body) == {"ready": True, "processes": [entry]}
        served.house.supervisor.stop("web")
        await served.house.until_state("web", State.STOPPED)
        status, _, body = await served.ask("GET /readyz?verbose HTTP/1.0")
        assert status == 503
        entry = {"name": "web", "state": "stopped", "health": "unhealthy"}
        assert json.loads(body) == {"ready": False, "processes": [entry]}
        assert (await served.ask("GET /livez HTTP/1.1"))[2] == b'{"status":"alive"}'


async def test_it_is_not_ready_as_soon_as_the_shutdown_begins(build: Build) -> None:
    async with serve(build) as served:
        await served.house.until_state("web", State.RUNNING)
        assert await served.status("/readyz") == 200
        served.house.supervisor.shutdown("test")
        assert await served.status("/readyz") == 503
        assert await served.status("/livez") == 200
        await served.house.ended()
        assert await served.status("/readyz") == 503


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /readyz HTTP/1.1\nhost: x\n\n", 200),
        (b"HEAD /readyz HTTP/1.1\r\n\r\n", 200),
        (b"POST /readyz HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc", 405),
        (b"GET / HTTP/1.1\r\n\r\n", 404),
        (b"GET /readyz/ HTTP/1.1\r\n\r\n", 404),
        (b"GET /readyz HTTP/2\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00 what a client says that wants TLS \r\n\r\n", 400),
        (b"GET /" + b"x" * PROBE_LIMITS.head_bytes, 431),
    ],
)
async def test_what_is_asked(build: Build, request_: bytes, status: int) -> None:
    async with serve(build) as served:
        await served.house.until_state("web", State.RUNNING)
        answer, headers, body = await served.ask(request_)
        assert answer == status
        assert headers["connection"] == "close"
        assert headers.get("allow") == ("GET, HEAD" if status == 405 else None)
        assert len(body) == (0 if request_.startswith(b"HEAD") else int(headers["content-length"]))


async def test_a_request_in_pieces(build: Build) -> None:
    async with serve(build) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        for piece in (b"GET /li", b"vez HTTP/1.1\r\n", b"\r\n"):
            writer.write(piece)
            await writer.drain()
        assert b"alive" in await asyncio.wait_for(reader.read(), 20)
        writer.close()


async def test_clients_that_say_nothing_hold_nothing(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PROBE_LIMITS", replace(PROBE_LIMITS, head_s=0.1))
    async with serve(build) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        assert (await asyncio.wait_for(reader.read(), 20)).startswith(b"HTTP/1.1 408 ")
        writer.close()


async def test_clients_that_say_nothing_keep_no_probe_out(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "_SHARE_OF_FILES", 1 << 30)  # as with a low limit of open files
    async with serve(build) as served:
        silent = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(4)]
        assert await served.status("/livez") == 200
        oldest, *_, youngest = silent
        assert await asyncio.wait_for(oldest[0].read(), 20) == b"", "it made room"
        youngest[1].write(b"GET /livez HTTP/1.1\r\n\r\n")
        assert (await asyncio.wait_for(youngest[0].read(), 20)).startswith(b"HTTP/1.1 200 ")
        for _, writer in silent:
            writer.close()


async def test_tls(build: Build, tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path, "localhost")
    more = f", http_tls: {{enabled: true, cert_file: {certificate.cert}, key_file: {certificate.key}}}"
    async with serve(build, more=more) as served:
        await served.house.until(lambda: "Readiness listening" in served.house.messages())
        context = ssl.create_default_context(cafile=str(certificate.cert))
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", served.port, ssl=context, server_hostname="localhost"
        )
        writer.write(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert (await asyncio.wait_for(reader.read(), 20)).endswith(b'{"status":"alive"}')
        writer.close()
        plain = await asyncio.open_connection("127.0.0.1", served.port)
        plain[1].write(b"GET /livez HTTP/1.1\r\n\r\n")
        assert (await asyncio.wait_for(plain[0].read(), 20)).startswith(b"HTTP/1.1 400 ")
        plain[1].close()


async def test_the_port_stays_shut_without_a_certificate(build: Build) -> None:
    async with serve(
        build, more=", http_tls: {enabled: true, cert_file: /nowhere.pem, key_file: /nowhere}"
    ) as served:
        said = (
            "The readiness port is not opened until this is fixed: global.readiness.http_tls.cert_file: /no"
        )
        await served.house.until(lambda: any(one.startswith(said) for one in served.house.messages()))
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", served.port)


async def test_a_port_that_is_taken_names_the_key(build: Build) -> None:
    house = build(f"processes: {WEB}", start=False)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        from cbox_init.config.model import GlobalConfig, ReadinessConfig

        settings = ReadinessConfig(enabled=True, http_host="127.0.0.1", http_port=port)
        with pytest.raises(ListenError, match=r"another global\.readiness\.http_port"):
            ReadyzServer.bind(GlobalConfig(readiness=settings))
    assert house.supervisor.lifecycle.readiness is None


def test_nothing_is_bound_when_nothing_is_asked_for() -> None:
    from cbox_init.config.model import GlobalConfig, ReadinessConfig

    for settings in (
        None,
        ReadinessConfig(enabled=True),
        ReadinessConfig(enabled=False, http_port=1),
    ):
        assert ReadyzServer.bind(GlobalConfig(readiness=settings)) is None
