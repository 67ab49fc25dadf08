"""Floods by many connections: ``python -m tests.hostile.floods NAME PORT SECONDS``.

All come from 127.0.0.2. Addresses of the machine itself may have any number of connections, so that what
bounds these floods is what all addresses have together.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from tests.hostile.target import token_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_ADDRESS: Final = "127.0.0.2"
_HEAD: Final = b"GET /api/v1/processes HTTP/1.1\r\nhost: x\r\n"
_VIEWER: Final = f"authorization: Bearer {token_of('viewer')}\r\n".encode()


class Flood:
    """Connections to one port, until a time has come."""

    def __init__(self, port: int, seconds: float) -> None:
        self._port = port
        self._until = time.monotonic() + seconds

    async def run(self, number: int, client: Callable[[], Awaitable[None]]) -> None:
        """``number`` clients, each of which begins again when it has ended."""

        async def again_and_again() -> None:
            while time.monotonic() < self._until:
                with suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
                    async with asyncio.timeout(max(self._until - time.monotonic(), 0.01)):
                        await client()
                await asyncio.sleep(0.01)

        await asyncio.gather(*(again_and_again() for _ in range(number)))

    async def connect(
        self, tls: ssl.SSLContext | None = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(
            "127.0.0.1", self._port, local_addr=(_ADDRESS, 0), ssl=tls, limit=1 << 20
        )

    async def headers(self) -> None:
        """13,000 headers of a few bytes each."""
        await self._send_all(_HEAD + b"a: b\r\n" * 13_000 + b"\r\n")

    async def pipelined(self) -> None:
        """14,000 requests in one write."""
        await self._send_all((_HEAD + b"\r\n") * 14_000)

    async def wrong_tokens(self) -> None:
        """Requests with wrong tokens on one connection, each sent when the last one is answered."""
        reader, writer = await self.connect()
        try:
            while True:
                writer.write(_HEAD + b"authorization: Bearer wrong\r\n\r\n")
                await reader.readuntil(b"}")
        finally:
            writer.transport.abort()

    async def lists(self) -> None:
        """The same with a token that is right."""
        reader, writer = await self.connect()
        try:
            while True:
                writer.write(_HEAD + _VIEWER + b"\r\n")
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(length or 0))
        finally:
            writer.transport.abort()

    async def slow_bodies(self) -> None:
        """A health request whose body comes byte by byte."""
        await self._trickle(b"GET /api/v1/health HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n", b"x")

    async def slow_headers(self) -> None:
        """A request whose headers come one by one."""
        await self._trickle(_HEAD, b"a: b\r\n")

    async def never_read(self) -> None:
        """Ask for all lines twice, and read nothing."""
        reader, writer = await self.connect()
        try:
            reader._transport.pause_reading()  # type: ignore[attr-defined]
            request = b"GET /api/v1/logs?limit=10000 HTTP/1.1\r\nhost: x\r\n" + _VIEWER + b"\r\n"
            writer.write(request * 2)
            await asyncio.sleep(self._until - time.monotonic())
        finally:
            writer.transport.abort()

    async def streams(self) -> None:
        """A stream of log lines that is not read, with a request behind it."""
        reader, writer = await self.connect()
        try:
            reader._transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(b"GET /api/v1/logs/stream HTTP/1.1\r\nhost: x\r\n" + _VIEWER + b"\r\n")
            writer.write(_HEAD + b"\r\n")
            await asyncio.sleep(self._until - time.monotonic())
        finally:
            writer.transport.abort()

    async def connects(self) -> None:
        """Connections that end as soon as they are there."""
        _, writer = await self.connect()
        writer.transport.abort()

    async def silent(self) -> None:
        """Connections that say nothing."""
        await self._trickle(b"", b"")

    async def handshakes(self) -> None:
        """Handshakes of TLS, one after another."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        _, writer = await self.connect(context)
        writer.transport.abort()

    async def _send_all(self, data: bytes) -> None:
        reader, writer = await self.connect()
        try:
            writer.write(data)
            writer.write_eof()
            while await reader.read(1 << 20):
                pass
        finally:
            writer.transport.abort()

    async def _trickle(self, head: bytes, piece: bytes) -> None:
        reader, writer = await self.connect()
        try:
            writer.write(head)
            while not reader.at_eof():
                writer.write(piece)
                await asyncio.sleep(1)
        finally:
            writer.transport.abort()


#: The connections of each flood at a time.
FLOODS: Final = {
    "headers": 153,
    "pipelined": 169,
    "wrong_tokens": 100,
    "lists": 100,
    "slow_bodies": 600,
    "slow_headers": 600,
    "silent": 600,
    "never_read": 10,
    "streams": 60,
    "connects": 50,
}
#: Those to the port with TLS.
TLS_FLOODS: Final = {"handshakes": 100, "silent": 600}

if __name__ == "__main__":
    name, port, seconds = sys.argv[1:]
    flood = Flood(int(port), float(seconds))
    asyncio.run(flood.run({**FLOODS, **TLS_FLOODS}[name], getattr(flood, name)))
