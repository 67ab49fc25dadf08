"""Removes processes that are no longer configured: stops them, dependents first, then drops them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cbox_init.supervisor.waiters import Waiters

if TYPE_CHECKING:
    from collections.abc import Callable

    from cbox_init.supervisor.managed import Managed
    from cbox_init.supervisor.table import ProcessTable


class Removal:
    """Stops processes and waits for their end. Owns ``table.leaving``, the processes that are being removed.

    It is reconciled when one of them changes. A process is stopped when nothing that depends on it lives; all
    its dependents are being removed too. Each that has ended is handed to ``forget``; ``forgotten`` is
    called once for those of a turn.
    """

    def __init__(
        self,
        table: ProcessTable,
        *,
        forget: Callable[[Managed], None],
        forgotten: Callable[[], None],
    ) -> None:
        self._table = table
        self._leaving = table.leaving
        self._forget = forget
        self._forgotten = forgotten
        self._stopped: set[str] = set()
        self._waiters: Waiters[str, None] = Waiters()
        self.held = False
        """While set, it does nothing; whoever clears it wakes it."""

    def add(self, process: Managed) -> None:
        """Begin the removal of a process."""
        self._leaving[process.name] = process

    def take_back(self, name: str) -> None:
        """Cancel the removal of a process that is configured again."""
        del self._leaving[name]
        self._stopped.discard(name)
        self._waiters.resolve(name, None)

    async def gone(self, name: str) -> None:
        """Wait until a process is removed, or configured again, or the daemon ends."""
        if name in self._leaving:
            await self._waiters.wait(name)

    def reconcile(self, stop_at: float) -> float | None:
        """Stop the processes that can be stopped now; forget those that have ended."""
        if self.held:
            return None
        gone = []
        again_at: float | None = None
        for name, process in tuple(self._leaving.items()):
            if name not in self._stopped and not any(map(self._lives, self._table.dependents(name))):
                self._stopped.add(name)
                process.stop()
            elif name not in self._stopped or process.alive:
                continue
            if name in self._stopped and not process.alive:
                del self._leaving[name]
                self._stopped.discard(name)
                self._forget(process)
                gone.append(name)
            if time.monotonic() >= stop_at:
                again_at = stop_at
                break
        if gone:
            self._forgotten()
        for name in gone:
            self._waiters.resolve(name, None)
        return again_at

    def abandon(self) -> None:
        """End all waits, as the daemon ends."""
        self._waiters.resolve_all(None)

    def _lives(self, name: str) -> bool:
        process = self._leaving.get(name)
        return process is not None and (process.alive or name not in self._stopped)
