"""The orderly end: dependents before what they depend on, all that can in parallel, within one time limit."""

from __future__ import annotations

from signal import SIGCONT
from typing import TYPE_CHECKING

from cbox_init.system.tree import signal_strays

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cbox_init.supervisor.process import ManagedProcess
    from cbox_init.supervisor.runtime import Runtime
    from cbox_init.supervisor.scheduled import ScheduledProcess
    from cbox_init.system.tree import Stray

_SIGTERM = 15
_SIGKILL = 9

#: How long a kill may take before the daemon ends without seeing it, in seconds. A process that the kernel
#: cannot end (it waits for a device) must not hold the container.
_KILL_TAKES_S = 2.0


class Shutdown:
    """Looked at whenever a process changes, a child ends or the time is up.

    First the runs of ``jobs`` have their time: each may go on to its end, for as long as a stop
    may take it, while there is half of the time of all; only then anything is stopped. A process is stopped
    when nothing that depends on it lives. Then the orphans that we inherited (a daemon
    that a oneshot started) are told to end. When ``timeout_s`` is over all that is left is killed.
    """

    def __init__(
        self,
        processes: Mapping[str, ManagedProcess | ScheduledProcess],
        dependents: Mapping[str, tuple[str, ...]],
        *,
        jobs: Sequence[ScheduledProcess],
        runtime: Runtime,
        timeout_s: float,
        on_finished: Callable[[], None],
    ) -> None:
        self.on_finished = on_finished
        self._processes = processes
        self._dependents = dependents
        self._runtime = runtime
        self._jobs = jobs
        self._began_at = runtime.now()
        self._kill_at = self._began_at + timeout_s
        self._end_at: float | None = None
        self._told: set[Stray] = set()
        self._finished = False

    def look(self, stop_at: float) -> float | None:
        """Stop what can be stopped now; see whether everything has ended."""
        if self._finished:
            return None
        now = self._runtime.now()
        if self._end_at is None and (jobs_until := self._jobs_until()) > now:
            return jobs_until
        if self._end_at is None and now >= self._kill_at:
            self.kill()
        self._stop_ranks()
        if not any(process.alive for process in self._processes.values()):
            orphans = self._runtime.orphans()
            if not orphans:
                self._finish()
                return None
            self._end_orphans(orphans)
        if self._end_at is not None and now >= self._end_at:
            self._runtime.log.error("Shutdown ends although processes are left", error=self._names_alive())
            self._finish()
            return None
        return self._kill_at if self._end_at is None else self._end_at

    def kill(self) -> None:
        """The time is up, or somebody has no patience: end everything now."""
        if self._end_at is not None:
            return
        if names := self._names_alive():
            self._runtime.log.warn("Killing what has not stopped in time", error=names)
        self._end_at = self._runtime.now() + _KILL_TAKES_S
        for process in self._processes.values():
            process.kill()
        self._end_orphans(self._runtime.orphans())
        self._runtime.agenda.wake(self)

    def _jobs_until(self) -> float:
        """Until when runs that are under way may go on; a time that is past when there are none."""
        half_at = (self._began_at + self._kill_at) / 2
        times = (min(half_at, self._began_at + job.stop_timeout_s) for job in self._jobs if job.alive)
        return max(times, default=self._began_at)

    def _stop_ranks(self) -> None:
        for name, process in self._processes.items():
            if process.desired.run and not any(self._lives(other) for other in self._dependents[name]):
                process.stop()

    def _lives(self, name: str) -> bool:
        process = self._processes[name]
        return process.alive or process.desired.run

    def _end_orphans(self, orphans: Sequence[Stray]) -> None:
        """Tell each but once, and kill it when the time is up."""
        if self._end_at is not None:
            signal_strays(orphans, _SIGKILL)
        else:
            untold = [orphan for orphan in orphans if orphan not in self._told]
            signal_strays(untold, _SIGTERM)
            signal_strays(untold, SIGCONT)  # one that is stopped would not notice
            self._told.update(orphans)

    def _names_alive(self) -> str:
        return ", ".join(name for name, process in self._processes.items() if process.alive)

    def _finish(self) -> None:
        self._finished = True
        self.on_finished()
