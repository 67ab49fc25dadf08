"""Following the log: through the end of a connection, or to its end."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from cbox_init.cli.complain import complain
from cbox_init.cli.unknown import check_known
from cbox_init.errors import ApiError, ClientError, DaemonUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cbox_init.client import Client, LogEntry, LogStream, MissedEvent, StreamFilters

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 5.0

_BUSY = (429, 502, 503, 504)


class Wanted(NamedTuple):
    """Which lines: of these processes (of all without a name), the last ``tail`` first, None for all that
    the filters ask for."""

    names: Sequence[str]
    tail: int | None
    filters: StreamFilters


class Follower:
    """Writes lines as they come. ``connect`` makes a client for the daemon, which may be another one each
    time; ``flush`` has a reader see what was written."""

    def __init__(
        self,
        wanted: Wanted,
        *,
        connect: Callable[[], Client],
        write: Callable[[LogEntry], None],
        flush: Callable[[], None],
    ) -> None:
        self._wanted = wanted
        self._connect = connect
        self._write = write
        self._flush = flush
        self._seen: str | None = None

    def run(self) -> None:
        """Until the daemon ends the stream; raises ClientError when it breaks."""
        with self._connect() as client, self._stream(client) as records:
            self._copy(records)
        complain("the daemon has ended, and its log with it")

    def run_for_ever(self) -> None:
        """Go on where the stream ended or broke, as soon as a daemon answers.

        Raises ClientError for what will not be better the next time.
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
                if not _passes(error):
                    raise
                why = str(error)
            if not waiting:
                complain(f"{why} (trying again until it answers, or until Ctrl-C)")
                waiting = True
            if self._seen != before:
                pause_s = FIRST_PAUSE_S
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    @contextmanager
    def _stream(self, client: Client) -> Iterator[LogStream]:
        wanted = self._wanted
        tail = wanted.tail if self._seen is None else None
        try:
            with client.follow(
                *wanted.names, tail=tail, last_event_id=self._seen, **wanted.filters
            ) as records:
                yield records
        except ApiError as error:
            if error.status == 404:
                check_known(client, wanted.names)
            raise

    def _copy(self, records: LogStream) -> None:
        from cbox_init.client import LogEntry

        try:
            for record in records:
                self._look_at_id(records.last_event_id)
                if isinstance(record, LogEntry):
                    self._write(record)
                else:
                    self._flush()
                    complain(_missing(record))
                if not records.pending:
                    self._flush()
        finally:
            self._seen = records.last_event_id

    def _look_at_id(self, id_: str | None) -> None:
        from cbox_init.client import run_of

        if id_ is not None and self._seen is not None and run_of(id_) != run_of(self._seen):
            complain("the daemon was started anew; this is its log from the beginning")
        self._seen = id_


def _missing(missed: MissedEvent) -> str:
    if isinstance(missed.count, int):
        return f"{missed.count} lines are missing here: they came faster than they could be shown"
    return "lines are missing here: the daemon keeps them no longer"


def _passes(error: ClientError) -> bool:
    """Whether it may be over when one tries again."""
    if isinstance(error, ApiError):
        return error.status in _BUSY
    return isinstance(error, DaemonUnreachable)
