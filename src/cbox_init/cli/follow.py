"""``logs -f``: follow the log, with ``--retry`` also beyond the end of a connection."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from cbox_init.cli import complain
from cbox_init.cli.connection import check_known
from cbox_init.errors import ApiError, ClientError, DaemonUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cbox_init.client import Client, LogEntry, LogStream, MissedEvent, StreamFilters

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 5.0

_BUSY = (429, 502, 503, 504)


class LogSelection(NamedTuple):
    """Which lines to show: the last ``tail`` (None for all) and the new ones of these processes, or of all
    without a name, that match the filters."""

    names: Sequence[str]
    tail: int | None
    filters: StreamFilters


class LogFollower:
    """Writes lines as they come. ``connect`` makes a client, at each call perhaps for another daemon;
    ``flush`` is called before a wait for more lines."""

    def __init__(
        self,
        selection: LogSelection,
        *,
        connect: Callable[[], Client],
        write: Callable[[LogEntry], None],
        flush: Callable[[], None],
    ) -> None:
        self._selection = selection
        self._connect = connect
        self._write = write
        self._flush = flush
        self._seen: str | None = None

    def run(self) -> None:
        """Follow until the daemon ends the stream; raises ClientError when the connection breaks."""
        with self._connect() as client, self._stream(client) as records:
            self._copy(records)
        complain("the daemon has ended, and its log with it")

    def run_for_ever(self) -> None:
        """Reconnect whenever the stream ends or breaks, and continue behind the last line.

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
                if not _is_temporary(error):
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

    def _copy(self, records: LogStream) -> None:
        from cbox_init.client import LogEntry

        try:
            for record in records:
                self._check_id(records.last_event_id)
                if isinstance(record, LogEntry):
                    self._write(record)
                else:
                    self._flush()
                    complain(_missing(record))
                if not records.pending:
                    self._flush()
        finally:
            self._seen = records.last_event_id

    def _check_id(self, id_: str | None) -> None:
        from cbox_init.client import run_of

        if id_ is not None and self._seen is not None and run_of(id_) != run_of(self._seen):
            complain("the daemon was restarted; this is its log from the beginning")
        self._seen = id_


def _missing(missed: MissedEvent) -> str:
    if isinstance(missed.count, int):
        return f"{missed.count} lines are missing here: they came faster than they could be shown"
    return "lines are missing here: the daemon no longer has them"


def _is_temporary(error: ClientError) -> bool:
    """Whether a retry may succeed."""
    if isinstance(error, ApiError):
        return error.status in _BUSY
    return isinstance(error, DaemonUnreachable)
