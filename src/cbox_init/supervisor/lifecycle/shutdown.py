"""The orderly end: dependents before what they depend on, all that can in parallel, within one time limit.

drain ─ pre-stop hooks ─ processes, orphans ─ post-stop hooks ─ what those left ─ finished
"""

from __future__ import annotations

import time
from collections import deque
from enum import IntEnum
from signal import SIGCONT
from typing import TYPE_CHECKING

from cbox_init.core.every import Every
from cbox_init.system.tree import signal_strays

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cbox_init.config.model import HookConfig, HooksConfig
    from cbox_init.logs.hub import LogHub
    from cbox_init.supervisor.lifecycle.hooks import HookChain
    from cbox_init.supervisor.runtime import Runtime
    from cbox_init.supervisor.table import ProcessTable
    from cbox_init.system.tree import Stray

_SIGTERM = 15
_SIGKILL = 9

#: How long a kill may take before the daemon ends without seeing it, in seconds. A process that the kernel
#: cannot end (it waits for a device) must not hold the container.
_KILL_TAKES_S = 2.0

#: How much later than that the daemon is ended by force, in seconds: its event loop may be late.
_FORCE_AFTER_S = 5.0


class Stage(IntEnum):
    """How far the end is."""

    DRAIN = 0  # balancers have time to see that we are not ready any more, runs of schedules to end
    PRE_STOP = 1
    PROCESSES = 2
    POST_STOP = 3
    LEFTOVERS = 4


