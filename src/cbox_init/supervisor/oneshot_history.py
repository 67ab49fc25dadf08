"""The latest executions of all oneshots, for the API. Made when the first oneshot is started."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from cbox_init.core.restart import Trigger


class Execution(Struct, frozen=True, kw_only=True, gc=False):
    """One execution of a oneshot. ``duration_s`` and ``exit_code`` are None while it runs.

    ``error`` says why it failed; it is empty after a success, and while it runs.
    """

    number: int
    process: str
    instance: str
    started_unix: float
    trigger: Trigger
    duration_s: float | None = None
    exit_code: int | None = None
    error: str = ""

    @property
    def ended_unix(self) -> float | None:
        return None if self.duration_s is None else self.started_unix + self.duration_s


class OneshotHistory:
    """Keeps the executions under way, and the newest ``max_entries`` others for at most ``max_age_s``.

    An age of 0 is no limit. ``unix`` is the clock.
    """

    def __init__(self, *, max_entries: int, max_age_s: float, unix: Callable[[], float]) -> None:
        self._max_entries = max_entries
        self._max_age_s = max_age_s
        self._unix = unix
        self._last_number = 0
        self._executions: dict[int, Execution] = {}  # in the order of their beginning
        self._running: dict[str, int] = {}

    def begun(self, process: str, instance: str, trigger: Trigger) -> None:
        """Record that an execution begins now. An instance has at most one at a time."""
        self._last_number += 1
        self._executions[self._last_number] = Execution(
            number=self._last_number,
            process=process,
            instance=instance,
            started_unix=self._unix(),
            trigger=trigger,
        )
        self._running[instance] = self._last_number

    def ended(self, instance: str, *, duration_s: float, exit_code: int, error: str | None) -> None:
        """Record the end of an instance's execution; has no effect when its beginning was not recorded."""
        number = self._running.pop(instance, None)
        if number is None:
            return
        self._executions[number] = replace(
            self._executions[number], duration_s=max(0.0, duration_s), exit_code=exit_code, error=error or ""
        )
        self._forget_old()

    def latest(
        self, limit: int, process: str | None = None, among: Container[str] | None = None
    ) -> list[Execution]:
        """The ``limit`` executions that began last, of all (``among`` these) or of one, newest first."""
        self._forget_old()
        newest_first = reversed(self._executions.values())
        found = (
            one
            for one in newest_first
            if process in (None, one.process) and (among is None or one.process in among)
        )
        return list(islice(found, limit))

    def _forget_old(self) -> None:
        """Drop old executions, but none under way."""
        excess = len(self._executions) - len(self._running) - self._max_entries
        oldest_unix = self._unix() - self._max_age_s if self._max_age_s else 0.0
        dropped: list[int] = []
        for number, one in self._executions.items():
            if len(dropped) >= excess and one.started_unix >= oldest_unix:
                break
            if one.ended_unix is None:
                continue
            if len(dropped) < excess or one.ended_unix < oldest_unix:
                dropped.append(number)
        for number in dropped:
            del self._executions[number]
