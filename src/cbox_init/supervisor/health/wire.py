"""Connections of checks: plain sockets on the event loop, with TLS on top where it is asked for.

asyncio's own transports would do for plain ones at twice the CPU time. For TLS they need the ssl module at
the time when asyncio is imported, and a daemon that never speaks TLS does not pay for it.
"""

from __future__ import annotations

import socket
from asyncio import get_running_loop
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from ssl import SSLContext

    from cbox_init.config.endpoints import Endpoint
    from cbox_init.supervisor.health.resolve import Address, Resolver

T = TypeVar("T")

_READ_BYTES = 16 * 1024


class Wire(Protocol):
    """An open connection. Both raise OSError."""

    async def send(self, data: bytes) -> None:
        """Send all of it."""

    async def receive(self) -> bytes:
        """What comes next; empty when the other side has closed."""


@asynccontextmanager
async def connected(resolver: Resolver, endpoint: Endpoint) -> AsyncIterator[Wire]:
    """A connection to the first address that takes one; closed at the end. Raises OSError."""
    problem = OSError(None, "the name has no address")
    for address in await resolver.addresses(endpoint):
        sock = socket.socket(address.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        with sock:
            try:
                await _connect(sock, address)
            except OSError as error:
                problem = error
                continue
            yield _Plain(sock)
            return
    raise problem


async def with_tls(wire: Wire, context: SSLContext, host: str) -> Wire:
    """The connection with TLS, the handshake done. Raises ssl.SSLError, which is an OSError."""
    tls = _Tls(wire, context, host)
    await tls.shake_hands()
    return tls


async def _connect(sock: socket.socket, address: Address) -> None:
    await get_running_loop().sock_connect(sock, address.sockaddr)
    if sock.getsockname() == sock.getpeername():
        # Linux can connect a socket to itself where nobody listens on a port of the range for clients.
        raise ConnectionRefusedError(None, "Connection refused")


class _Plain:
    __slots__ = ("_sock",)

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    async def send(self, data: bytes) -> None:
        await get_running_loop().sock_sendall(self._sock, data)

    async def receive(self) -> bytes:
        return await get_running_loop().sock_recv(self._sock, _READ_BYTES)


class _Tls:
    def __init__(self, wire: Wire, context: SSLContext, host: str) -> None:
        from ssl import MemoryBIO, SSLWantReadError, SSLZeroReturnError

        self._want_read = SSLWantReadError
        self._closed = SSLZeroReturnError
        self._wire = wire
        self._in = MemoryBIO()
        self._out = MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=host)

    async def shake_hands(self) -> None:
        await self._do(self._tls.do_handshake)

    async def send(self, data: bytes) -> None:
        await self._do(lambda: self._tls.write(data))

    async def receive(self) -> bytes:
        try:
            return await self._do(lambda: self._tls.read(_READ_BYTES))
        except self._closed:
            return b""

    async def _do(self, step: Callable[[], T]) -> T:
        while True:
            try:
                result = step()
            except self._want_read:
                await self._flush()
                data = await self._wire.receive()
                if data:
                    self._in.write(data)
                else:
                    self._in.write_eof()
            else:
                await self._flush()
                return result

    async def _flush(self) -> None:
        if data := self._out.read():
            await self._wire.send(data)
