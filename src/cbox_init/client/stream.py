"""The stream of log events: what its bytes mean, the same for both clients."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Self, TypeVar

import msgspec

from cbox_init.api.schemas import LogEntry, MissedEvent
from cbox_init.client.events import EventParser
from cbox_init.errors import ClientError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from cbox_init.client.address import Address
    from cbox_init.client.events import Event

SILENCE_S = 45.0
"""The daemon sends something every 15 s; after three of those without a byte the stream is dead."""

LogRecord = LogEntry | MissedEvent
"""What a stream yields: a line, or the number of lines that are missing at that place."""

_Record = TypeVar("_Record", LogEntry, MissedEvent)


class LogEvents:
    """Turns chunks of the stream into log records, in order. Events of other names are passed over."""

    def __init__(self, last_event_id: str | None) -> None:
        self.last_event_id = last_event_id
        self._parser = EventParser()
        self._events: deque[Event] = deque()

    def feed(self, chunk: bytes) -> None:
        """Take what has come; raises ClientError for an event without end."""
        self._events += self._parser.feed(chunk)

    def take(self) -> LogRecord | None:
        """The next record, None when more must come first; raises ClientError for a record that is none."""
        while self._events:
            event = self._events.popleft()
            self._seen(event.id)
            if event.name == "log":
                return _decode(event.data, LogEntry)
            if event.name == "missed":
                return _decode(event.data, MissedEvent)
        self._seen(self._parser.last_id)
        return None

    @property
    def pending(self) -> bool:
        """Whether there is more of what has come."""
        return bool(self._events)

    def _seen(self, id_: str) -> None:
        self.last_event_id = id_ or self.last_event_id


class _Stream:
    def __init__(self, address: Address, last_event_id: str | None) -> None:
        self._address = address
        self._events = LogEvents(last_event_id)

    @property
    def last_event_id(self) -> str | None:
        """What another stream goes on behind: the id of the last record that was given out."""
        return self._events.last_event_id

    @property
    def pending(self) -> bool:
        """Whether the next record is there already."""
        return self._events.pending


class LogStream(_Stream):
    """Records as they come."""

    def __init__(self, chunks: Iterator[bytes], address: Address, last_event_id: str | None) -> None:
        super().__init__(address, last_event_id)
        self._chunks = chunks

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> LogRecord:
        while (record := self._events.take()) is None:
            from cbox_init.client.failures import translated  # imports httpx

            with translated(self._address):
                chunk = next(self._chunks, None)
            if chunk is None:
                raise StopIteration
            self._events.feed(chunk)
        return record


class AsyncLogStream(_Stream):
    """Records as they come, for asynchronous code."""

    def __init__(self, chunks: AsyncIterator[bytes], address: Address, last_event_id: str | None) -> None:
        super().__init__(address, last_event_id)
        self._chunks = chunks

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> LogRecord:
        while (record := self._events.take()) is None:
            from cbox_init.client.failures import translated

            with translated(self._address):
                chunk = await anext(self._chunks, None)
            if chunk is None:
                raise StopAsyncIteration
            self._events.feed(chunk)
        return record


def run_of(last_event_id: str) -> str:
    """The run of the daemon that an id belongs to: another one has lines of its own."""
    return last_event_id.partition("-")[0]


def _decode(data: str, kind: type[_Record]) -> _Record:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.DecodeError as error:
        raise ClientError(f"the stream sent a record that is none: {error}") from None
