"""Writes audit records in a thread of its own, so that a file system that hangs stalls nothing else."""

from __future__ import annotations

import time
from collections import deque
from threading import Condition
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from cbox_init.audit.chain import ChainLink, seal
from cbox_init.threads import NoThreadError, start_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from cbox_init.audit.file import FoundChain, TornEnd

#: What may wait to be written; further records are lost and counted.
MOST_QUEUED: Final = 10_000
MOST_QUEUED_BYTES: Final = 8 * 1024 * 1024

#: How long after a failure it is tried again, in seconds; at once when somebody waits for a new record.
TRY_AGAIN_S: Final = 1.0

_BATCH: Final = 256
_BATCH_BYTES: Final = 256 * 1024


class AuditTarget(Protocol):
    """Where the lines go: a file, or the daemon's log. Called in the writer's thread."""

    def resume(self) -> FoundChain:
        """Open it, and find the end of the chain in it. Raises OSError."""

    def append(self, data: bytes, *, sync: bool) -> None:
        """Write whole lines, all or none. Raises OSError."""

    def close(self) -> None:
        """Close what is open."""


class _Queued(NamedTuple):
    body: bytes
    done: Callable[[str | None], None] | None


class AuditWriter:
    """Gives each body its place in the chain, and writes it to ``target``.

    Records that cannot be written wait, and are tried again; when the queue is full, new ones are lost and a
    record says how many. ``notice`` makes the body of such a record, and of one about a torn line, from its
    message and figures. ``failed`` is called with the error of each failed attempt, ``healed`` after the next
    success, in any thread.
    """

    def __init__(
        self,
        target: AuditTarget,
        *,
        sync: bool,
        notice: Callable[[str, str, dict[str, int | str]], bytes],
        failed: Callable[[Exception | str], object],
        healed: Callable[[], object],
    ) -> None:
        self._target = target
        self._sync = sync
        self._notice = notice
        self._failed = failed
        self._healed = healed
        self._queue: deque[_Queued] = deque()
        self._bytes = 0
        self._awake = Condition()
        self._running = False
        self._ending = False
        self._retry_at = 0.0
        self._busy_since: float | None = None
        self._unsaid = 0
        self._link: ChainLink | None = None
        self._attempted: list[ChainLink] = []
        self._notice_attempted: ChainLink | None = None
        self._ready = False
        self.failing: str | None = None
        """Why records cannot be written now; None while they can."""
        self.written = 0
        self.lost = 0

    @property
    def link(self) -> ChainLink | None:
        """The last record that was written, once one was."""
        return self._link

    @property
    def queued(self) -> int:
        """Records that are not written yet."""
        return len(self._queue)

    def stuck_for_s(self) -> float:
        """How long the target has not answered, in seconds."""
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    def report_stuck(self, reason: str) -> None:
        """Take in that a write does not return; ``healed`` is called when one has."""
        with self._awake:
            if self._busy_since is not None:
                self.failing = reason
        self._failed(reason)

    def put(self, body: bytes, done: Callable[[str | None], None] | None = None) -> None:
        """Queue a record. Never blocks; from any thread.

        ``done`` is called when it is written, with None, or with the reason why it is not: it is lost then,
        or tried again later.
        """
        with self._awake:
            if len(self._queue) >= MOST_QUEUED or self._bytes + len(body) > MOST_QUEUED_BYTES:
                self.lost += 1
                self._unsaid += 1
                refused: str | None = self.failing or "too many audit records wait to be written"
            else:
                refused = None
                if self._unsaid:
                    self._append(_Queued(self._say_lost(), None))
                self._append(_Queued(body, done))
                if done is not None:
                    self._retry_at = 0.0
                self._ensure_thread()
                self._awake.notify_all()
        if refused is not None:
            if done is not None:
                done(refused)
            self._failed(refused)

    def close(self, timeout_s: float) -> bool:
        """Write what is queued, within ``timeout_s``, and end the thread. Blocks; False when not all was
        written.
        """
        until = time.monotonic() + timeout_s
        with self._awake:
            if self._unsaid:
                self._append(_Queued(self._say_lost(), None))
            if self._queue:
                self._ensure_thread()
            self._ending = True
            self._retry_at = 0.0
            self._awake.notify_all()
            while self._running and (left := until - time.monotonic()) > 0:
                self._awake.wait(left)
            return not self._running and not self._queue

    def _say_lost(self) -> bytes:
        count, self._unsaid = self._unsaid, 0
        return self._notice("audit.lost", f"{count} audit records before this one are lost", {"lost": count})

    def _append(self, queued: _Queued) -> None:
        self._queue.append(queued)
        self._bytes += len(queued.body)

    def _ensure_thread(self) -> None:
        if self._running:
            return
        try:
            start_thread(self._run, name="audit-writer", failed=self._ended)
        except NoThreadError as error:  # the next record tries again
            self._fail(error)
        else:
            self._running = True

    # -- in the thread ---------------------------------------------------------------------------------

    def _ended(self, error: Exception) -> None:
        """The thread has ended by a defect; the next record starts another."""
        with self._awake:
            self._running = False
            self._ready = False
            self._fail(error)
            self._awake.notify_all()

    def _run(self) -> None:
        while (batch := self._next()) is not None:
            self._busy_since = time.monotonic()
            try:
                self._write(batch)
            except Exception as error:  # noqa: BLE001  # whatever it is, it is tried again
                self._ready = False
                self._refuse(batch, error)
            finally:
                self._busy_since = None
        self._target.close()

    def _next(self) -> list[_Queued] | None:
        """The records to be written next, which stay in the queue until they are; None at the end."""
        with self._awake:
            while True:
                wait_s = self._retry_at - time.monotonic()
                if self._queue and wait_s <= 0:
                    break
                if self._ending and (not self._queue or self.failing is not None):
                    self._running = False
                    self._awake.notify_all()
                    return None
                self._awake.wait(wait_s if self._queue else None)
            batch: list[_Queued] = []
            size = 0
            for queued in self._queue:
                batch.append(queued)
                size += len(queued.body)
                if len(batch) >= _BATCH or size >= _BATCH_BYTES:
                    break
            return batch

    def _write(self, batch: list[_Queued]) -> None:
        if not self._ready:
            self._resume(batch)
        lines: list[bytes] = []
        link = self._link
        assert link is not None
        self._attempted = []
        for queued in batch:
            line, link = seal(queued.body, link)
            lines.append(line)
            self._attempted.append(link)
        if lines:
            awaited = any(queued.done is not None for queued in batch)
            self._target.append(b"".join(lines), sync=self._sync and awaited)
        self._settle(batch, link)

    def _resume(self, batch: list[_Queued]) -> None:
        """Find where the chain goes on, and say what is torn there."""
        found = self._target.resume()
        if self._link is None:
            self._link = found.link
        elif found.link == self._notice_attempted:
            self._link = found.link
            self.written += 1
        elif found.link in self._attempted:
            # A write that failed has left whole lines: these are written.
            count = self._attempted.index(found.link) + 1
            self._attempted = []
            self._settle(batch[:count], found.link)
            del batch[:count]
        self._attempted = []
        if found.torn is not None:
            self._say_torn(found.torn)
        self._ready = True

    def _say_torn(self, torn: TornEnd) -> None:
        assert self._link is not None
        message = f"{torn.bytes} bytes before this record are no complete record: a write was cut short"
        figures: dict[str, int | str] = {"torn_bytes": torn.bytes, "torn_sha256": torn.sha256}
        line, link = seal(self._notice("audit.torn", message, figures), self._link)
        self._notice_attempted = link
        self._target.append(line, sync=False)
        self._link = link
        self.written += 1

    def _settle(self, batch: list[_Queued], link: ChainLink) -> None:
        """The first records of the queue are written."""
        self._link = link
        with self._awake:
            for queued in batch:
                self._queue.popleft()
                self._bytes -= len(queued.body)
            self.written += len(batch)
            healed, self.failing = self.failing is not None, None
        for queued in batch:
            if queued.done is not None:
                queued.done(None)
        if healed:
            self._healed()

    def _refuse(self, batch: list[_Queued], error: Exception) -> None:
        """Tell those who wait that it failed; the records stay in the queue."""
        reason = self._fail(error)
        with self._awake:
            self._retry_at = time.monotonic() + TRY_AGAIN_S
            waiting = [queued.done for queued in self._queue if queued.done is not None]
            kept = [_Queued(queued.body, None) for queued in self._queue]
            self._queue.clear()
            self._queue.extend(kept)
        for done in waiting:
            done(reason)

    def _fail(self, error: Exception) -> str:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        self.failing = reason
        self._failed(error if not isinstance(error, OSError) else reason)
        return reason
