"""Server-sent events out of a stream of bytes, wherever the network cut it. Pure: no I/O, no clock."""

from __future__ import annotations

from typing import NamedTuple

from cbox_init.errors import ClientError

LARGEST_EVENT = 16 * 1024 * 1024
"""Bytes of one event. A log record is far smaller; more is not the daemon that speaks."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """One event: its name ("message" when it has none) and its data, lines joined by newlines.

    ``id`` is that of the last event so far that had one, "" when none had.
    """

    name: str
    data: str
    id: str = ""


class EventParser:
    """Collects chunks and gives the events that they complete (WHATWG HTML, "event stream" format)."""

    __slots__ = ("_after_cr", "_data", "_id", "_largest", "_name", "_rest", "_size", "_started", "last_id")

    def __init__(self, largest: int = LARGEST_EVENT) -> None:
        self.last_id = ""
        """The id with which a reader would go on: also one that came without an event."""
        self._largest = largest
        self._rest = b""
        self._after_cr = False
        self._started = False
        self._name = b""
        self._id = ""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that ``chunk`` completes; raises ClientError when one grows without end."""
        if self._after_cr and chunk:
            # CR alone ends a line as well, so the line is already taken; an LF now belongs to it.
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
            raise ClientError(f"the stream sent an event of more than {self._largest} bytes; it is not a log")
        return events

    def _take(self, line: bytes) -> Event | None:
        if not self._started:
            self._started = True
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if not line:
            return self._dispatch()
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            self._name = value
        elif field == b"data":
            self._data.append(value)
            self._size += len(value) + 1
        elif field == b"id" and b"\0" not in value:
            self._id = value.decode(errors="replace")
        return None

    def _dispatch(self) -> Event | None:
        name, data = self._name, self._data
        self._name, self._data, self._size = b"", [], 0
        self.last_id = self._id
        if not data:
            return None
        text = b"\n".join(data).decode(errors="replace")
        return Event(name.decode(errors="replace") or "message", text, self.last_id)
