"""What every process uses: spawner, reaper, run queue, log and clocks. The daemon makes one `Runtime`."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from cbox_init.sensitive import KnownSecrets
from cbox_init.supervisor.defects import Defects
from cbox_init.supervisor.events import Events
from cbox_init.supervisor.instance.launch import MARKER
from cbox_init.system import procfs
from cbox_init.system.tree import Stray, TreeUsage, find_strays, left_group, tree_usage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cbox_init.audit.trail import AuditTrail
    from cbox_init.logs.daemon import DaemonLog
    from cbox_init.supervisor.instance.launch import Work
    from cbox_init.supervisor.run_queue import RunQueue
    from cbox_init.system.cgroup import Cgroups
    from cbox_init.system.reaper import Reaper
    from cbox_init.system.spawn import Spawner
    from cbox_init.telemetry.counters import Counters


#: How old a search for orphans may be when a living instance is killed, in seconds: about a turn of the loop.
_FRESH_S = 0.005

_CAP_KILL = 5


class Runtime:
    """Gives processes access to the system, the log and the clocks. ``counters`` are there if metrics are,
    ``audit`` if ``audit_enabled`` is set. ``environ`` is what children may inherit, ``secrets`` what no text
    may show."""

    def __init__(
        self,
        *,
        run_queue: RunQueue,
        spawner: Spawner,
        reaper: Reaper,
        log: DaemonLog,
        environ: Mapping[str, str],
        counters: Counters | None = None,
        audit: AuditTrail | None = None,
        secrets: KnownSecrets | None = None,
    ) -> None:
        self.run_queue = run_queue
        self.spawner = spawner
        self.reaper = reaper
        self.log = log
        self.environ = environ
        self.counters = counters
        self.secrets = secrets or KnownSecrets()
        self.audit = audit
        self.defects = Defects(log, None if audit is None else audit.defect)
        self.events = Events(self.secrets, self.defects)
        self.defects.on_report = self._defect_reported
        self.set_deadline: Callable[[float], object] = lambda seconds: None
        """Set the time, in seconds from now, when the daemon is ended by force (see `system.deadline`)."""
        self.job_variables: Callable[[Work, str, str], Mapping[str, str]] | None = None
        """Gives the variables that a job or a hook gets beside its own, by what it is (``run``, ``instance``,
        ``hook``), its process and its name. Called before each try to start it; raises nothing."""
        self.sampled: Callable[[str, int, float], TreeUsage | None] | None = None
        """The last sample of an instance by id and main process, if it is not older than this many seconds;
        None unless instances are sampled."""
        self.unreachable: set[str] = set()
        """The ids of instances that we are not permitted to signal: nothing waits for their end."""
        self.stop_signals: dict[str, int] = {}
        """The signals that processes, by name, are stopped with instead of the configured one: the main
        process of ``run`` gets the signal that the daemon has got."""
        self.unseen: str | None = None
        """Why processes that instances leave behind cannot all be found, where that is so."""
        self._may_signal_all: bool | None = None
        self._ended: dict[int, str] = {}
        self._left: dict[str, list[Stray]] | None = None
        self._found: dict[str, list[Stray]] = {}
        self._found_until = 0.0
        self._cgroups: Cgroups | None = None
        spawner.watch = reaper.watch
        reaper.on_error = lambda error: self.defects.report("the end of a child could not be handled", error)

    @staticmethod
    def now() -> float:
        """Monotonic seconds."""
        return time.monotonic()

    def unix(self) -> float:
        """Unix seconds."""
        return time.time()

    @property
    def may_signal_all(self) -> bool:
        """Whether this daemon may signal all that it starts; root in a container may lack CAP_KILL."""
        if self._may_signal_all is None:
            self._may_signal_all = os.geteuid() != 0 or procfs.has_capability(_CAP_KILL)
        return self._may_signal_all

    @property
    def cgroups(self) -> Cgroups:
        """The cgroups of instances; searched for when the first is needed."""
        if self._cgroups is None:
            from cbox_init.system.cgroup import Cgroups

            self._cgroups = Cgroups()
        return self._cgroups

    def _defect_reported(self, where: str, error: BaseException) -> None:
        self.events.emit("daemon.defect", reason=f"{where}: {type(error).__name__}: {error}")

    # -- what instances leave behind -------------------------------------------------------------------

    def main_ended(self, instance: str, pid: int) -> None:
        """Search for what an instance has left behind, from the end of its main process until ``cleared``."""
        self._ended[pid] = instance

    def cleared(self, pid: int) -> None:
        """End that search: nothing is left of the instance whose main process was ``pid``, or it may stay."""
        self._ended.pop(pid, None)

    def reap(self, stop_at: float) -> int:
        """Reap children that have ended, until ``stop_at``; then search again for what they left behind."""
        self._left = None
        return self.reaper.reap(stop_at)

    def left_behind(self, instance: str) -> Sequence[Stray]:
        """The processes left of an instance whose main process has ended.

        One search serves all instances whose main processes were reaped together.
        """
        if self._left is None:
            self._left = self._search()
        return self._left.get(instance, ())

    def strayed(self, instance: str, pid: int) -> Sequence[Stray]:
        """The processes that have left the process group of an instance whose main process lives.

        Orphans are those found at most ``_FRESH_S`` ago: one search serves all instances that are killed
        together, and a kill is repeated for those it did not find.
        """
        now = self.now()
        if now >= self._found_until:
            self._found = self._search()
            self._found_until = now + _FRESH_S
        orphaned = self._found.get(instance, ())
        return [*left_group(pid), *(stray for stray in orphaned if stray.pgid != pid)]

    def group_left(self, pid: int) -> Sequence[Stray]:
        """The processes left in the group of a child that has been reaped."""
        return [stray for stray in self.orphans() if stray.pgid == pid]

    def orphans(self) -> Sequence[Stray]:
        """Every orphan that the daemon has inherited."""
        return [stray for family in self._search().values() for stray in family]

    def orphans_by_instance(self) -> Mapping[str, Sequence[Stray]]:
        """Every orphan that the daemon has inherited, by the id of the instance that it belongs to."""
        return self._search()

    def usage(self, max_age_s: float = 0.0) -> Callable[[str, int], TreeUsage]:
        """A function that gives what a living instance uses, by its id and main process.

        That includes all processes that the instance has started. One search for orphans serves all calls of
        the function. A sample that the history has, and that is not older than ``max_age_s``, serves as well.
        """
        if not procfs.is_ours():
            return lambda instance, pid: TreeUsage(0.0, 0)
        sampled = self.sampled
        if sampled is None or not max_age_s:
            return self._measured()
        measured: list[Callable[[str, int], TreeUsage]] = []

        def usage(instance: str, pid: int) -> TreeUsage:
            if (found := sampled(instance, pid, max_age_s)) is not None:
                return found
            if not measured:
                measured.append(self._measured())
            return measured[0](instance, pid)

        return usage

    def _measured(self) -> Callable[[str, int], TreeUsage]:
        strays, children = self._search(), procfs.child_lookup()
        return lambda instance, pid: tree_usage(pid, children, strays.get(instance, ()))

    def _search(self) -> dict[str, list[Stray]]:
        return find_strays(MARKER, self.reaper.watched, self._ended)


class Reaping:
    """Reaps children, a slice of time at once. Woken when some may have ended.

    When three thousand end together it takes some sixty slices; between them the event loop does other work.
    A child that waits to be reaped stays a zombie, so that its pid is not used again. ``on_reaped`` is called
    after each slice.
    """

    def __init__(self, runtime: Runtime, on_reaped: Callable[[], None]) -> None:
        self._runtime = runtime
        self._on_reaped = on_reaped

    def reconcile(self, stop_at: float) -> None:
        """Reap until the slice is over; go on in the next turn when there may be more."""
        try:
            self._runtime.reap(stop_at)
        finally:  # an exit whose handling fails does not delay the others
            self._on_reaped()
            if self._runtime.reaper.unfinished:
                self._runtime.run_queue.wake(self)