class Shutdown:
    """Reconciled whenever a process changes, a child ends or the time is up.

    First runs of schedules have their time: each may go on to its end, for as long as its stop may take and
    at most for half of the time of all; only then anything is stopped. A process is stopped when nothing that
    depends on it lives. Then the orphans that we inherited (a daemon that a oneshot started) get SIGTERM.
    When ``timeout_s`` is over all that is left is killed, hooks included, and no hook starts any more.
    ``on_finished`` is called once, with whether something is left that could not be ended. An error in any of
    this does not prolong it: the `Deadline` of the daemon comes a little later than the last time limit.
    """

    def __init__(
        self,
        table: ProcessTable,
        *,
        runtime: Runtime,
        logs: LogHub,
        hooks: HooksConfig,
        timeout_s: float,
        drain_s: float,
        on_finished: Callable[[bool], None],
    ) -> None:
        self.on_finished = on_finished
        self._table = table
        self._runtime = runtime
        self.began_at = runtime.now()
        self._kill_at = self.began_at + timeout_s
        runtime.set_deadline(timeout_s + _KILL_TAKES_S + _FORCE_AFTER_S)
        self._logs = logs
        self._hooks = hooks
        self._stage = Stage.DRAIN
        self._chain: HookChain | None = None
        self._drain_s = drain_s
        self._end_at: float | None = None
        self._told: set[Stray] = set()
        self._untold = deque(table)
        self._gone = Every(lambda process: not process.alive, table)
        self._finished = False
        for process in table:
            with runtime.defects.contain("a killed process could not be recorded", process=process.name):
                process.record_killed()

    def reconcile(self, stop_at: float) -> float | None:
        """Stop what can be stopped now; see whether everything has ended."""
        if self._finished:
            return None
        now = self._runtime.now()
        if self._end_at is None and now >= self._kill_at:
            self.kill()
        if self._stage is Stage.DRAIN:
            if (drained_at := self._drained_at()) > now:
                return min(drained_at, self._kill_at)
            self._run_hooks(Stage.PRE_STOP, "pre-stop", self._hooks.pre_stop)
        if self._stage is Stage.PROCESSES:
            if not self._stop_ranks(stop_at):
                return 0.0
            if not self._anything_alive() and not self._orphans_left():
                self._run_hooks(Stage.POST_STOP, "post-stop", self._hooks.post_stop)
        if self._stage is Stage.LEFTOVERS and not self._orphans_left():
            self._finish()
            return None
        if self._end_at is not None and now >= self._end_at:
            self._runtime.log.error("Shutdown ends although processes are left", **self._alive())
            self._finish(left=True)
            return None
        return self._kill_at if self._end_at is None else self._end_at

    def kill(self) -> None:
        """The time is up, or somebody has no patience: end everything now."""
        if self._end_at is not None:
            return
        self._runtime.set_deadline(_KILL_TAKES_S + _FORCE_AFTER_S)
        if self._anything_alive():
            self._runtime.log.warn("Killing what has not stopped in time", **self._alive())
        self._end_at = self._runtime.now() + _KILL_TAKES_S
        if self._chain is not None:
            self._runtime.log.warn("Hooks are ended: the time for the shutdown is over")
            with self._runtime.defects.contain("hooks could not be ended"):
                self._chain.cancel()
            self._chain = None
        self._stage = Stage.PROCESSES if self._stage <= Stage.PROCESSES else Stage.LEFTOVERS
        for process in self._table:
            with self._runtime.defects.contain("a process could not be killed", process=process.name):
                process.kill()
        with self._runtime.defects.contain("orphans could not be killed"):
            self._end_orphans(self._runtime.orphans())
        self._runtime.run_queue.wake(self)

    def _drained_at(self) -> float:
        """Until when nothing is told to stop; a time that is past when nothing lives."""
        if not self._anything_alive():
            return self.began_at
        return max(self.began_at + self._drain_s, self._jobs_until())

    def _jobs_until(self) -> float:
        """Until when runs that are under way may go on; a time that is past when there are none."""
        half_at = (self.began_at + self._kill_at) / 2
        times = (min(half_at, self.began_at + process.drain_s) for process in self._table)
        return max(times, default=self.began_at)

    def _run_hooks(self, stage: Stage, moment: str, hooks: Sequence[HookConfig]) -> None:
        """Go on with the stage that follows ``stage`` when these are over, whether they failed or not."""
        self._stage = stage
        if not hooks or self._end_at is not None:
            self._stage = Stage(stage + 1)
            return
        from cbox_init.supervisor.lifecycle.hooks import HookChain

        self._chain = HookChain(
            moment, hooks, runtime=self._runtime, logs=self._logs, on_over=self._hooks_over
        )

    def _hooks_over(self, _: str | None) -> None:
        self._chain = None
        self._stage = Stage(self._stage + 1)
        self._runtime.run_queue.wake(self)

    def _stop_ranks(self, stop_at: float) -> bool:
        """Stop what nothing depends on any more; whether there was time to look at all."""
        for _ in range(len(self._untold)):
            process = self._untold.popleft()
            if any(self._lives(other) for other in self._table.dependents(process.name)):
                self._untold.append(process)
                continue
            with self._runtime.defects.contain("a process could not be stopped", process=process.name):
                process.stop()
            if time.monotonic() >= stop_at:
                return False
        return True

    def _lives(self, name: str) -> bool:
        process = self._table[name]
        return process.alive or process.desired.run

    def _orphans_left(self) -> bool:
        """Whether there are orphans that we inherited; ends them."""
        orphans = self._runtime.orphans()
        if orphans:
            self._end_orphans(orphans)
        return bool(orphans)

    def _end_orphans(self, orphans: Sequence[Stray]) -> None:
        """Tell each but once, and kill it when the time is up."""
        if self._end_at is not None:
            signal_strays(orphans, _SIGKILL)
        else:
            untold = [orphan for orphan in orphans if orphan not in self._told]
            signal_strays(untold, _SIGTERM)
            signal_strays(untold, SIGCONT)  # one that is stopped would not notice
            self._told.update(orphans)

    def _anything_alive(self) -> bool:
        return not self._gone.reached()

    def _alive(self) -> dict[str, str]:
        """Who lives, as members of a message."""
        return _named({process.name: process.names_alive for process in self._table})

    def _finish(self, *, left: bool = False) -> None:
        self._finished = True
        killed = {process.name: process.names_killed for process in self._table}
        if any(killed.values()):
            self._runtime.log.warn("Killed in the shutdown", **_named(killed))
        self.on_finished(left)


def _named(instances: Mapping[str, Sequence[str]]) -> dict[str, str]:
    return {
        "processes": ", ".join(name for name, ids in instances.items() if ids),
        "instances": ", ".join(one for ids in instances.values() for one in ids),
    }
