"""Replies that go on until somebody ends them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from cbox_init.logs.subscription import Subscription


class Streams:
    """The subscriptions behind open streams, which share the event loop with everything else."""

    def __init__(self) -> None:
        self._open: set[Subscription] = set()
        self._closed = False
        self._turn = asyncio.Lock()

    def __len__(self) -> int:
        """How many are open."""
        return len(self._open)

    @contextmanager
    def entry(self, subscription: Subscription) -> Iterator[Subscription]:
        """Count ``subscription`` among the open ones for as long as the block lasts, and close it then."""
        self._open.add(subscription)
        if self._closed:
            subscription.end()
        try:
            yield subscription
        finally:
            self._open.discard(subscription)
            subscription.close()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Work for one stream: one of them in each turn of the event loop, in the order in which they ask.

        However many there are, other requests wait for one of them only.
        """
        await self._turn.acquire()
        try:
            yield
        finally:
            asyncio.get_running_loop().call_soon(self._turn.release)

    def end(self) -> None:
        """End every stream, and those to come, when they have sent what is there."""
        self._closed = True
        for subscription in tuple(self._open):
            subscription.end()
