"""Samples what instances use, when ``resource_metrics_enabled`` is set, and keeps the samples.

The instances that run take turns: a round goes through all of them once in an interval, a few at a time, so
that neither a turn of the event loop nor a moment has much to do. Nothing is read twice for one sample.
"""

from __future__ import annotations

import math
import os
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from cbox_init.container import read_capacity
from cbox_init.logs.daemon import RepeatedError
from cbox_init.system import procfs
from cbox_init.system.tree import TreeUsage
from cbox_init.system.usage import UsageWalk, proportional_bytes
from cbox_init.telemetry.counters import Histogram
from cbox_init.telemetry.history import History, Sample
from cbox_init.threads import NoThreadError, begin_in_thread

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from cbox_init.config.model import GlobalConfig
    from cbox_init.supervisor.instance.live import LiveTree
    from cbox_init.supervisor.managed import Managed
    from cbox_init.supervisor.runtime import Runtime
    from cbox_init.system.tree import Stray
    from cbox_init.system.usage import InstanceUsage

#: Upper bounds of the time that one sample takes, in seconds.
_BOUNDS_S: Final = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05)

#: The shortest interval, in seconds: a shorter one counts as this.
LEAST_INTERVAL_S: Final = 0.1

#: How long a turn samples at most, in seconds, and how long it lets others work when more is due.
_SLICE_S: Final = 0.002
_PAUSE_S: Final = 0.002

#: How many instances are sampled together, as each time costs a wake-up; and the least time between.
_TOGETHER: Final = 8
_LEAST_STEP_S: Final = 0.02

#: How long a search for orphans serves, in seconds.
_ORPHANS_S: Final = 1.0

#: The time between two measurements of proportional memory, in seconds.
PSS_EVERY_S: Final = 60.0

#: The resolution of CPU time, in seconds; over a shorter time a percentage is meaningless.
_TICK_S: Final = 1 / procfs.TICKS_PER_S


class Latest(Struct, frozen=True):
    """The latest sample of a main process, and the counters of which the next one gives the difference."""

    instance: str
    usage: InstanceUsage
    sample: Sample


