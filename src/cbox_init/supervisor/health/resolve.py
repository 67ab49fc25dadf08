"""Host names to addresses, without ever holding up the event loop."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from cbox_init.threads import call_in_loop, start_thread

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future

    from cbox_init.config.endpoints import Endpoint


class Address(NamedTuple):
    """What a socket of ``family`` connects to."""

    family: int
    sockaddr: tuple[str | int | bytes, ...]


class Resolver:
    """Looks up names in threads of its own, one for a name at a time however many ask for it.

    The system's resolver cannot be interrupted. A lookup that hangs keeps its thread, which does not keep
    the daemon from ending; those who waited have given up by their own timeout.
    """

    def __init__(self) -> None:
        self._lookups: dict[str, Future[list[Address]]] = {}

    async def addresses(self, endpoint: Endpoint) -> list[Address]:
        """All addresses, to be tried in this order.

        Raises OSError when the name is not known, and NoThreadError when it cannot be looked up now.
        """
        host, port = endpoint.host, endpoint.port
        if known := _without_lookup(host, port):
            return known
        from asyncio import get_running_loop, shield

        lookup = self._lookups.get(host)
        if lookup is None:
            lookup = self._look_up(host, get_running_loop())
        found = await shield(lookup)
        return [Address(family, (sockaddr[0], port, *sockaddr[2:])) for family, sockaddr in found]

    def _look_up(self, host: str, loop: AbstractEventLoop) -> Future[list[Address]]:
        lookup: Future[list[Address]] = loop.create_future()

        def done(found: list[Address] | OSError) -> None:
            del self._lookups[host]
            if lookup.cancelled():
                return
            if isinstance(found, OSError):
                lookup.set_exception(found)
                lookup.exception()  # nobody may be waiting any more
            else:
                lookup.set_result(found)

        def work() -> None:
            found = _system_lookup(host)
            call_in_loop(loop, lambda: done(found))

        def failed(error: Exception) -> None:
            call_in_loop(loop, lambda: done(OSError(None, str(error))))

        start_thread(work, name=f"resolve {host}", failed=failed)
        self._lookups[host] = lookup
        return lookup


def _without_lookup(host: str, port: int) -> list[Address]:
    """The addresses of what needs no lookup: a literal address, and this machine (RFC 6761)."""
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


def _system_lookup(host: str) -> list[Address] | OSError:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        return error
    except UnicodeError:
        return OSError(None, "this cannot be a host's name")
    return [Address(family, sockaddr) for family, _, _, _, sockaddr in found]
