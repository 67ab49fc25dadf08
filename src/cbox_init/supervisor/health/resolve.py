"""Looks up host names without blocking the event loop."""

from __future__ import annotations

import errno
import socket
from contextlib import suppress
from os import strerror
from typing import TYPE_CHECKING, Final, NamedTuple

from cbox_init.threads import begin_in_thread

if TYPE_CHECKING:
    from asyncio import Future

    from cbox_init.config.endpoints import Endpoint

#: Errors of the system's resolver that it also gives when it could not open a file or a socket.
_MAY_BE_SHORTAGE: Final = (socket.EAI_AGAIN, socket.EAI_NONAME, socket.EAI_FAIL, socket.EAI_SYSTEM)


class Address(NamedTuple):
    """What a socket of ``family`` connects to."""

    family: int
    sockaddr: tuple[str | int | bytes, ...]

    def __str__(self) -> str:
        host, port = self.sockaddr[:2]
        return f"[{host!s}]:{port!s}" if self.family == socket.AF_INET6 else f"{host!s}:{port!s}"


class Resolver:
    """Looks up names for health checks, each in a thread; one lookup of a name serves all that wait for it.

    The system's resolver cannot be interrupted. A lookup that hangs keeps its thread, which does not keep
    the daemon from ending; the checks that waited for it have ended by their own timeout.
    """

    def __init__(self) -> None:
        self._lookups: dict[str, Future[list[Address]]] = {}

    async def addresses(self, endpoint: Endpoint) -> list[Address]:
        """All addresses of the endpoint's host, in the order in which to try them.

        Raises OSError when the name is not known, and NoThreadError when it cannot be looked up now.
        """
        host, port = endpoint.host, endpoint.port
        if known := _without_lookup(host, port):
            return known
        from asyncio import shield

        lookup = self._lookups.get(host)
        if lookup is None:
            lookup = begin_in_thread(lambda: _system_lookup(host), name=f"resolve {host}")
            self._lookups[host] = lookup
            lookup.add_done_callback(lambda _: self._lookups.pop(host))
        found = await shield(lookup)
        return [Address(family, (sockaddr[0], port, *sockaddr[2:])) for family, sockaddr in found]


def in_words(error: OSError) -> str:
    """What went wrong, without the address, which asyncio adds. Errors of names have their own numbers."""
    if error.errno and type(error).__module__ == "builtins":
        return strerror(error.errno)
    return error.strerror or str(error)


def _without_lookup(host: str, port: int) -> list[Address]:
    """The addresses of a host that needs no lookup: a literal address, and this machine (RFC 6761)."""
    if host.lower() == "localhost":
        return [
            Address(socket.AF_INET, ("127.0.0.1", port)),
            Address(socket.AF_INET6, ("::1", port, 0, 0)),
        ]
    with suppress(OSError):
        socket.inet_pton(socket.AF_INET, host)
        return [Address(socket.AF_INET, (host, port))]
    with suppress(OSError):
        socket.inet_pton(socket.AF_INET6, host)
        return [Address(socket.AF_INET6, (host, port, 0, 0))]
    return []


def _system_lookup(host: str) -> list[Address]:
    """What the system's resolver finds. Blocks. Raises OSError."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno == socket.EAI_MEMORY:
            raise OSError(errno.ENOMEM, "out of memory") from error
        if error.errno in _MAY_BE_SHORTAGE:
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()  # raises when there is no descriptor
        raise
    except UnicodeError:
        raise OSError(None, "this cannot be a host's name") from None
    return [Address(family, sockaddr) for family, _, _, _, sockaddr in found]
