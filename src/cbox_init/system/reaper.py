"""The one place that waits for children."""

from __future__ import annotations

import math
import os
import time
from typing import TYPE_CHECKING

from msgspec import Struct

from cbox_init.system.signals import signal_name

if TYPE_CHECKING:
    from collections.abc import Callable, KeysView


_PR_SET_CHILD_SUBREAPER = 36


class ExitStatus(Struct, frozen=True):
    """How a process ended: with a code, or by a signal. Exactly one of the two is not None."""

    code: int | None
    signal: int | None
    core_dumped: bool = False

    @classmethod
    def from_wait(cls, status: int) -> ExitStatus:
        """The meaning of a status as waitpid(2) gives it."""
        if os.WIFSIGNALED(status):
            return cls(None, os.WTERMSIG(status), os.WCOREDUMP(status))
        return cls(os.WEXITSTATUS(status), None)

    @property
    def exit_code(self) -> int:
        """What a shell reports: the code, or 128 and the number of the signal."""
        return 128 + self.signal if self.signal is not None else self.code or 0

    def describe(self) -> str:
        """For a person: "exit code 3", "killed by SIGKILL", "killed by SIGSEGV (core dumped)"."""
        if self.signal is None:
            return f"exit code {self.code}"
        return f"killed by {signal_name(self.signal)}{' (core dumped)' if self.core_dumped else ''}"


class Reaper:
    """Waits for every child of this process: those that are watched, and inherited orphans.

    Nothing else in the process may wait for a child. Then a pid that was not reaped cannot have been
    given to another process, and a signal to it cannot hit a stranger.

    ``on_stranger`` is called with the pid of each child that ended and is not watched.
    """

    def __init__(self, on_stranger: Callable[[int], None] | None = None) -> None:
        self._on_stranger = on_stranger
        self._watchers: dict[int, Callable[[ExitStatus], None]] = {}
        self._suspended: dict[int, Callable[[int | None], None]] = {}
        self.on_error: Callable[[Exception], None] | None = None
        """Called with what a callback raised."""
        self.unfinished = False
        """Whether the last ``reap`` left children that have ended: it was over before they were."""

    @property
    def watched(self) -> KeysView[int]:
        """The pids that are watched: children of ours that have not been reaped. A live view."""
        return self._watchers.keys()

    def watch(
        self,
        pid: int,
        callback: Callable[[ExitStatus], None],
        suspended: Callable[[int | None], None] | None = None,
    ) -> None:
        """Have ``callback`` called once, from `reap`, when the child ``pid`` has ended.

        ``suspended`` is called each time when a signal has stopped it, with that, and when it continues, with
        None. The kernel reports both as it reports an end, so that nothing is polled.

        Call it before the next `reap` after the child was started, else its end is missed.
        """
        self._watchers[pid] = callback
        if suspended is not None:
            self._suspended[pid] = suspended

    def reap(self, stop_at: float = math.inf) -> int:
        """Reap the children that have ended and call their callbacks. Returns how many.

        Never blocks, and begins with none after the monotonic time ``stop_at``, but for the first. Each is
        told of before the next is reaped: who watches it knows that the number is no longer its own, before
        the number can be another's in anybody's eyes. One that was not reaped keeps its number.

        A callback may start a child, even one that gets the pid of the child that has just been reaped. One
        that raises does not keep the others from being called: errors are given to ``on_error``, without it
        they come out together, as an ExceptionGroup, at the end.
        """
        errors: list[Exception] = []
        count = 0
        while (change := _next_change()) is not None:
            pid, status = change
            try:
                if os.WIFSTOPPED(status) or os.WIFCONTINUED(status):
                    self._tell_suspended(pid, os.WSTOPSIG(status) if os.WIFSTOPPED(status) else None)
                else:
                    count += 1
                    self._tell_ended(pid, status)
            except Exception as error:  # noqa: BLE001  # after the others had their turn
                if self.on_error is None:
                    errors.append(error)
                else:
                    self.on_error(error)
            if time.monotonic() >= stop_at:
                break
        self.unfinished = change is not None
        if errors:
            raise ExceptionGroup("while telling of children that ended", errors)
        return count

    def _tell_ended(self, pid: int, status: int) -> None:
        # The watchers go with the child: a later end of the same pid, an orphan's, is a stranger's.
        callback = self._watchers.pop(pid, None)
        self._suspended.pop(pid, None)
        if callback is not None:
            callback(ExitStatus.from_wait(status))
        elif self._on_stranger is not None:
            self._on_stranger(pid)

    def _tell_suspended(self, pid: int, signum: int | None) -> None:
        callback = self._suspended.get(pid)
        if callback is not None:
            callback(signum)


def become_subreaper() -> bool:
    """Have descendants that lose their parent become our children, as PID 1 has by birth.

    True when they will. False only where the kernel refuses; they then go to PID 1, out of our sight.
    """
    if os.getpid() == 1:
        return True
    import ctypes  # 1.5 ms, and in a container, where we are PID 1, never needed

    try:
        prctl = ctypes.CDLL(None).prctl
    except (OSError, AttributeError):  # a libc that cannot be opened by itself
        return False
    return bool(prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


def _next_change() -> tuple[int, int] | None:
    """Pid and status of a child that has ended (this reaps it), was stopped, or goes on; None for none."""
    try:
        pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
    except ChildProcessError:  # no children at all
        return None
    return (pid, status) if pid else None
