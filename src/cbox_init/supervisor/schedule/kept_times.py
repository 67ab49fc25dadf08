"""Keeps in ``global.state_dir`` up to when the times of each schedule were answered.

Read once, before the first schedule starts; written in a thread, at most once a second, and at the end. The
module is imported where ``state_dir`` is set and a process has a schedule.
"""

from __future__ import annotations

import os
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING, Final

from msgspec import DecodeError, Struct, field
from msgspec.json import decode, encode

from cbox_init.logs.daemon import RepeatedError
from cbox_init.safe_paths import locate
from cbox_init.threads import NoThreadError, in_thread, start_thread, wait_in_thread

if TYPE_CHECKING:
    from cbox_init.supervisor.runtime import Runtime

#: The file in ``state_dir``.
FILE_NAME: Final = "schedules.json"

_LARGEST: Final = 8 << 20
#: Unix times beyond this are damage: no time of a schedule can be computed from them.
_LATEST: Final = 1e11
_READ_S: Final = 2.0
_CLOSE_S: Final = 2.0
_WRITE_EVERY_S: Final = 1.0
_CANNOT_KEEP: Final = "The times of schedules cannot be kept"


class KeptSchedule(Struct, frozen=True):
    """What is kept of a schedule: its expression and zone, and the Unix time up to which it was answered."""

    schedule: str
    timezone: str
    answered: float


class _Document(Struct, frozen=True):
    version: int = 1
    schedules: dict[str, KeptSchedule] = field(default_factory=dict)


class KeptTimes:
    """The file of all schedules. An error of the file system is logged at intervals, and costs nothing else.

    A file that cannot be read is ignored, with a warning: no time was missed then.
    """

    def __init__(self, folder: str, runtime: Runtime) -> None:
        self._path = os.path.join(folder, FILE_NAME)
        self._runtime = runtime
        self._error = RepeatedError(runtime.log, _CANNOT_KEEP, interval_s=60.0, path=self._path)
        self._before: dict[str, KeptSchedule] = {}
        self._present: dict[str, KeptSchedule] = {}
        self._lock = Lock()
        self._writing = False
        self._changed = False
        self._write_at = 0.0

    def load(self) -> None:
        """Read what an earlier daemon has kept. Waits for the file system, but not long."""
        try:
            found = wait_in_thread(self._read, name="schedule-times", timeout_s=_READ_S)
        except FileNotFoundError:
            return
        except (OSError, DecodeError) as error:  # TimeoutError is an OSError
            self._runtime.log.warn(
                "The kept times of schedules cannot be read and are ignored",
                path=self._path,
                error=getattr(error, "strerror", None) or str(error),
            )
            return
        self._before = {name: one for name, one in found.schedules.items() if 0.0 <= one.answered <= _LATEST}

    def take(self, name: str, schedule: str, timezone: str) -> float | None:
        """Up to when an earlier daemon has answered this schedule; None when that is not known. Once."""
        kept = self._before.pop(name, None)
        same = kept is not None and (kept.schedule, kept.timezone) == (schedule, timezone)
        return kept.answered if kept is not None and same else None

    def note(self, name: str, schedule: str, timezone: str, answered: float) -> None:
        """The times of a schedule are answered up to the Unix time ``answered``."""
        self._present[name] = KeptSchedule(schedule, timezone, answered)
        self._changed = True
        self._runtime.run_queue.wake(self)

    def forget(self, name: str) -> None:
        """Times of this schedule that pass from now on are not missed."""
        if self._present.pop(name, None) is not None:
            self._changed = True
            self._runtime.run_queue.wake(self)

    def reconcile(self, stop_at: float) -> float | None:
        """Begin to write what has changed (see `run_queue`)."""
        now = self._runtime.now()
        if not self._changed:
            return None
        if self._writing or now < self._write_at:
            return max(self._write_at, now + _WRITE_EVERY_S / 2)
        self._write_at = now + _WRITE_EVERY_S
        self._changed, self._writing = False, True
        text = self._text()
        try:
            start_thread(lambda: self._write(text), name="schedule-times", failed=self._failed)
        except NoThreadError as error:
            self._failed(error)
        return None

    async def close(self) -> None:
        """Write what has changed since, before the daemon ends."""
        self._runtime.run_queue.forget(self)
        if not self._changed and not self._writing:
            return
        self._changed = False
        text = self._text()
        try:
            await in_thread(lambda: self._write(text), name="schedule-times", timeout_s=_CLOSE_S)
        except OSError as error:
            self._error.report(error)

    def _text(self) -> bytes:
        return encode(_Document(schedules=self._present))

    def _failed(self, error: Exception) -> None:
        self._writing = False
        self._changed = True  # tried again with the next change
        self._error.report(error)

    # -- in a thread -----------------------------------------------------------------------------------

    def _read(self) -> _Document:
        with locate(self._path) as place, open(place.open_regular(), "rb") as file:
            text = file.read(_LARGEST + 1)
        if len(text) > _LARGEST:
            raise OSError(0, f"is larger than {_LARGEST >> 20} MiB")
        return decode(text, type=_Document)

    def _write(self, text: bytes) -> None:
        """Write the file beside its path and rename it, so that it is whole whenever the machine stops."""
        with self._lock, locate(self._path, last_link=False, make_directories=True) as place:
            beside = f"{place.name}.new"
            fd = place.create_again(0o600, beside)
            try:
                with open(fd, "wb") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                place.rename(beside, place.name)
            except OSError:
                with suppress(OSError):
                    place.remove(beside)
                raise
        self._writing = False
