"""The check that a port accepts connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbox_init.supervisor.health.wire import connected

if TYPE_CHECKING:
    from cbox_init.config.endpoints import Endpoint
    from cbox_init.supervisor.health.resolve import Resolver


class TcpProbe:
    """Connects, and closes without sending anything."""

    def __init__(self, endpoint: Endpoint, *, resolver: Resolver) -> None:
        self.where = str(endpoint)
        self._endpoint = endpoint
        self._resolver = resolver

    async def __call__(self) -> None:
        async with connected(self._resolver, self._endpoint):
            pass
