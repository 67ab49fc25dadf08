"""Errors that can come in floods, as the log has them: at intervals, with their number."""

from __future__ import annotations

from asyncio import get_running_loop
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from cbox_init.api.http.exchange import Exchange

#: The least time between two messages about the same error, in seconds.
SAY_AGAIN_S: Final = 60.0


class ErrorLog(Protocol):
    """Where errors are logged: the daemon's own messages."""

    def error(self, message: str, **fields: str | int | None) -> None: ...


class RepeatedError:
    """One kind of error. It is logged at once, and while it goes on once a minute."""

    def __init__(self, log: ErrorLog, message: str) -> None:
        self._log = log
        self._message = message
        self._next_at = 0.0
        self._times = 0

    def note(self, **fields: str | None) -> None:
        """It has happened once more; ``times`` in the log counts those since the last message."""
        self._times += 1
        now = get_running_loop().time()
        if now >= self._next_at:
            self._log.error(self._message, times=self._times, **fields)
            self._next_at, self._times = now + SAY_AGAIN_S, 0


class RequestFailures(RepeatedError):
    """Requests that failed by a defect of ours."""

    def __init__(self, log: ErrorLog) -> None:
        super().__init__(log, "Unexpected: a request failed")

    def failed(self, exchange: Exchange, error: BaseException) -> None:
        """Log it, and answer 500 unless an answer has begun."""
        from traceback import format_exception

        self.note(
            method=exchange.head.method,
            path=exchange.path.decode(errors="replace"),
            error=str(error) or type(error).__name__,
            traceback="".join(format_exception(error)),
        )
        exchange.fail()
