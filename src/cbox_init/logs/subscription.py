"""Lines as they come, for one reader; nothing waits for a slow reader."""

from __future__ import annotations

from asyncio import get_running_loop
from collections import deque
from typing import TYPE_CHECKING, Final, Self

from msgspec import Struct

from cbox_init.logs.past import BlockSlice, Position

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from cbox_init.logs.filter import LogFilter
    from cbox_init.logs.ring import NumberedBlock

BACKLOG_BYTES: Final = 256 * 1024
"""Memory for what one reader has not taken yet, in bytes."""


class Missed(Struct, frozen=True):
    """Stands for ``count`` matching lines that were dropped, None when the number is not known. The log
    goes on at ``upto``."""

    count: int | None
    upto: Position


class Subscription:
    """A queue of lines for one reader: ``take`` the next, ``wait`` when there is none.

    For the event loop's thread. Leaving the ``with`` block closes it.
    """

    def __init__(
        self,
        chosen: LogFilter,
        on_close: Callable[[Subscription], None],
        backlog_bytes: int = BACKLOG_BYTES,
    ) -> None:
        self.chosen: Final = chosen
        self._on_close = on_close
        self._limit = backlog_bytes
        self._before: deque[BlockSlice | Missed] = deque()
        self._backlog: deque[NumberedBlock] = deque()
        self._before_bytes = 0
        self._backlog_bytes = 0
        self._dropped: int | None = 0  # None: the number is not known
        self._dropped_upto = Position(0)
        self._waiting: Future[None] | None = None
        self._woken_by = 0
        self._ended = False

    @property
    def size(self) -> int:
        """Bytes of memory of what was not taken yet."""
        return self._before_bytes + self._backlog_bytes

    @property
    def pending(self) -> bool:
        """Whether there is something to take."""
        return bool(self._before or self._dropped != 0 or self._backlog)

    @property
    def ended(self) -> bool:
        """Whether nothing will be added to what is pending."""
        return self._ended

    def offer(self, entry: NumberedBlock) -> None:
        """Add a block that may match. Never waits; drops the oldest blocks when the queue is full."""
        self._backlog.append(entry)
        self._backlog_bytes += entry.size
        while self._backlog_bytes > self._limit:
            dropped = self._next_of_backlog()
            if self._dropped is not None:
                count = dropped.count(self.chosen)
                self._dropped = None if count is None else self._dropped + count
            self._dropped_upto = Position(dropped.number + 1)
        if self.size >= self._woken_by:
            self._wake()

    def begin_with(self, parts: Iterable[BlockSlice], missed: Missed | None = None) -> None:
        """Put these older lines in front of everything else."""
        if missed is not None:
            self._before.append(missed)
        for part in parts:
            self._before.append(part)
            self._before_bytes += part.entry.size
        self._wake()

    def take(self) -> BlockSlice | Missed | None:
        """The next item, None when there is none now."""
        if self._before:
            item = self._before.popleft()
            if isinstance(item, BlockSlice):
                self._before_bytes -= item.entry.size
            return item
        if self._dropped != 0:
            count, self._dropped = self._dropped, 0
            return Missed(count, self._dropped_upto)
        return BlockSlice(self._next_of_backlog()) if self._backlog else None

    async def wait(self, timeout_s: float) -> None:
        """Wait until there is something to take, nothing will come any more, or ``timeout_s`` has passed."""
        if not self.pending:
            await self._sleep(timeout_s, woken_by=0)

    async def gather(self, seconds: float) -> None:
        """Wait ``seconds`` for more to come; shorter when a quarter of the backlog is filled, or nothing
        will come."""
        much = self._limit // 4
        if self.size < much:
            await self._sleep(seconds, woken_by=much)

    async def _sleep(self, seconds: float, *, woken_by: int) -> None:
        """Sleep until ``woken_by`` bytes are pending or nothing will come any more; at most ``seconds``."""
        if self._ended:
            return
        loop = get_running_loop()
        self._waiting, self._woken_by = loop.create_future(), woken_by
        timer = loop.call_later(seconds, self._wake)
        try:
            await self._waiting
        finally:
            timer.cancel()
            self._waiting = None

    def end(self) -> None:
        """Add nothing any more. What is pending can still be taken."""
        if self._ended:
            return
        self._ended = True
        self._on_close(self)
        self._wake()

    def close(self) -> None:
        """The reader is gone: drop everything."""
        self.end()
        self._before.clear()
        self._backlog.clear()
        self._before_bytes = self._backlog_bytes = 0
        self._dropped = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _next_of_backlog(self) -> NumberedBlock:
        entry = self._backlog.popleft()
        self._backlog_bytes -= entry.size
        return entry

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
