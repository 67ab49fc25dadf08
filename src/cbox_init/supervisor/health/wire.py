"""Connections of health checks: plain sockets on the event loop, with TLS on top where it is configured.

asyncio's own transports would do for plain ones at twice the CPU time. For TLS they need the ssl module at
the time when asyncio is imported, and a daemon that never uses TLS should not pay for it.
"""

from __future__ import annotations

import socket
from asyncio import get_running_loop
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, Protocol

from cbox_init.errors import CheckFailed, is_shortage
from cbox_init.supervisor.health.resolve import in_words

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from cbox_init.config.endpoints import Endpoint
    from cbox_init.supervisor.health.resolve import Address, Resolver

_READ_BYTES: Final = 16 * 1024
#: How many addresses of a name that refuse the connection the reason of a failure lists.
_MOST_SHOWN: Final = 3


class Wire(Protocol):
    """An open connection. Both methods raise OSError."""

    async def send(self, data: bytes) -> None:
        """Send all of it."""

    async def receive(self) -> bytes:
        """What comes next; empty when the other side has closed."""


@asynccontextmanager
async def connected(resolver: Resolver, endpoint: Endpoint) -> AsyncIterator[Wire]:
    """A connection to the first address of the endpoint that accepts one; closed at the end.

    Raises CheckFailed, with the addresses that were tried, and OSError for what this machine lacks.
    """
    addresses = await _addresses(resolver, endpoint)
    problems = []
    for address in addresses:
        try:
            sock = await _connect(address)
        except OSError as error:
            if is_shortage(error):
                raise
            known = address.sockaddr[0] == endpoint.host
            problems.append(in_words(error) if known else f"{address}: {in_words(error)}")
            continue
        with sock:
            yield PlainWire(sock)
        return
    if not problems:
        raise CheckFailed("the name has no address")
    more = len(problems) - _MOST_SHOWN
    if more > 0:
        problems[_MOST_SHOWN:] = [f"and {more} more"]
    raise CheckFailed("; ".join(problems))


async def _addresses(resolver: Resolver, endpoint: Endpoint) -> list[Address]:
    try:
        return await resolver.addresses(endpoint)
    except OSError as error:
        if is_shortage(error):
            raise
        raise CheckFailed(in_words(error)) from error


async def _connect(address: Address) -> socket.socket:
    """An open socket, which the caller closes."""
    sock = socket.socket(address.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        await get_running_loop().sock_connect(sock, address.sockaddr)
        if sock.getsockname() == sock.getpeername():
            # Linux can connect a socket to itself where nobody listens on a port of the range for clients.
            raise ConnectionRefusedError(None, "Connection refused")
    except BaseException:
        sock.close()
        raise
    return sock


class PlainWire:
    """A socket, as it is."""

    __slots__ = ("_sock",)

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    async def send(self, data: bytes) -> None:
        """Send all of it."""
        await get_running_loop().sock_sendall(self._sock, data)

    async def receive(self) -> bytes:
        """What comes next; empty when the other side has closed."""
        return await get_running_loop().sock_recv(self._sock, _READ_BYTES)
