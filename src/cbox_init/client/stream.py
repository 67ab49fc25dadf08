"""The streams of log records, events and the live state: what their messages mean, for both clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

import msgspec

from cbox_init.api.schemas import LogEntry, MissedEvent
from cbox_init.api.schemas_events import EventEntry, MissedEvents
from cbox_init.api.schemas_live import LiveFigures, LiveProcesses, LiveSnapshot
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

LiveRecord = LiveSnapshot | LiveProcesses | LiveFigures
"""What the stream of the live state yields: everything, what has changed, or figures."""

_Record = TypeVar("_Record")


class _Decoder(Generic[_Record]):
    """What the messages of one kind of stream mean."""

    kinds: ClassVar[Mapping[str, type[Any]]]

    def __init__(self, last_event_id: str | None) -> None:
        self.last_event_id = last_event_id

    def _record(self, event: ServerEvent) -> _Record | None:
        """The record in an event; None for an event without data or with an unknown name."""
        self.last_event_id = event.id or self.last_event_id
        kind: type[_Record] | None = self.kinds.get(event.name)
        if kind is None or not event.data:
            return None
        try:
            return decoder_of(kind).decode(event.data)
        except msgspec.DecodeError as error:
            raise ClientError(f"the stream sent an invalid record: {error}") from None


class RecordStream(_Decoder[_Record]):
    """Yields records as they come.

    ``last_event_id`` is the id of the last record that was yielded; another stream can continue behind it.
    """

    def __init__(self, events: EventSource, last_event_id: str | None = None) -> None:
        super().__init__(last_event_id)
        self._events = events

    @property
    def pending(self) -> bool:
        """Whether the next record has already been received."""
        return self._events.pending

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> _Record:
        while True:
            record = self._record(next(self._events))
            if record is not None:
                return record


class AsyncRecordStream(_Decoder[_Record]):
    """Yields records as they come, for asynchronous code. See RecordStream."""

    def __init__(self, events: AsyncHttpxEventSource, last_event_id: str | None = None) -> None:
        super().__init__(last_event_id)
        self._events = events

    @property
    def pending(self) -> bool:
        """Whether the next record has already been received."""
        return self._events.pending

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> _Record:
        while True:
            record = self._record(await anext(self._events))
            if record is not None:
                return record


class _Logs(_Decoder[LogRecord]):
    kinds: ClassVar = {"log": LogEntry, "missed": MissedEvent}


class _Events(_Decoder[EventRecord]):
    kinds: ClassVar = {"message": EventEntry, "missed": MissedEvents}


class _Live(_Decoder[LiveRecord]):
    kinds: ClassVar = {"snapshot": LiveSnapshot, "processes": LiveProcesses, "figures": LiveFigures}


class LogStream(_Logs, RecordStream[LogRecord]):
    """Yields log records as they come. See RecordStream."""


class AsyncLogStream(_Logs, AsyncRecordStream[LogRecord]):
    """Yields log records as they come, for asynchronous code. See RecordStream."""


class EventStream(_Events, RecordStream[EventRecord]):
    """Yields events as they come. See RecordStream."""


class AsyncEventStream(_Events, AsyncRecordStream[EventRecord]):
    """Yields events as they come, for asynchronous code. See RecordStream."""


class LiveStream(_Live, RecordStream[LiveRecord]):
    """Yields the live state and its changes as they come. It cannot be continued: another one begins with
    everything."""


class AsyncLiveStream(_Live, AsyncRecordStream[LiveRecord]):
    """Yields the live state and its changes as they come, for asynchronous code. See LiveStream."""


def run_of(last_event_id: str) -> str:
    """The run of the daemon that an id belongs to. After a restart the daemon has other lines."""
    return last_event_id.partition("-")[0]
