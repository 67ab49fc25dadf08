"""Unexpected errors: contained where they happen, counted, and logged at intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cbox_init.logs.daemon import RepeatedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from cbox_init.logs.daemon import DaemonLog

#: Seconds between two messages about the same error at the same place; those between are counted.
REPEAT_S: Final = 60.0

#: How many places have intervals of their own; all further ones share one.
_MAX_PLACES: Final = 200


class Defects:
    """Reports unexpected errors; one for each daemon. ``count`` is their number, ``last`` the latest.
    ``record`` is called for each, and raises nothing; ``on_report`` for each that is not one too many for
    the log.
    """

    def __init__(self, log: DaemonLog, record: Callable[[str, BaseException], object] | None = None) -> None:
        self._log = log
        self._record = record
        self.on_report: Callable[[str, BaseException], object] | None = None
        self._places: dict[tuple[str, str], RepeatedError] = {}
        self.count = 0
        self.last: BaseException | None = None

    def contain(self, where: str, **fields: str | int | None) -> _Containment:
        """A context whose exceptions are reported instead of raised. ``where`` says what was being done."""
        return _Containment(self, where, fields)

    def report(self, where: str, error: BaseException, **fields: str | int | None) -> None:
        """Count an error, and log it unless that was done within the last minute."""
        self.count += 1
        self.last = error
        if self._record is not None:
            self._record(where, error)
        place = (where, type(error).__name__)
        if place not in self._places and len(self._places) >= _MAX_PLACES:
            place = ("an error at one of many places", "")
        if place not in self._places:
            self._places[place] = RepeatedError(self._log, f"Unexpected: {place[0]}", interval_s=REPEAT_S)
        if self._places[place].report(error, **fields) and self.on_report is not None:
            self.on_report(where, error)


class _Containment:
    """The context that `Defects.contain` gives."""

    __slots__ = ("_defects", "_fields", "_where")

    def __init__(self, defects: Defects, where: str, fields: dict[str, str | int | None]) -> None:
        self._defects = defects
        self._where = where
        self._fields = fields

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        self._defects.report(self._where, error, **self._fields)
        return True
