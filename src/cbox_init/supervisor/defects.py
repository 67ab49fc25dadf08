"""Errors that nobody expected: contained where they happen, counted, and logged at intervals."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import TracebackType

    from cbox_init.logs.daemon import DaemonLog

#: Seconds between two messages about the same error at the same place; those between are counted.
SAY_AGAIN_S: Final = 60.0

#: Places whose messages are limited one by one; those of any further ones share one limit.
_MOST_PLACES: Final = 200


class Defects:
    """One for each daemon. ``count`` says how many there were; ``last`` is the latest."""

    def __init__(self, log: DaemonLog) -> None:
        self._log = log
        self._said: dict[tuple[str, str], tuple[float, int]] = {}
        self.count = 0
        self.last: BaseException | None = None

    def contain(self, where: str, **fields: str | int | None) -> _Containment:
        """A context whose exceptions are reported instead of raised. ``where`` says what was being done."""
        return _Containment(self, where, fields)

    def report(self, where: str, error: BaseException, **fields: str | int | None) -> None:
        """Count an error, and log it unless that was done within the last minute. Never raises."""
        self.count += 1
        self.last = error
        kind = (where, type(error).__name__)
        if kind not in self._said and len(self._said) >= _MOST_PLACES:
            kind = ("", "")
        said_at, unsaid = self._said.get(kind, (-SAY_AGAIN_S, 0))
        now = time.monotonic()
        if now - said_at < SAY_AGAIN_S:
            self._said[kind] = (said_at, unsaid + 1)
            return
        self._said[kind] = (now, 0)
        try:
            self._log.error(
                f"Unexpected: {where}",
                error=str(error) or type(error).__name__,
                repeated=unsaid or None,
                traceback=_traceback_of(error),
                **fields,
            )
        except Exception:  # noqa: BLE001  # an error that cannot be logged is counted all the same
            self.count += 1


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


def _traceback_of(error: BaseException) -> str | None:
    """Where it happened; None when even that cannot be found out, for want of memory or descriptors."""
    try:
        from traceback import format_exception

        return "".join(format_exception(error))
    except Exception:  # noqa: BLE001
        return None
