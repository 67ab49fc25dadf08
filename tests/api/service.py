"""A supervisor with real children behind real sockets of the API."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from typing import TYPE_CHECKING, NamedTuple, Protocol

import httpx

from cbox_init.api.listeners import Listeners
from cbox_init.api.server import ApiServer
from cbox_init.telemetry.vitals import Vitals
from tests.api.contract import Contract
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.supervisor.house import Build, House

WEB = """
  web:
    command: [sh, -c, "echo ready; exec sleep 1000"]
    scale: 2
    max_scale: 5
"""


class Answer(NamedTuple):
    """One reply off the wire."""

    status: int
    headers: dict[str, str]
    body: bytes


class Service:
    """The API of one house. ``unix`` and ``tcp`` are clients whose replies are held against the document."""

    def __init__(self, house: House) -> None:
        self.house = house
        settings = house.supervisor.config.global_
        self.listeners = Listeners.bind(settings)
        self.server = ApiServer(self.listeners, house.parts, settings, Vitals())
        self.server.attach(asyncio.get_running_loop())
        assert self.listeners.unix
        self.path = self.listeners.unix.path
        self.port = settings.api_port
        self.url = f"http://127.0.0.1:{self.port}"
        # Without TLS there is nothing to verify, and certificates take 20 ms a client to load.
        transport = httpx.AsyncHTTPTransport(uds=self.path, verify=False)
        self.unix = httpx.AsyncClient(transport=transport, base_url="http://unix", timeout=20)
        self.tcp = httpx.AsyncClient(base_url=self.url, timeout=20, trust_env=False, verify=False)
        self.contract: Contract

    async def open(self) -> None:
        self.contract = await Contract.fetch(self.unix)
        self.contract.watch(self.unix)
        self.contract.watch(self.tcp)

    async def close(self) -> None:
        await self.unix.aclose()
        await self.tcp.aclose()
        await self.server.close(5)

    async def raw(self, data: bytes, *, eof: bool = False) -> bytes:
        """What comes back for these bytes on TCP, until the server ends the connection."""
        async with self.connection() as (reader, writer):
            writer.write(data)
            if eof:
                writer.write_eof()
            return await asyncio.wait_for(reader.read(), 20)

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield reader, writer
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """The next reply of a connection, which has a content-length."""
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
    status_line, *lines = head.decode().split("\r\n")[:-2]
    headers = dict(line.lower().split(": ", 1) for line in lines)
    body = await asyncio.wait_for(reader.readexactly(int(headers["content-length"])), 20)
    return Answer(int(status_line.split()[1]), headers, body)


class Serve(Protocol):
    """Makes a service from the ``processes`` of a configuration, and further keys of ``global``."""

    async def __call__(self, processes: str = WEB, **settings: object) -> Service: ...


def server_for(build: Build, services: list[Service]) -> Serve:
    async def serve(processes: str = WEB, **settings: object) -> Service:
        # Short: the path of a Unix socket has 107 bytes, and pytest's folders have most of them.
        path = os.path.join(tempfile.mkdtemp(prefix="cbox"), "api.sock")
        chosen = {
            "api_enabled": "true",
            "api_port": free_port(),
            "api_socket": path,
            "api_rate_limit": 0,
            "api_insecure": "true",
            **settings,
        }
        keys = "".join(f"  {key}: {value}\n" for key, value in chosen.items())
        service = Service(build(f"global:\n{keys}processes:{processes}"))
        services.append(service)
        await service.open()
        return service

    return serve
