"""The protocol of a transport, which sends the calls of a client: over plain sockets, or over httpx.

A module of its own because both transports, the client and the command line import it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from cbox_init.client.address import ClientSettings
    from cbox_init.client.calls import Call
    from cbox_init.client.events import ServerEvent

SILENCE_S = 45.0
"""The daemon sends something on a stream every 15 s; after three times that without a byte it is dead."""


class RawAnswer(NamedTuple):
    """The status and the body of an answer."""

    status: int
    body: bytes


class EventSource(Protocol):
    """The events of a stream as they come. Iteration raises DaemonUnreachable when the stream breaks."""

    @property
    def pending(self) -> bool:
        """Whether the next event with data has already been received."""

    def __next__(self) -> ServerEvent: ...


class Transport(Protocol):
    """Sends calls to one daemon. Every method raises DaemonUnreachable when no complete answer comes."""

    @property
    def settings(self) -> ClientSettings: ...

    def send(self, call: Call[Any]) -> RawAnswer:
        """Send one call and return its answer, whatever its status is."""

    def stream(self, path: str) -> AbstractContextManager[EventSource]:
        """Open a stream of events. Raises ApiError when the answer is not one."""

    def close(self) -> None:
        """Close all connections."""
