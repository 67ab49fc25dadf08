"""Following lines as they come, without anyone waiting for a slow reader."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Self

from msgspec import Struct

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Callable, Collection, Iterator
    from types import TracebackType

    from cbox_init.logs.levels import Level
    from cbox_init.logs.record import Block, Record

BACKLOG_BYTES = 256 * 1024
"""Memory for what one reader has not taken yet."""


class Missed(Struct, frozen=True):
    """Stands in a subscription where ``count`` records were dropped, since the reader was too slow."""

    count: int


class Subscription:
    """Records from now on, oldest first: ``async for item in subscription``.

    An item is a Record, or a Missed where records were dropped. The iteration ends when the subscription is
    closed, by its reader or by the hub. For one reader, in the event loop's thread; leaving the ``with``
    block closes it.
    """

    def __init__(
        self,
        processes: Collection[str] | None,
        min_level: Level | None,
        on_close: Callable[[Subscription], None],
        backlog_bytes: int = BACKLOG_BYTES,
    ) -> None:
        self._processes = None if processes is None else frozenset(processes)
        self._min_level = min_level
        self._on_close = on_close
        self._limit = backlog_bytes
        self._backlog: deque[Block] = deque()
        self._size = 0
        self._missed = 0
        self._current: Iterator[Record] = iter(())
        self._waiting: Future[None] | None = None
        self._closed = False

    def offer(self, block: Block) -> None:
        """Called for every block of every process; never waits, drops the oldest that was not taken."""
        if self._processes is not None and block.source.process not in self._processes:
            return
        if self._min_level is not None and block.level < self._min_level:
            return
        self._backlog.append(block)
        self._size += block.size
        while self._size > self._limit:
            dropped = self._take()
            self._missed += len(dropped)
        self._wake()

    def close(self) -> None:
        """End the iteration. What was not taken yet is let go."""
        if self._closed:
            return
        self._closed = True
        self._backlog.clear()
        self._current = iter(())
        self._missed = 0
        self._on_close(self)
        self._wake()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Record | Missed:
        while True:
            record = next(self._current, None)
            if record is not None:
                return record
            if self._missed:
                missed, self._missed = self._missed, 0
                return Missed(missed)
            if self._backlog:
                self._current = self._take().records()
            elif self._closed:
                raise StopAsyncIteration
            else:
                await self._wait()

    def _take(self) -> Block:
        block = self._backlog.popleft()
        self._size -= block.size
        return block

    async def _wait(self) -> None:
        from asyncio import get_running_loop

        self._waiting = get_running_loop().create_future()
        try:
            await self._waiting
        finally:
            self._waiting = None

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