class ResourceSampler:
    """Samples every instance that runs, scheduled runs too, once in ``resource_metrics_interval``.

    ``processes`` gives the present processes. ``history`` has the samples, ``durations`` how long each took.
    """

    def __init__(
        self, settings: GlobalConfig, *, runtime: Runtime, processes: Callable[[], Iterable[Managed]]
    ) -> None:
        self.history = History(settings.resource_metrics_max_samples)
        self.durations = Histogram(_BOUNDS_S)
        self.memory_bytes = read_capacity().memory
        """The memory of the container, of which percentages are."""
        self._errors: dict[str, dict[str, int]] = {}
        self._runtime = runtime
        self._processes = processes
        self._interval_s = _interval_of(settings)
        self._latest: dict[int, Latest] = {}
        self._round: deque[Managed] = deque()
        self._queue: deque[tuple[str, LiveTree]] = deque()
        self._seen: set[int] = set()
        self._expected = 0
        self._together = 0
        self._left = 0
        self._step_s = 0.0
        self._round_at = runtime.now()
        self._next_at = self._round_at
        self._walk: UsageWalk | None = None
        self._walked_s = 0.0
        self._orphans: Mapping[str, Sequence[Stray]] = {}
        self._children: Callable[[int], list[int]] = procfs.listed_children
        self._orphans_until = 0.0
        self._pss = settings.resource_metrics_pss
        self._pss_of: dict[tuple[int, int], int] = {}
        self._pss_at = self._round_at
        self._measuring: Future[dict[tuple[int, int], int]] | None = None
        self._unreadable = RepeatedError(runtime.log, "What an instance uses could not be read")
        runtime.run_queue.wake(self)

    # -- what was found --------------------------------------------------------------------------------

    def latest(self, instance: str, pid: int | None) -> Latest | None:
        """The latest sample of an instance whose main process is ``pid``; None when there is none yet."""
        found = self._latest.get(pid) if pid else None
        return found if found is not None and found.instance == instance else None

    def used_lately(self, instance: str, pid: int, max_age_s: float) -> TreeUsage | None:
        """What an instance used at most this many seconds ago; None when that is not known."""
        latest = self.latest(instance, pid)
        if latest is None or procfs.now_since_boot_s() - latest.usage.at > max_age_s:
            return None
        return TreeUsage(latest.usage.tree_cpu_s, latest.usage.tree_rss_bytes)

    def errors(self, process: str, instance: str) -> int:
        """How many samples of an instance have failed."""
        return self._errors.get(process, {}).get(instance, 0)

    # -- settings --------------------------------------------------------------------------------------

    def adopt(self, settings: GlobalConfig) -> None:
        """Use other settings: the interval from now on, and the number of samples at once."""
        interval_s = _interval_of(settings)
        if interval_s != self._interval_s:
            self._interval_s = interval_s
            self._next_at = min(self._next_at, self._runtime.now() + interval_s)
            self._runtime.run_queue.wake(self)
        self._pss = settings.resource_metrics_pss
        if not self._pss:
            self._pss_of = {}
        if settings.resource_metrics_max_samples != self.history.most:
            self.history.resize(settings.resource_metrics_max_samples)

    def forget(self, process: str) -> None:
        """Drop what is kept about a process that was removed."""
        self.history.forget(process)
        self._errors.pop(process, None)

    def close(self) -> None:
        """Sample no more."""
        self._runtime.run_queue.forget(self)
        if self._measuring is not None:
            self._measuring.cancel()

    # -- sampling --------------------------------------------------------------------------------------

    def reconcile(self, stop_at: float) -> float | None:
        """Sample the instances whose turn it is (see ``run_queue``)."""
        now = self._runtime.now()
        if now < self._next_at:
            return self._next_at
        if not self._queue and not self._round:
            self._begin_round(now)
        stop_at = min(stop_at, time.monotonic() + _SLICE_S)
        while self._find_next() and (self._left or not self._queue) and self._go_on(stop_at):
            if time.monotonic() >= stop_at:
                break
        now = self._runtime.now()
        over = not self._queue and not self._round
        if self._left and not over:
            return now + _PAUSE_S
        self._left = self._together
        end = self._round_at + self._interval_s
        if over:
            self._end_round()
        self._next_at = max(now + _PAUSE_S, end if over else min(self._next_at + self._step_s, end))
        return self._next_at

    def _begin_round(self, now: float) -> None:
        """Share the interval among as many instances as should run, or ran in the last round."""
        self._round_at = self._next_at = now
        self._round.extend(self._processes())
        wanted = sum(process.desired.scale for process in self._round if process.desired.run)
        expected = max(self._expected, wanted)
        steps = max(1, min(math.ceil(expected / _TOGETHER), int(self._interval_s / _LEAST_STEP_S)))
        self._left = self._together = max(1, math.ceil(expected / steps))
        self._step_s = self._interval_s / steps
        self._seen = set()

    def _find_next(self) -> bool:
        """Have the next instance at the head of the queue, or do a part of that; whether any is left."""
        if not self._queue and self._round:
            process = self._round.popleft()
            trees = process.trees
            self._queue.extend((process.name, tree) for tree in trees)
            self._seen.update(tree.pid for tree in trees)
            running = {tree.id for tree in trees}
            oldest = self._runtime.unix() - self.history.most * self._interval_s
            self.history.prune(process.name, running, older_than=oldest)
            self._prune_errors(process.name, running)
        return bool(self._queue or self._round)

    def _end_round(self) -> None:
        self._expected = len(self._seen)
        for pid in self._latest.keys() - self._seen:
            del self._latest[pid]
        if self._pss and self._runtime.now() >= self._pss_at:
            self._measure_pss()

    def _measure_pss(self) -> None:
        """Measure the proportional memory of all in a thread: the kernel may take seconds for it."""
        if self._measuring is not None and not self._measuring.done():
            return
        trees = [
            (pid, one.usage.started_ticks, [stray.pid for stray in self._orphans.get(one.instance, ())])
            for pid, one in self._latest.items()
        ]

        def measure() -> dict[tuple[int, int], int]:
            found = ((pid, ticks, proportional_bytes(pid, ticks, strays)) for pid, ticks, strays in trees)
            return {(pid, ticks): pss for pid, ticks, pss in found if pss is not None}

        try:
            self._measuring = begin_in_thread(measure, name="pss")
        except NoThreadError as error:
            self._unreadable.report(error)
        else:
            self._measuring.add_done_callback(self._pss_measured)

    def _pss_measured(self, measured: Future[dict[tuple[int, int], int]]) -> None:
        self._pss_at = self._runtime.now() + PSS_EVERY_S
        if measured.cancelled() or not self._pss:
            return
        if (error := measured.exception()) is not None:
            self._unreadable.report(error)
            return
        self._pss_of = measured.result()

    def _prune_errors(self, process: str, running: set[str]) -> None:
        errors = self._errors.get(process)
        if errors is not None:
            for instance in errors.keys() - running:
                if self.history.ring(process, instance) is None:
                    del errors[instance]

    def _go_on(self, stop_at: float) -> bool:
        """Sample the next instance, or a part of it; whether it is done."""
        if not self._queue:
            return True
        process, tree = self._queue[0]
        usage: InstanceUsage | None = None
        if not tree.record.main_ended:
            began = time.monotonic()
            try:
                usage = self._read(tree, stop_at)
                self._walked_s += time.monotonic() - began
                if usage is None:
                    return False
                self._take(process, tree, usage)
                self.durations.note(self._walked_s)
            except ProcessLookupError:  # it has just ended
                self._count_error(process, tree.id)
            except OSError as error:
                self._count_error(process, tree.id)
                self._unreadable.report(error, process=process, instance_id=tree.id)
            except Exception as error:  # noqa: BLE001  # a defect: it concerns this sample alone
                self._count_error(process, tree.id)
                self._runtime.defects.report("an instance could not be sampled", error)
        self._walk, self._walked_s = None, 0.0
        self._queue.popleft()
        self._left -= 1
        return True

    def _read(self, tree: LiveTree, stop_at: float) -> InstanceUsage | None:
        if self._walk is None:
            self._look_for_orphans()
            strays = (stray.pid for stray in self._orphans.get(tree.id, ()))
            self._walk = UsageWalk(tree.pid, strays, self._children)
        return self._walk.go_on(stop_at)

    def _look_for_orphans(self) -> None:
        now = self._runtime.now()
        if now < self._orphans_until:
            return
        if not procfs.is_ours():
            raise OSError(procfs.blind_spot())
        self._orphans = self._runtime.orphans_by_instance()
        self._children = procfs.child_lookup()
        self._orphans_until = now + _ORPHANS_S

    def _count_error(self, process: str, instance: str) -> None:
        errors = self._errors.setdefault(process, {})
        errors[instance] = errors.get(instance, 0) + 1

    def _take(self, process: str, tree: LiveTree, usage: InstanceUsage) -> None:
        latest = self._latest.get(tree.pid)
        before = None
        if latest is not None and latest.usage.started_ticks == usage.started_ticks:
            before = latest.usage
        elapsed_s = max(usage.at - (usage.started_s if before is None else before.at), _TICK_S)
        cpu_s, tree_cpu_s = usage.cpu_s, usage.tree_cpu_s
        read = written = None
        if before is not None:
            cpu_s -= before.cpu_s
            tree_cpu_s -= before.tree_cpu_s
            read, written = before.read_bytes, before.written_bytes
        sample = Sample(
            unix=round(self._runtime.unix(), 3),
            cpu_percent=100 * max(cpu_s, 0.0) / elapsed_s,
            memory_rss_bytes=usage.rss_bytes,
            memory_vms_bytes=usage.vms_bytes,
            threads=usage.threads,
            file_descriptors=usage.descriptors,
            tree_cpu_percent=100 * max(tree_cpu_s, 0.0) / elapsed_s,
            tree_memory_rss_bytes=usage.tree_rss_bytes,
            tree_processes=usage.tree_processes,
            io_read_bytes_per_second=_rate(usage.read_bytes, read, elapsed_s),
            io_write_bytes_per_second=_rate(usage.written_bytes, written, elapsed_s),
            cgroup_memory_bytes=_cgroup_memory(tree.cgroup),
            tree_memory_pss_bytes=self._pss_of.get((tree.pid, usage.started_ticks)),
        )
        self._latest[tree.pid] = Latest(tree.id, usage, sample)
        self.history.add(process, tree.id, sample)


def _interval_of(settings: GlobalConfig) -> float:
    return max(settings.resource_metrics_interval, LEAST_INTERVAL_S)


def _rate(total: int | None, before: int | None, elapsed_s: float) -> float | None:
    """Bytes per second. A total is less than before when a process of the tree has ended unseen."""
    return None if total is None else max(total - (before or 0), 0) / elapsed_s


def _cgroup_memory(path: str | None) -> int | None:
    """The memory that a cgroup uses, with files that are cached for it; None without one."""
    if path is None:
        return None
    try:
        return int(procfs.read_bytes(os.path.join(path, "memory.current")))
    except (OSError, ValueError):
        return None
