"""The memory that requests and responses of several servers may take together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Collection

#: How long after nothing could be freed nothing is looked for, in seconds.
_AGAIN_S: Final = 0.05


class MemoryUser(Protocol):
    """A connection, as the budget sees it."""

    held: int

    @property
    def unsent(self) -> int: ...
    def count(self) -> None: ...
    def is_stalled(self, now: float) -> bool: ...
    def close_now(self) -> None: ...
    def abort(self) -> None: ...


class MemoryUsers(Protocol):
    """The connections of a server."""

    loop: AbstractEventLoop

    @property
    def all(self) -> Collection[MemoryUser]: ...
    @property
    def idle(self) -> Collection[MemoryUser]:
        """Those for which nothing is done, the oldest first."""


class MemoryBudget:
    """Counts what connections hold: input, bodies, and responses that their clients have not taken.

    Small amounts are not counted. One connection may go beyond the budget, so that a response larger than all
    of it can be sent.
    """

    def __init__(self, most_bytes: int) -> None:
        self.used = 0
        self._most = most_bytes
        self._servers: list[MemoryUsers] = []
        self._beyond: MemoryUser | None = None
        self._not_before = 0.0

    def serve(self, server: MemoryUsers) -> None:
        """Free memory of the connections of this server too."""
        self._servers.append(server)

    def change(self, connection: MemoryUser, before: int, now: int) -> None:
        """A connection holds ``now`` bytes instead of ``before``."""
        if connection is not self._beyond:
            self.used += now - before
        elif self.used + now <= self._most:
            self._beyond = None
            self.used += now

    def admits(self, connection: MemoryUser, more: int) -> bool:
        """Whether a connection may hold ``more`` bytes than it does; frees memory of others if it must."""
        if connection is self._beyond or self.used + more <= self._most or self._free(more):
            return True
        if self._beyond is None:
            self._beyond = connection
            self.used -= connection.held
            return True
        return False

    def _free(self, wanted: int) -> bool:
        """End what is idle, oldest first, then what its client does not take. Whether that was enough."""
        server = self._servers[0]
        now = server.loop.time()
        if now < self._not_before:
            return False
        for server in self._servers:
            for connection in tuple(server.all):
                connection.count()
        for server in self._servers:
            for connection in tuple(server.idle):
                if self.used + wanted <= self._most:
                    return True
                if connection.held and not connection.unsent:
                    connection.close_now()
        for server in self._servers:
            for connection in tuple(server.all):
                if self.used + wanted <= self._most:
                    return True
                if connection.held and connection.is_stalled(now):
                    connection.abort()
        if self.used + wanted <= self._most:
            return True
        self._not_before = now + _AGAIN_S
        return False
