"""The daemon's own messages."""

from __future__ import annotations

import time
from threading import Lock
from typing import TYPE_CHECKING, Final

from cbox_init.config.model.enums import LogLevel
from cbox_init.logs.routes import Routes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cbox_init.logs.descriptor_writer import DescriptorWriter
    from cbox_init.logs.encode.base import Field, Format

_INTERVAL_S: Final = 10.0
_TRACED_CALLS: Final = 10


class DaemonLog:
    """Writes the daemon's own messages to the outputs, in the form of the children's records.

    Fields become members of the record: ``process``, ``instance_id``, ``pid``, ``exit_code``,
    ``restart_count``, ``error`` where they apply; a field that is None is left out. All methods may be called
    from any thread. The messages are not kept for the API. With ``drops``, a message is dropped when far more
    is queued than the limit from which lines are dropped. ``mask`` takes secrets out of the texts of warnings
    and errors, which quote what others have written.
    """

    def __init__(
        self, form: Format, level: LogLevel, stdout: DescriptorWriter, *, drops: bool = False
    ) -> None:
        self._form = form
        self._level = level
        self._stdout = stdout
        self._drops = drops
        self.mask: Callable[[str], str] | None = None
        self.failed = 0
        """How many messages could not be written, for an error in writing them."""
        self._used = Routes(level, True, ())  # one value, so that no thread sees half of a change

    def use(self, routes: Routes) -> None:
        """Send the messages along these routes from now on."""
        self._used = routes

    def info(self, message: str, **fields: Field) -> None:
        self.log(LogLevel.INFO, message, **fields)

    def warn(self, message: str, **fields: Field) -> None:
        self.log(LogLevel.WARN, message, **fields)

    def error(self, message: str, **fields: Field) -> None:
        self.log(LogLevel.ERROR, message, **fields)

    def always(self, message: str, **fields: Field) -> None:
        """Write a message of level INFO, to standard output whatever the level there is."""
        self._write(LogLevel.INFO, message, fields, always=True)

    def log(self, level: LogLevel, message: str, **fields: Field) -> None:
        """Write one message. Never raises: whoever logs something is in the middle of something else."""
        self._write(level, message, fields)

    def _write(
        self, level: LogLevel, message: str, fields: Mapping[str, Field], *, always: bool = False
    ) -> None:
        try:
            self._log(level, message, fields, always)
        except Exception:  # noqa: BLE001  # there is nowhere to say it
            self.failed += 1

    def _log(self, level: LogLevel, message: str, fields: Mapping[str, Field], always: bool) -> None:
        now = time.time_ns()
        routes = self._used
        if self.mask is not None and level.rank >= LogLevel.WARN.rank:
            message = self.mask(message)
            fields = {
                name: self.mask(value) if isinstance(value, str) else value for name, value in fields.items()
            }
        if routes.plain and (always or level.rank >= self._level.rank):
            if self._drops and self._stdout.backed_up:
                self._stdout.refuse(1)
            else:
                self._stdout.write(self._form.message(now, level, message, fields))
        for route in routes.others:
            route.say(now, level, message, fields)


class RepeatedError:
    """Logs errors of one kind at intervals, with the number of those in between. For any thread."""

    def __init__(
        self, log: DaemonLog, message: str, *, interval_s: float = _INTERVAL_S, **fields: Field
    ) -> None:
        self._log = log
        self._message = message
        self._interval_s = interval_s
        self._fields = fields
        self._lock = Lock()
        self._said_at: float | None = None
        self._suppressed = 0

    def report(self, error: BaseException | str, **fields: Field) -> bool:
        """Log ``error``, or count it when one was logged shortly before; whether it was logged."""
        now = time.monotonic()
        with self._lock:
            if self._said_at is not None and now - self._said_at < self._interval_s:
                self._suppressed += 1
                return False
            suppressed, self._suppressed, self._said_at = self._suppressed, 0, now
        trace = None
        if isinstance(error, BaseException):
            if not isinstance(error, OSError):  # not what the system refuses, but a defect: where it is
                trace = _traceback(error)
            error = f"{type(error).__name__}: {error}"
        self._log.error(
            self._message,
            **self._fields,
            **fields,
            error=error,
            suppressed=suppressed or None,
            traceback=trace,
        )
        return True


def _traceback(error: BaseException) -> str | None:
    """Where it happened; None when that cannot be found out, for want of memory or descriptors."""
    try:
        from traceback import format_exception

        return "".join(format_exception(error, limit=-_TRACED_CALLS))
    except Exception:  # noqa: BLE001
        return None
