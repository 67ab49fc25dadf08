"""The stream of log events: what its bytes mean. Pure; both clients use it."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from cbox_init.api.schemas import LogEntry, MissedEvent
from cbox_init.client.events import EventParser
from cbox_init.errors import ClientError

SILENCE_S = 45.0
"""The daemon sends something every 15 s; after three of those without a byte the stream is dead."""

LogRecord = LogEntry | MissedEvent
"""What a stream yields: a line, or the number of lines that this reader was too slow for."""

_Record = TypeVar("_Record", LogEntry, MissedEvent)


class LogEvents:
    """Turns chunks of the stream into log records, in order. Events of other names are passed over."""

    def __init__(self) -> None:
        self._parser = EventParser()

    def feed(self, chunk: bytes) -> list[LogRecord]:
        """What ``chunk`` completes; raises ClientError for a record that is none."""
        records: list[LogRecord] = []
        for event in self._parser.feed(chunk):
            if event.name == "log":
                records.append(_decode(event.data, LogEntry))
            elif event.name == "missed":
                records.append(_decode(event.data, MissedEvent))
        return records


def _decode(data: str, kind: type[_Record]) -> _Record:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.DecodeError as error:
        raise ClientError(f"the stream sent a record that is none: {error}") from None
