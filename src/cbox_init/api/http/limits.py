"""What one client may hold of a server, all in one place."""

from __future__ import annotations

from typing import Final

from msgspec import Struct


class HttpLimits(Struct, frozen=True, kw_only=True):
    """The limits of one server. Times are in seconds, sizes in bytes.

    ``keep_alive_s`` is how long a connection may be silent between two requests; with 0 each connection is
    closed after one response.
    """

    connections: int = 512
    """Open at the same time. One more takes the place of the oldest that waits for a request."""

    head_bytes: int = 64 * 1024
    """The request line with all headers."""

    headers: int = 100

    head_s: float = 15.0
    """From the connection, or the first byte of a later request, to the end of the headers."""

    keep_alive_s: float = 30.0

    answer_s: float | None = None
    """How long an answer may take until it is written; None where the application decides."""

    read_bytes: int = 64 * 1024
    """The most that is read at once, into one buffer for all connections of the server."""

    requests_ahead: int = 2
    """Requests that are read while another one is answered."""

    body_ahead_bytes: int = 64 * 1024
    """Bytes of a body that are read before the application asks for them."""

    discard_bytes: int = 64 * 1024
    """A body that nobody read is skipped up to this size, so that the connection can be used again."""

    discard_s: float = 5.0
    """How long a connection that is being closed, or whose body is skipped, may go on sending."""

    write_s: float = 30.0
    """How long a client may take nothing of a response before the connection is aborted."""

    stream_write_s: float = 600.0
    """The same for a response without a length: a terminal may be paused for minutes."""


API_LIMITS: Final = HttpLimits()

#: For a port that is probed or scraped: one request a connection, so that none is held.
PROBE_LIMITS: Final = HttpLimits(
    connections=256,
    head_bytes=8 * 1024,
    head_s=5.0,
    keep_alive_s=0.0,
    read_bytes=4 * 1024,
    requests_ahead=0,
    answer_s=30.0,
)
