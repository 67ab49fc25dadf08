"""Processes that are no longer configured: stopped, dependents first, and then forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Callable, Mapping, Sequence

    from cbox_init.supervisor.supervisor import Managed


class Removal:
    """Looked at whenever one of its processes changes.

    A process is stopped when nothing that depended on it lives, and handed to ``forget``, with those that end
    with it, when nothing of it is left. ``dependents_of`` gives the names that depend on a name; they are
    retiring as well.
    """

    def __init__(
        self,
        *,
        dependents_of: Callable[[str], tuple[str, ...]],
        forget: Callable[[Sequence[Managed]], None],
    ) -> None:
        self._dependents_of = dependents_of
        self._forget = forget
        self._leaving: dict[str, Managed] = {}
        self._told: set[str] = set()
        self._waiters: dict[str, list[Future[None]]] = {}

    @property
    def leaving(self) -> Mapping[str, Managed]:
        """Who has not gone yet, by name."""
        return self._leaving

    def add(self, process: Managed) -> None:
        """From now on it is on its way out."""
        self._leaving[process.name] = process

    def take_back(self, name: str) -> None:
        """It is configured again before it has gone."""
        del self._leaving[name]
        self._told.discard(name)
        self._tell(name)

    async def gone(self, name: str) -> None:
        """Wait until it is forgotten, or configured again, or the daemon ends."""
        if name in self._leaving:
            from asyncio import get_running_loop

            waiter: Future[None] = get_running_loop().create_future()
            self._waiters.setdefault(name, []).append(waiter)
            await waiter

    def reconcile(self, stop_at: float) -> float | None:
        """Stop who can be stopped now, forget who has ended."""
        gone = []
        for name, process in tuple(self._leaving.items()):
            if name not in self._told and not any(map(self._lives, self._dependents_of(name))):
                self._told.add(name)
                process.stop()
            if name in self._told and not process.alive:
                del self._leaving[name]
                self._told.discard(name)
                gone.append(process)
        if gone:
            self._forget(gone)
        for process in gone:
            self._tell(process.name)
        return None

    def abandon(self) -> None:
        """The daemon ends, and with it everything: nobody is to wait any longer."""
        for name in tuple(self._waiters):
            self._tell(name)

    def _lives(self, name: str) -> bool:
        process = self._leaving.get(name)
        return process is not None and (process.alive or name not in self._told)

    def _tell(self, name: str) -> None:
        for waiter in self._waiters.pop(name, ()):
            if not waiter.done():
                waiter.set_result(None)
