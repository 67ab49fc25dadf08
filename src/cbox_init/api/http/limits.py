"""What one client may hold of a server, all in one place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace

if TYPE_CHECKING:
    from cbox_init.config.model import GlobalConfig


class HttpLimits(Struct, frozen=True, kw_only=True):
    """The limits of one server. Times are in seconds, sizes in bytes.

    ``keep_alive_s`` is how long a connection may be silent between two requests; with 0 each connection is
    closed after one response.
    """

    connections: int = 1024
    """Open at the same time, of all servers of the daemon together."""

    eighths: int = 8
    """The eighths of them that this server has for itself, so that no port keeps others out."""

    urgent: bool = False
    """Where descriptors are short, this server has almost all of those that are left to the children."""

    per_address: int = 64
    """Of one client address; 0 is no limit. One more takes the place of the oldest idle one."""

    probe_places: int = 16
    """Further connections, of which only those are answered that ask for one of ``probe_paths``."""

    probe_paths: frozenset[bytes] = frozenset()

    probe_head_s: float = 2.0
    """How long a connection in one of those places may take to send its request."""

    head_bytes: int = 64 * 1024
    """The request line with all headers."""

    headers: int = 100

    head_s: float = 10.0
    """From the connection, or the first byte of a later request, to the end of the headers."""

    keep_alive_s: float = 75.0

    answer_s: float | None = None
    """How long an answer may take until it is written; None where the application decides."""

    read_bytes: int = 64 * 1024
    """The most that is read at once, into one buffer for all connections of the server."""

    requests_ahead: int = 2
    """Requests that are read while another one is answered."""

    body_ahead_bytes: int = 64 * 1024
    """Bytes of a body that are read before the application asks for them."""

    memory_bytes: int = 4 * 2**20
    """What requests and responses may take, unless the server shares the budget of another."""

    discard_bytes: int = 64 * 1024
    """A body that nobody read is skipped up to this size, so that the connection can be used again."""

    discard_s: float = 5.0
    """How long a connection that is being closed, or whose body is skipped, may go on sending."""

    write_s: float = 30.0
    """How long a client may take nothing of a response before the connection is aborted."""

    stream_write_s: float = 600.0
    """The same for a response without a length: a terminal may be paused for minutes."""

    stalled_s: float = 10.0
    """The same where its place or its memory is needed for another."""


#: For the TCP port of the API.
API_LIMITS: Final = HttpLimits(eighths=5, probe_paths=frozenset((b"/api/v1/health",)))

#: For its Unix socket.
SOCKET_LIMITS: Final = replace(API_LIMITS, eighths=1, urgent=True)

#: For a port that is probed or scraped: one request a connection, so that none is held.
PROBE_LIMITS: Final = HttpLimits(
    eighths=1,
    probe_paths=frozenset((b"/readyz", b"/livez", b"/health")),
    head_bytes=8 * 1024,
    head_s=5.0,
    keep_alive_s=0.0,
    read_bytes=4 * 1024,
    requests_ahead=0,
    answer_s=30.0,
)


def configured(limits: HttpLimits, settings: GlobalConfig) -> HttpLimits:
    """``limits`` with the numbers of connections that are configured."""
    return replace(
        limits,
        connections=settings.api_max_connections,
        per_address=settings.api_max_connections_per_address,
    )
