"""The shutdown: stops dependents before what they depend on, in parallel where it can, within a time limit.

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

#: How long the readiness file may take to be removed before processes are stopped, in seconds.
_WITHDRAWAL_TAKES_S = 2.0

#: How much later than that the daemon is ended by force, in seconds: its event loop may be late.
_FORCE_AFTER_S = 5.0


class ShutdownStage(IntEnum):
    """How far the shutdown is."""

    DRAIN = 0  # load balancers have time to see that we are not ready any more, runs of schedules to end
    PRE_STOP = 1
    PROCESSES = 2
    POST_STOP = 3
    LEFTOVERS = 4


class Shutdown:
    """Ends all processes. Reconciled whenever a process changes, a child ends or a time limit is reached.

    First the readiness file is removed (``withdrawn``), and runs of schedules may finish: each has as long as
    its stop may take, and at most half of ``timeout_s``. Then a process is stopped as soon as nothing that
    depends on it lives. Orphans that we inherited (a daemon that a oneshot started) get SIGTERM when all
    processes have ended. After ``timeout_s`` everything that is left is killed, hooks included, and no hook
    starts any more. ``on_finished`` is called once, with whether something is left that could not be killed.
    An error on the way does not prolong the shutdown: the `Deadline` of the daemon is set a little later than
    the last time limit.
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
        withdrawn: Callable[[], bool],
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
        self._stage = ShutdownStage.DRAIN
        self._chain: HookChain | None = None
        self._drain_s = drain_s
        self._withdrawn = withdrawn
        self._end_at: float | None = None
        self._signalled: set[Stray] = set()
        self._to_stop = deque(table)
        self._gone = Every(lambda process: not process.alive, table)
        self._finished = False
        for process in table:
            with runtime.defects.contain("a killed process could not be recorded", process=process.name):
                process.begin_kill_record()

    def reconcile(self, stop_at: float) -> float | None:
        """Stop the processes that can be stopped now; finish when everything has ended."""
        if self._finished:
            return None
        now = self._runtime.now()
        if self._end_at is None and (now >= self._kill_at or self._only_unreachable()):
            self.kill()
        if self._stage is ShutdownStage.DRAIN:
            if (drained_at := self._drained_at()) > now:
                return min(drained_at, self._kill_at)
            self._run_hooks(ShutdownStage.PRE_STOP, "pre-stop", self._hooks.pre_stop)
        if self._stage is ShutdownStage.PROCESSES:
            if not self._stop_ranks(stop_at):
                return 0.0
            if not self._anything_alive() and not self._end_orphans():
                self._run_hooks(ShutdownStage.POST_STOP, "post-stop", self._hooks.post_stop)
        if self._stage is ShutdownStage.LEFTOVERS and not self._end_orphans():
            self._finish()
            return None
        if self._end_at is not None and now >= self._end_at:
            self._runtime.log.error("Shutdown ends although processes are left", **self._alive())
            self._finish(left=True)
            return None
        return self._kill_at if self._end_at is None else self._end_at

    def kill(self) -> None:
        """Kill everything now: the time is over, or a second stop signal has come."""
        if self._end_at is not None:
            return
        self._runtime.set_deadline(_KILL_TAKES_S + _FORCE_AFTER_S)
        if self._anything_alive():
            self._runtime.log.warn("Killing processes that did not stop in time", **self._alive())
        self._end_at = self._runtime.now() + _KILL_TAKES_S
        if self._chain is not None:
            self._runtime.log.warn("Killing hooks: the time for the shutdown is over")
            with self._runtime.defects.contain("hooks could not be ended"):
                self._chain.cancel()
            self._chain = None
        processes_left = self._stage <= ShutdownStage.PROCESSES
        self._stage = ShutdownStage.PROCESSES if processes_left else ShutdownStage.LEFTOVERS
        for process in self._table:
            with self._runtime.defects.contain("a process could not be killed", process=process.name):
                process.kill()
        with self._runtime.defects.contain("orphans could not be killed"):
            self._end_orphans()
        self._runtime.run_queue.wake(self)

    def _drained_at(self) -> float:
        """The time from which processes are stopped; a time that is past when nothing is waited for."""
        withdrawn_at = self.began_at if self._withdrawn() else self.began_at + _WITHDRAWAL_TAKES_S
        if not self._anything_alive():
            return withdrawn_at
        return max(withdrawn_at, self.began_at + self._drain_s, self._runs_until())

    def _runs_until(self) -> float:
        """Until when runs that are under way may go on; a time that is past when there are none."""
        half_at = (self.began_at + self._kill_at) / 2
        times = (min(half_at, self.began_at + process.drain_s) for process in self._table)
        return max(times, default=self.began_at)

    def _run_hooks(self, stage: ShutdownStage, moment: str, hooks: Sequence[HookConfig]) -> None:
        """Run hooks in ``stage``; when they are over, failed or not, the next stage begins."""
        self._stage = stage
        if not hooks or self._end_at is not None:
            self._stage = ShutdownStage(stage + 1)
            return
        from cbox_init.supervisor.lifecycle.hooks import HookChain

        self._chain = HookChain(
            moment, hooks, runtime=self._runtime, logs=self._logs, on_over=self._hooks_over
        )

    def _hooks_over(self, _: str | None) -> None:
        self._chain = None
        self._stage = ShutdownStage(self._stage + 1)
        self._runtime.run_queue.wake(self)

    def _stop_ranks(self, stop_at: float) -> bool:
        """Stop the processes on which nothing that lives depends; False when the slice ended before all."""
        for _ in range(len(self._to_stop)):
            process = self._to_stop.popleft()
            if any(self._lives(other) for other in self._table.dependents(process.name)):
                self._to_stop.append(process)
                continue
            with self._runtime.defects.contain("a process could not be stopped", process=process.name):
                process.stop()
            if time.monotonic() >= stop_at:
                return False
        return True

    def _lives(self, name: str) -> bool:
        process = self._table[name]
        return process.alive or process.desired.run

    def _end_orphans(self) -> bool:
        """Send SIGTERM to each orphan that we inherited, once, or kill it after the time limit.

        Returns whether there were any.
        """
        orphans = self._runtime.orphans()
        if self._end_at is not None:
            signal_strays(orphans, _SIGKILL)
        else:
            new = [orphan for orphan in orphans if orphan not in self._signalled]
            signal_strays(new, _SIGTERM)
            signal_strays(new, SIGCONT)  # a stopped process would not handle SIGTERM
            self._signalled.update(orphans)
        return bool(orphans)

    def _anything_alive(self) -> bool:
        return not self._gone.reached()

    def _only_unreachable(self) -> bool:
        """Whether nothing is left but instances that we may not signal, which get no more time."""
        unreachable = self._runtime.unreachable
        if not unreachable or self._stage is not ShutdownStage.PROCESSES:
            return False
        return all(unreachable.issuperset(process.names_alive) for process in self._table)

    def _alive(self) -> dict[str, str]:
        """The processes and instances that live, as fields of a log message."""
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
