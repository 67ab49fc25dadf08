"""The check by the standard health service of gRPC (grpc.health.v1.Health/Check)."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from cbox_init.errors import CheckFailed
from cbox_init.supervisor.health.wire import connected
from cbox_init.threads import begin_in_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from cbox_init.config.endpoints import Endpoint
    from cbox_init.supervisor.health.resolve import Resolver
    from cbox_init.supervisor.health.tls import TlsClient
    from cbox_init.supervisor.health.wire import Wire

_CALLS: Final = "cbox_init.supervisor.health.grpc_call"


class GrpcProbe:
    """Asks a server for the health of ``service``, or of all of it when that is empty."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        service: str,
        resolver: Resolver,
        tls: Callable[[], TlsClient] | None = None,
        server_name: str | None = None,
    ) -> None:
        self.where = str(endpoint)
        self._endpoint = endpoint
        self._service = service
        self._resolver = resolver
        self._tls = tls
        self._server_name = server_name

    async def __call__(self) -> None:
        await _import_in_thread()
        from cbox_init.supervisor.health.grpc_call import GrpcCall

        async with connected(self._resolver, self._endpoint) as plain:
            wire: Wire = plain
            host = self._endpoint.host
            if self._tls is not None:
                host = self._server_name or host
                wire = await self._tls().wrap(plain, host)
            authority = str(self._endpoint) if host == self._endpoint.host else host
            call = GrpcCall(authority, self._service, tls=self._tls is not None)
            await wire.send(call.outgoing())
            while not call.over:
                data = await wire.receive()
                if not data:
                    raise CheckFailed("the connection was closed before an answer")
                call.feed(data)
                if answer := call.outgoing():
                    await wire.send(answer)
        call.judge()


async def _import_in_thread() -> None:
    """Import the calls before the first one: that takes longer than a turn of the event loop should."""
    if _CALLS not in sys.modules:
        from importlib import import_module

        await begin_in_thread(lambda: import_module(_CALLS), name="import h2")
