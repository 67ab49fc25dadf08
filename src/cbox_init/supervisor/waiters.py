"""Futures that API requests wait on, by key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Hashable

K = TypeVar("K", bound="Hashable")
V = TypeVar("V")


class Waiters(Generic[K, V]):
    """Lets any number of tasks wait for each key. One that is cancelled is removed."""

    __slots__ = ("_futures",)

    def __init__(self) -> None:
        self._futures: dict[K, list[Future[V]]] = {}

    def __contains__(self, key: K) -> bool:
        return key in self._futures

    async def wait(self, key: K) -> V:
        """Wait until ``resolve`` is called for ``key``; gives its value. Cancelled by ``cancel``."""
        from asyncio import get_running_loop

        future: Future[V] = get_running_loop().create_future()
        self._futures.setdefault(key, []).append(future)
        try:
            return await future
        finally:
            waiting = self._futures.get(key, [])
            if future in waiting:
                waiting.remove(future)
                if not waiting:
                    del self._futures[key]

    def resolve(self, key: K, value: V) -> None:
        """Wake all who wait for ``key``."""
        for future in self._futures.pop(key, ()):
            if not future.done():
                future.set_result(value)

    def resolve_all(self, value: V) -> None:
        """Wake all."""
        for key in tuple(self._futures):
            self.resolve(key, value)

    def cancel(self, key: K) -> None:
        """Cancel all who wait for ``key``."""
        for future in self._futures.pop(key, ()):
            future.cancel()

    def cancel_all(self) -> None:
        """Cancel all."""
        for key in tuple(self._futures):
            self.cancel(key)
