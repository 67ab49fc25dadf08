"""``logs -f`` and ``events -f``: follow what comes, with ``--retry`` also beyond the end of a connection."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from cbox_init.cli import complain
from cbox_init.cli.connection import check_known
from cbox_init.errors import ApiError, ClientError, DaemonUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from cbox_init.client import (
        Client,
        EventEntry,
        EventStream,
        LogEntry,
        LogStream,
        MissedEvent,
        MissedEvents,
        StreamFilters,
    )

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 5.0

_BUSY = (429, 502, 503, 504)


class LogSelection(NamedTuple):
    """Which lines to show: the last ``tail`` (None for all) and the new ones of these processes, or of all
    without a name, that match the filters."""

    names: Sequence[str]
    tail: int | None
    filters: StreamFilters


class EventSelection(NamedTuple):
    """Which events to show: the last ``tail``, or those ``since`` a time, and the new ones. Of these kinds
    and processes, or of all without any."""

    names: Sequence[str]
    tail: int | None
    since: str | None
    kinds: Sequence[str]


class Follower(ABC):
    """Writes what comes. ``connect`` makes a client, at each call perhaps for another daemon; ``flush`` is
    called before a wait for more."""

    ended = "the daemon has ended"

    def __init__(self, *, connect: Callable[[], Client], flush: Callable[[], None]) -> None:
        self._connect = connect
        self._flush = flush
        self._seen: str | None = None

    def run(self) -> None:
        """Follow until the daemon ends the stream; raises ClientError when the connection breaks."""
        with self._connect() as client, self._stream(client) as records:
            self._copy(records)
        complain(self.ended)

    def run_for_ever(self) -> None:
        """Reconnect whenever the stream ends or breaks, and continue behind what came last.

        Raises ClientError for an error that a retry cannot cure.
        """
        pause_s, waiting = FIRST_PAUSE_S, False
        while True:
            before = self._seen
            try:
                with self._connect() as client, self._stream(client) as records:
                    if waiting:
                        complain("the daemon answers again")
                        waiting = False
                    self._copy(records)
                why = "the daemon has ended"
            except ClientError as error:
                if not is_temporary(error):
                    raise
                why = str(error)
            if not waiting:
                complain(f"{why} (trying again until it answers, or until Ctrl-C)")
                waiting = True
            if self._seen != before:
                pause_s = FIRST_PAUSE_S
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    @abstractmethod
    def _stream(self, client: Client) -> AbstractContextManager[LogStream | EventStream]:
        """The stream, from what came last on."""

    @abstractmethod
    def _show(self, record: LogEntry | MissedEvent | EventEntry | MissedEvents) -> None:
        """Write what has come."""

    @abstractmethod
    def _check_id(self, id_: str | None) -> None:
        """Take in the id of what has come."""

    def _copy(self, records: LogStream | EventStream) -> None:
        try:
            for record in records:
                self._check_id(records.last_event_id)
                self._show(record)
                if not records.pending:
                    self._flush()
        finally:
            self._seen = records.last_event_id


class LogFollower(Follower):
    """Writes lines as they come."""

    ended = "the daemon has ended, and its log with it"

    def __init__(
        self,
        selection: LogSelection,
        *,
        connect: Callable[[], Client],
        write: Callable[[LogEntry], None],
        flush: Callable[[], None],
    ) -> None:
        super().__init__(connect=connect, flush=flush)
        self._selection = selection
        self._write = write

    @contextmanager
    def _stream(self, client: Client) -> Iterator[LogStream]:
        selection = self._selection
        tail = selection.tail if self._seen is None else None
        try:
            with client.follow(
                *selection.names, tail=tail, last_event_id=self._seen, **selection.filters
            ) as records:
                yield records
        except ApiError as error:
            if error.status == 404:
                check_known(client, selection.names)
            raise

    def _show(self, record: LogEntry | MissedEvent | EventEntry | MissedEvents) -> None:
        from cbox_init.client import LogEntry, MissedEvent

        if isinstance(record, LogEntry):
            self._write(record)
        elif isinstance(record, MissedEvent):
            self._flush()
            complain(_missing(record))

    def _check_id(self, id_: str | None) -> None:
        from cbox_init.client import run_of

        if id_ is not None and self._seen is not None and run_of(id_) != run_of(self._seen):
            complain("the daemon was restarted; this is its log from the beginning")
        self._seen = id_


class EventFollower(Follower):
    """Writes events as they come."""

    def __init__(
        self,
        selection: EventSelection,
        *,
        connect: Callable[[], Client],
        write: Callable[[EventEntry], None],
        flush: Callable[[], None],
    ) -> None:
        super().__init__(connect=connect, flush=flush)
        self._selection = selection
        self._write = write

    @contextmanager
    def _stream(self, client: Client) -> Iterator[EventStream]:
        names, tail, since, kinds = self._selection
        if self._seen is not None:
            tail = since = None
        with client.events(*names, tail=tail, since=since, kind=kinds, last_event_id=self._seen) as events:
            yield events

    def _show(self, record: LogEntry | MissedEvent | EventEntry | MissedEvents) -> None:
        from cbox_init.client import EventEntry, MissedEvents

        if isinstance(record, EventEntry):
            self._write(record)
        elif isinstance(record, MissedEvents):
            self._flush()
            complain(missed_events(record))

    def _check_id(self, id_: str | None) -> None:
        self._seen = id_


def missed_events(missed: MissedEvents) -> str:
    """What to say where events are missing."""
    many = f"{missed.count} events are" if isinstance(missed.count, int) else "events are"
    if missed.restarted is True:
        return "the daemon was restarted; these are its events from the beginning"
    return f"{many} missing here: the daemon no longer has them"


def _missing(missed: MissedEvent) -> str:
    if isinstance(missed.count, int):
        return f"{missed.count} lines are missing here: they came faster than they could be shown"
    return "lines are missing here: the daemon no longer has them"


def is_temporary(error: ClientError) -> bool:
    """Whether a retry may succeed."""
    if isinstance(error, ApiError):
        return error.status in _BUSY
    return isinstance(error, DaemonUnreachable)
