"""Parse server-sent events, for the transport on plain sockets. Pure: no I/O, no clock.

Over httpx they are parsed by httpx-sse.
"""

from __future__ import annotations

from typing import NamedTuple

from cbox_init.errors import ClientError

LARGEST_EVENT = 16 * 1024 * 1024
"""The most bytes of one event. A log record is far smaller."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class ServerEvent(NamedTuple):
    """One event: its name ("message" by default), and its data, lines joined by newlines.

    ``id`` is that of this event or of the last one that had an id, else "". An event without data only has
    an id.
    """

    name: str
    data: str
    id: str = ""


class EventParser:
    """Collects chunks and returns the events that they complete (WHATWG HTML, "event stream" format)."""

    __slots__ = ("_after_cr", "_data", "_id", "_id_is_new", "_largest", "_name", "_rest", "_size", "_started")

    def __init__(self, largest: int = LARGEST_EVENT) -> None:
        self._largest = largest
        self._rest = b""
        self._after_cr = False
        self._started = False
        self._name = b""
        self._id = ""
        self._id_is_new = False
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        """The events that ``chunk`` completes. Raises ClientError for an event that is too large."""
        if self._after_cr and chunk:
            # A CR alone ends a line too, so the line has been taken; an LF now belongs to that CR.
            chunk = chunk.removeprefix(b"\n")
            self._after_cr = False
        if not chunk:
            return []
        self._after_cr = chunk.endswith(b"\r")
        lines = (self._rest + chunk).splitlines(keepends=True)
        self._rest = b"" if lines[-1].endswith((b"\r", b"\n")) else lines.pop()
        events = []
        for line in lines:
            event = self._take(line.rstrip(b"\r\n"))
            if event is not None:
                events.append(event)
        if len(self._rest) + self._size > self._largest:
            raise too_large(self._largest)
        return events

    def _take(self, line: bytes) -> ServerEvent | None:
        if not self._started:
            self._started = True
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if not line:
            return self._end_event()
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            self._name = value
        elif field == b"data":
            self._data.append(value)
            self._size += len(value) + 1
        elif field == b"id" and b"\0" not in value:
            self._id = value.decode(errors="replace")
            self._id_is_new = True
        return None

    def _end_event(self) -> ServerEvent | None:
        name, data, id_is_new = self._name, self._data, self._id_is_new
        self._name, self._data, self._size, self._id_is_new = b"", [], 0, False
        if not data and not id_is_new:
            return None
        text = b"\n".join(data).decode(errors="replace")
        return ServerEvent(name.decode(errors="replace") or "message", text, self._id)


def too_large(largest: int) -> ClientError:
    """The error for an event of more than ``largest`` bytes."""
    return ClientError(f"the stream sent an event of more than {largest} bytes; it is not a log")
