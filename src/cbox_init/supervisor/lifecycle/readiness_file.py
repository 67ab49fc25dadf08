"""The readiness file, written and removed in a thread: its file system may not answer."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from threading import Condition
from typing import TYPE_CHECKING, Final

from cbox_init.logs.daemon import RepeatedError
from cbox_init.safe_paths import locate
from cbox_init.threads import NoThreadError, call_in_loop, start_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from cbox_init.supervisor.runtime import Runtime

#: How long after a try the next one comes, in seconds.
_AGAIN_S: Final = 1.0

#: After how many seconds the log says that the file system does not answer, and how often it repeats that.
_OVERDUE_S: Final = 5.0
_SAY_AGAIN_S: Final = 60.0


class ReadinessFile:
    """Makes the file at ``path`` be there or not, as ``keep`` was called last.

    One thread at a time works on it, so that a write that hangs is never followed by a removal that overtakes
    it. ``on_settled`` is called in the event loop when the thread is done, not before there is an event loop.
    """

    def __init__(
        self, path: str, content: str | None, *, runtime: Runtime, on_settled: Callable[[], object]
    ) -> None:
        self._path = path
        self._content = content
        self._runtime = runtime
        self._on_settled = on_settled
        self._lock = Condition()
        self._wanted = False
        self._is: bool | None = None  # a killed daemon may have left one behind
        self._error: tuple[Exception, bool] | None = None
        self._again_at = 0.0
        self._at_work = False
        self._lacks_thread = False
        self._began_at = 0.0
        self._complained_of: set[bool] = set()
        self._overdue = RepeatedError(
            runtime.log, "The readiness file is overdue", interval_s=_SAY_AGAIN_S, path=path
        )

    @property
    def settled(self) -> bool:
        """Whether the last `keep` is done, or has failed."""
        return not self._at_work and not self._lacks_thread

    def keep(self, *, ready: bool) -> float | None:
        """Have the file written (``ready``) or removed, unless that has been done or has just failed.

        Gives the monotonic time of the next call, None when the file is as it should be.
        """
        now = time.monotonic()
        with self._lock:
            changed, self._wanted = self._wanted is not ready, ready
            error, self._error = self._error, None
            begins = not self._at_work and self._is is not ready and (changed or now >= self._again_at)
            if begins:
                self._at_work, self._began_at, self._again_at = True, now, now + _AGAIN_S
            elif self._at_work:
                self._say_overdue(now)
            elif self._is is ready:
                self._complained_of.clear()
                return None
        if error is not None:
            self._say(error[0], ready=error[1])
        if begins:
            self._begin()
        return max(self._again_at, now + _AGAIN_S / 2)

    def wait(self, seconds: float) -> None:
        """Wait in the calling thread until it is settled, but no longer than this."""
        with self._lock:
            self._lock.wait_for(lambda: not self._at_work, seconds)

    def _begin(self) -> None:
        try:
            start_thread(self._work, name="readiness-file", failed=self._overdue.report)
            self._lacks_thread = False
        except NoThreadError as error:
            self._at_work, self._lacks_thread = False, True
            self._say(error, ready=self._wanted)

    def _say_overdue(self, now: float) -> None:
        late_s = now - self._began_at
        if late_s >= _OVERDUE_S:
            self._overdue.report("its file system does not answer", seconds=int(late_s))

    def _say(self, error: Exception, *, ready: bool) -> None:
        """Log an error of writing or removing, once until one succeeds."""
        if not isinstance(error, OSError):
            self._runtime.defects.report("the readiness file could not be kept", error)
        elif ready not in self._complained_of:
            self._complained_of.add(ready)
            self._runtime.log.error(
                "The readiness file cannot be written: choose another global.readiness.path"
                if ready
                else "The readiness file cannot be removed",
                path=self._path,
                error=error.strerror,
            )

    # -- in the thread ---------------------------------------------------------------------------------

    def _work(self) -> None:
        while self._once():
            pass
        if (loop := self._runtime.run_queue.loop) is not None:
            call_in_loop(loop, self._on_settled)

    def _once(self) -> bool:
        """Do what is wanted now; whether something else is wanted meanwhile."""
        ready = self._wanted
        error: Exception | None = None
        try:
            self._write() if ready else self._remove()
        except Exception as failed:  # noqa: BLE001  # reported by ``keep``
            error = failed
        with self._lock:
            self._is = ready if error is None else None
            self._error = None if error is None else (error, ready)
            if self._wanted is not ready:
                return True
            self._at_work = False
            self._lock.notify_all()
            return False

    def _write(self) -> None:
        """Write the file beside its path and rename it; others may be able to write to its folder (/tmp)."""
        content = self._content
        if content is None:
            content = f"ready\ntimestamp={int(self._runtime.unix())}\n"
        with locate(self._path, last_link=False) as place:
            beside = f"{place.name}.{os.getpid()}"
            fd = place.create_again(0o644, beside)
            try:
                try:
                    os.fchmod(fd, 0o644)
                    os.write(fd, content.encode())
                finally:
                    os.close(fd)
                place.rename(beside, place.name)
            except OSError:
                with suppress(OSError):
                    place.remove(beside)
                raise

    def _remove(self) -> None:
        with suppress(FileNotFoundError), locate(self._path, last_link=False) as place:
            place.remove()
