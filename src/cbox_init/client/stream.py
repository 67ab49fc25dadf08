"""The streams of log records and of events: what their messages mean, for both clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, TypeVar

import msgspec

from cbox_init.api.schemas import LogEntry, MissedEvent
from cbox_init.api.schemas_events import EventEntry, MissedEvents
from cbox_init.decoders import decoder_of
from cbox_init.errors import ClientError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cbox_init.client.events import ServerEvent
    from cbox_init.client.httpx_transport import AsyncHttpxEventSource
    from cbox_init.client.transport import EventSource

LogRecord = LogEntry | MissedEvent
"""What a stream yields: a line, or the number of lines that are missing at this place."""

EventRecord = EventEntry | MissedEvents
"""What a stream of events yields: an event, or that some are missing at this place."""

_KINDS: dict[str, type[LogRecord]] = {"log": LogEntry, "missed": MissedEvent}
_EVENT_KINDS: dict[str, type[EventRecord]] = {"message": EventEntry, "missed": MissedEvents}

_Record = TypeVar("_Record")


class LogStream:
    """Yields records as they come.

    ``last_event_id`` is the id of the last record that was yielded; another stream can continue behind it.
    """

    def __init__(self, events: EventSource, last_event_id: str | None) -> None:
        self.last_event_id = last_event_id
        self._events = events

    @property
    def pending(self) -> bool:
        """Whether the next record has already been received."""
        return self._events.pending

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> LogRecord:
        while True:
            event = next(self._events)
            self.last_event_id = event.id or self.last_event_id
            record = _record(event, _KINDS)
            if record is not None:
                return record


class EventStream:
    """Yields events as they come. ``last_event_id`` is as for LogStream."""

    def __init__(self, events: EventSource, last_event_id: str | None) -> None:
        self.last_event_id = last_event_id
        self._events = events

    @property
    def pending(self) -> bool:
        """Whether the next event has already been received."""
        return self._events.pending

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> EventRecord:
        while True:
            event = next(self._events)
            self.last_event_id = event.id or self.last_event_id
            record = _record(event, _EVENT_KINDS)
            if record is not None:
                return record


class AsyncEventStream:
    """Yields events as they come, for asynchronous code. See EventStream."""

    def __init__(self, events: AsyncHttpxEventSource, last_event_id: str | None) -> None:
        self.last_event_id = last_event_id
        self._events = events

    @property
    def pending(self) -> bool:
        """Whether the next event has already been received."""
        return self._events.pending

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> EventRecord:
        while True:
            event = await anext(self._events)
            self.last_event_id = event.id or self.last_event_id
            record = _record(event, _EVENT_KINDS)
            if record is not None:
                return record


class AsyncLogStream:
    """Yields records as they come, for asynchronous code. See LogStream."""

    def __init__(self, events: AsyncHttpxEventSource, last_event_id: str | None) -> None:
        self.last_event_id = last_event_id
        self._events = events

    @property
    def pending(self) -> bool:
        """Whether the next record has already been received."""
        return self._events.pending

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> LogRecord:
        while True:
            event = await anext(self._events)
            self.last_event_id = event.id or self.last_event_id
            record = _record(event, _KINDS)
            if record is not None:
                return record


def run_of(last_event_id: str) -> str:
    """The run of the daemon that an id belongs to. After a restart the daemon has other lines."""
    return last_event_id.partition("-")[0]


def _record(event: ServerEvent, kinds: Mapping[str, type[_Record]]) -> _Record | None:
    """The record in an event; None for an event without data or with an unknown name."""
    kind = kinds.get(event.name)
    if kind is None or not event.data:
        return None
    try:
        return decoder_of(kind).decode(event.data)
    except msgspec.DecodeError as error:
        raise ClientError(f"the stream sent an invalid record: {error}") from None
