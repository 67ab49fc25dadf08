"""The one place that waits for children."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, KeysView


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
        try:
            name = signal.Signals(self.signal).name
        except ValueError:  # a real-time signal
            name = f"signal {self.signal}"
        return f"killed by {name}{' (core dumped)' if self.core_dumped else ''}"


class Reaper:
    """Waits for every child of this process: those that somebody watches, and the orphans that we inherit.

    Nothing else in the process may wait for a child. Then a pid that was not reaped cannot have been
    given to another process, and a signal to it cannot hit a stranger.

    ``on_stranger`` is called with the pid of each child that ended and that nobody watches.
    """

    def __init__(self, on_stranger: Callable[[int], None] | None = None) -> None:
        self._on_stranger = on_stranger
        self._watchers: dict[int, Callable[[ExitStatus], None]] = {}

    @property
    def watched(self) -> KeysView[int]:
        """The pids that are watched: children of ours that have not been reaped. A live view."""
        return self._watchers.keys()

    def watch(self, pid: int, callback: Callable[[ExitStatus], None]) -> None:
        """Have ``callback`` called once, from `reap`, when the child ``pid`` has ended.

        To be called before the next `reap` after the child was started, else its end goes to nobody.
        """
        self._watchers[pid] = callback

    def reap(self) -> int:
        """Reap all children that have ended, then tell those who watch them. Returns how many.

        Never blocks. The callbacks run when nothing is left to reap, so that one may start a child, even
        one that gets the pid of a child that has just been reaped. One that raises does not keep the
        others from being called: their errors come out together, as an ExceptionGroup, at the end.
        """
        ended = self._collect()
        errors: list[Exception] = []
        for pid, status, callback in ended:
            try:
                if callback is not None:
                    callback(ExitStatus.from_wait(status))
                elif self._on_stranger is not None:
                    self._on_stranger(pid)
            except Exception as error:  # noqa: BLE001 - raised again below, after the others had their turn
                errors.append(error)
        if errors:
            raise ExceptionGroup("while telling of children that ended", errors)
        return len(ended)

    def _collect(self) -> list[tuple[int, int, Callable[[ExitStatus], None] | None]]:
        ended: list[tuple[int, int, Callable[[ExitStatus], None] | None]] = []
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:  # no children at all
                return ended
            if pid == 0:
                return ended
            # The watcher goes with the child: a later end of the same pid, an orphan's, is a stranger's.
            ended.append((pid, status, self._watchers.pop(pid, None)))
