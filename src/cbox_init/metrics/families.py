"""Every metric: its name, its labels, what it means, and where its samples come from.

A family is a row of `FAMILIES`; docs/metrics.md has the same rows.
"""

from __future__ import annotations

import platform
from collections import Counter
from math import inf
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from msgspec import Struct
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from cbox_init import __version__
from cbox_init.core.health import HealthState
from cbox_init.core.restart import Cause
from cbox_init.core.states import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prometheus_client.metrics_core import Metric

    from cbox_init.audit.trail import AuditTrail
    from cbox_init.metrics.snapshot import Process, Snapshot
    from cbox_init.supervisor.notifications.notifier import NotifierState
    from cbox_init.supervisor.status import AutoscaleStatus, InstanceStatus, ScheduleStatus
    from cbox_init.system.own_figures import OwnFigures
    from cbox_init.telemetry.counters import Histogram, Outcomes
    from cbox_init.telemetry.history import Sample

_PREFIX: Final = "cbox_init_"
_Value = TypeVar("_Value")

if TYPE_CHECKING:
    Series = tuple[tuple[str, ...], _Value]
    Samples = Callable[[Snapshot], Iterable[Series[_Value]]]


class Family(Struct, Generic[_Value], frozen=True):
    """One metric. ``samples`` gives the values of ``labels`` with the value, for each time series."""

    name: str
    help: str
    labels: tuple[str, ...]
    samples: Samples[_Value]
    prefix: str = _PREFIX

    def metrics(self, snapshot: Snapshot, most: int) -> Iterator[Metric]:
        """The metric in pieces of about ``most`` samples; none without samples."""
        metric = self._empty()
        for labels, value in self.samples(snapshot):
            self._add(metric, labels, value)
            if len(metric.samples) >= most:
                yield metric
                metric = self._empty()
        if metric.samples:
            yield metric

    def _empty(self) -> Metric:
        raise NotImplementedError

    def _add(self, metric: Metric, labels: tuple[str, ...], value: _Value) -> None:
        raise NotImplementedError


class _Gauge(Family[float], frozen=True):
    def _empty(self) -> Metric:
        return GaugeMetricFamily(self.prefix + self.name, self.help, labels=self.labels)

    def _add(self, metric: Metric, labels: tuple[str, ...], value: float) -> None:
        metric.add_sample(metric.name, dict(zip(self.labels, labels, strict=True)), value)


class _Counter(Family[float], frozen=True):
    """Its name ends in ``_total`` where it is shown."""

    def _empty(self) -> Metric:
        return CounterMetricFamily(self.prefix + self.name, self.help, labels=self.labels)

    def _add(self, metric: Metric, labels: tuple[str, ...], value: float) -> None:
        metric.add_sample(f"{metric.name}_total", dict(zip(self.labels, labels, strict=True)), value)


class _Histogram(Family["Histogram"], frozen=True):
    def _empty(self) -> Metric:
        return HistogramMetricFamily(self.prefix + self.name, self.help, labels=self.labels)

    def _add(self, metric: Metric, labels: tuple[str, ...], value: Histogram) -> None:
        buckets = [(_bound(upper_s), float(count)) for upper_s, count in value.cumulative()]
        assert isinstance(metric, HistogramMetricFamily)
        metric.add_metric(labels, buckets, value.sum_s)


def _bound(seconds: float) -> str:
    return "+Inf" if seconds == float("inf") else str(seconds)


# -- processes ---------------------------------------------------------------------------------------------


def _instances(value: Callable[[InstanceStatus], float | None]) -> Samples[float]:
    def samples(snapshot: Snapshot) -> Iterator[Series[float]]:
        for process in snapshot.processes:
            for instance in process.instances:
                if (found := value(instance)) is not None:
                    yield (process.name, instance.id), found

    return samples


def _processes(value: Callable[[Process], float]) -> Samples[float]:
    return lambda snapshot: (((process.name,), value(process)) for process in snapshot.steady)


#: Causes of restarts that only some keys lead to: they have a series from the first restart on.
_BY_KEYS: Final = frozenset((Cause.TIMEOUT, Cause.MAX_RUNTIME, Cause.DEPENDENCY))


def _restarts(snapshot: Snapshot) -> Iterator[Series[float]]:
    for process in snapshot.steady:
        counts = Counter(process.status.past_restarts)
        for instance in process.instances:
            counts.update(instance.restart_causes)
        for cause in Cause:
            if cause not in _BY_KEYS or counts[cause]:
                yield (process.name, str(cause)), counts[cause]


def _uptime(snapshot: Snapshot) -> Iterator[Series[float]]:
    for process in snapshot.processes:
        yield (process.name,), snapshot.now - process.status.supervised_at


# -- what instances use ------------------------------------------------------------------------------------


def _used(value: Callable[[Sample], float | None], *more: str) -> Samples[float]:
    """One figure of the latest sample of each instance that runs; ``more`` are values of further labels."""

    def samples(snapshot: Snapshot) -> Iterator[Series[float]]:
        for process, latest in snapshot.latest():
            if (found := value(latest.sample)) is not None:
                yield (process, latest.instance, *more), found

    return samples


def _memory(snapshot: Snapshot) -> Iterator[Series[float]]:
    for process, latest in snapshot.latest():
        yield (process, latest.instance, "rss"), latest.sample.memory_rss_bytes
        yield (process, latest.instance, "vms"), latest.sample.memory_vms_bytes


def _memory_percent(snapshot: Snapshot) -> Iterator[Series[float]]:
    for process, latest in snapshot.latest():
        used = 100 * latest.sample.memory_rss_bytes / snapshot.memory_bytes
        yield (process, latest.instance), round(used, 2)


def _transferred(snapshot: Snapshot) -> Iterator[Series[float]]:
    for process, latest in snapshot.latest():
        for direction, count in (("read", latest.usage.read_bytes), ("write", latest.usage.written_bytes)):
            if count is not None:
                yield (process, latest.instance, direction), count


def _collection_errors(snapshot: Snapshot) -> Iterator[Series[float]]:
    if snapshot.resources is not None:
        for process in snapshot.steady:
            for instance in process.instances:
                errors = snapshot.resources.errors(process.name, instance.id)
                yield (process.name, instance.id), errors


def _collection_duration(snapshot: Snapshot) -> Iterator[Series[Histogram]]:
    if snapshot.resources is not None:
        yield (), snapshot.resources.durations


# -- health ------------------------------------------------------------------------------------------------


def _verdict(states: Iterable[HealthState]) -> float | None:
    """0 when one is unhealthy, 1 when one is healthy and none is unhealthy, None while it is not known."""
    known = set(states)
    if HealthState.UNHEALTHY in known:
        return 0
    return 1 if HealthState.HEALTHY in known else None


def _health(snapshot: Snapshot) -> Iterator[Series[float]]:
    for process in snapshot.steady:
        states = (one.health.state for one in process.instances if one.health is not None)
        if (verdict := _verdict(states)) is not None:
            yield (process.name,), verdict


def _check_status(snapshot: Snapshot) -> Iterator[Series[float]]:
    for process in snapshot.steady:
        if process.check is not None:
            states = (one.health.checks for one in process.instances if one.health is not None)
            if (verdict := _verdict(states)) is not None:
                yield (process.name, process.check), verdict


def _consecutive_fails(snapshot: Snapshot) -> Iterator[Series[float]]:
    for process in snapshot.steady:
        if process.check is not None:
            failures = (one.health.failures for one in process.instances if one.health is not None)
            yield (process.name,), max(failures, default=0)


def _checks(snapshot: Snapshot) -> Iterator[tuple[str, str, Outcomes]]:
    for process in snapshot.processes:
        for kind, outcomes in snapshot.counters.checks(process.name).items():
            yield process.name, kind, outcomes


def _check_total(snapshot: Snapshot) -> Iterator[Series[float]]:
    for name, kind, outcomes in _checks(snapshot):
        yield (name, kind, "success"), outcomes.successes
        yield (name, kind, "failure"), outcomes.failures


def _check_failures(snapshot: Snapshot) -> Iterator[Series[float]]:
    return (((name, kind), outcomes.failures) for name, kind, outcomes in _checks(snapshot))


def _check_duration(snapshot: Snapshot) -> Iterator[Series[Histogram]]:
    return (((name, kind), outcomes.durations) for name, kind, outcomes in _checks(snapshot))


# -- hooks -------------------------------------------------------------------------------------------------


def _hooks(snapshot: Snapshot) -> Iterator[tuple[str, str, Outcomes]]:
    for process, name, moment, outcomes in snapshot.counters.hooks():
        yield f"{process}/{name}" if process is not None else name, moment, outcomes


def _hook_total(snapshot: Snapshot) -> Iterator[Series[float]]:
    for name, moment, outcomes in _hooks(snapshot):
        yield (name, moment, "success"), outcomes.successes
        yield (name, moment, "failure"), outcomes.failures


def _hook_duration(snapshot: Snapshot) -> Iterator[Series[Histogram]]:
    return (((name, moment), outcomes.durations) for name, moment, outcomes in _hooks(snapshot))


# -- autoscaling -------------------------------------------------------------------------------------------


def _autoscale(value: Callable[[AutoscaleStatus], float | None]) -> Samples[float]:
    def samples(snapshot: Snapshot) -> Iterator[Series[float]]:
        for process in snapshot.steady:
            status = process.status.autoscale
            if status is not None and (found := value(status)) is not None:
                yield (process.name, status.metric), found

    return samples


# -- schedules ---------------------------------------------------------------------------------------------


def _schedules(value: Callable[[ScheduleStatus], float | None]) -> Samples[float]:
    def samples(snapshot: Snapshot) -> Iterator[Series[float]]:
        for process in snapshot.scheduled:
            schedule = process.status.schedule
            if schedule is not None and (found := value(schedule)) is not None:
                yield (process.name,), found

    return samples


def _run_total(snapshot: Snapshot) -> Iterator[Series[float]]:
    for process in snapshot.scheduled:
        if (schedule := process.status.schedule) is not None:
            yield (process.name, "success"), schedule.totals.succeeded
            yield (process.name, "failure"), schedule.totals.failed


def _run_duration(snapshot: Snapshot) -> Iterator[Series[Histogram]]:
    return (((process.name,), snapshot.counters.runs(process.name)) for process in snapshot.scheduled)


def _pings(snapshot: Snapshot) -> Iterator[Series[float]]:
    for process in snapshot.scheduled:
        if (pings := snapshot.counters.pings(process.name)) is not None:
            yield (process.name, "success"), pings.successes
            yield (process.name, "failure"), pings.failures


def _last_ping(snapshot: Snapshot) -> Iterator[Series[float]]:
    for process in snapshot.scheduled:
        pings = snapshot.counters.pings(process.name)
        if pings is not None and pings.delivered_unix is not None:
            yield (process.name,), pings.delivered_unix


# -- the daemon and its log --------------------------------------------------------------------------------


def _shutting_down(snapshot: Snapshot) -> Iterator[Series[float]]:
    if snapshot.shutdown_s is not None:
        yield (), snapshot.shutdown_s


def _own(value: Callable[[OwnFigures], float]) -> Samples[float]:
    return lambda snapshot: (((), value(snapshot.own)),)


def _outputs(field: str) -> Samples[float]:
    """Outputs with the same address, but other headers for example, are one time series."""

    def samples(snapshot: Snapshot) -> Iterator[Series[float]]:
        sums: Counter[str] = Counter()
        for output in snapshot.outputs:
            sums[output.target] += getattr(output, field)
        return (((target,), count) for target, count in sums.items())

    return samples


def _audit(value: Callable[[AuditTrail], int]) -> Samples[float]:
    return lambda snapshot: () if snapshot.audit is None else (((), value(snapshot.audit)),)


def _notifications(value: Callable[[NotifierState], float]) -> Samples[float]:
    return lambda snapshot: (((one.name,), value(one)) for one in snapshot.notifications)


FAMILIES: Final[tuple[Family[float] | Family[Histogram], ...]] = (
    _Gauge(
        "process_up",
        "Whether an instance runs: 1 or 0",
        ("name", "instance"),
        _instances(lambda one: float(one.state is State.RUNNING)),
    ),
    _Counter("process_restarts", "Restarts of the instances of a process", ("name", "reason"), _restarts),
    _Gauge(
        "process_start_time_seconds",
        "When an instance was last started, as a Unix time",
        ("name", "instance"),
        _instances(lambda one: one.started_at),
    ),
    _Gauge(
        "process_last_exit_code",
        "Exit code of the last finished run of an instance",
        ("name", "instance"),
        _instances(lambda one: one.last_exit_code),
    ),
    _Gauge(
        "process_desired_scale",
        "Instances that a process should have when it runs",
        ("name",),
        _processes(lambda one: one.status.desired_scale),
    ),
    _Gauge(
        "process_current_scale",
        "Instances that a process has: starting, running or stopping",
        ("name",),
        _processes(lambda one: one.status.scale),
    ),
    _Gauge(
        "process_cpu_percent",
        "CPU time that the main process of an instance used between two samples, of one CPU",
        ("process", "instance"),
        _used(lambda one: round(one.cpu_percent, 2)),
    ),
    _Gauge(
        "process_memory_bytes",
        "Memory of the main process of an instance: resident (rss) and virtual (vms)",
        ("process", "instance", "type"),
        _memory,
    ),
    _Gauge(
        "process_memory_percent",
        "Resident memory of the main process of an instance, of the memory of the container",
        ("process", "instance"),
        _memory_percent,
    ),
    _Gauge(
        "process_threads",
        "Threads of the main process of an instance",
        ("process", "instance"),
        _used(lambda one: one.threads),
    ),
    _Gauge(
        "process_file_descriptors",
        "Open file descriptors of the main process of an instance",
        ("process", "instance"),
        _used(lambda one: one.file_descriptors),
    ),
    _Gauge(
        "process_tree_cpu_percent",
        "CPU time that all processes of an instance used between two samples, of one CPU",
        ("process", "instance"),
        _used(lambda one: round(one.tree_cpu_percent, 2)),
    ),
    _Gauge(
        "process_tree_memory_bytes",
        "Resident memory of all processes of an instance",
        ("process", "instance"),
        _used(lambda one: one.tree_memory_rss_bytes),
    ),
    _Gauge(
        "process_tree_pss_bytes",
        "Proportional memory of all processes of an instance: shared pages count in part",
        ("process", "instance"),
        _used(lambda one: one.tree_memory_pss_bytes),
    ),
    _Gauge(
        "process_tree_processes",
        "Processes of an instance",
        ("process", "instance"),
        _used(lambda one: one.tree_processes),
    ),
    _Gauge(
        "process_cgroup_memory_bytes",
        "Memory of the cgroup of an instance that has its own",
        ("process", "instance"),
        _used(lambda one: one.cgroup_memory_bytes),
    ),
    _Counter(
        "process_io_bytes",
        "Bytes that all processes of an instance have read from storage and written to it",
        ("process", "instance", "direction"),
        _transferred,
    ),
    _Histogram(
        "resource_collection_duration_seconds",
        "Time to sample what an instance uses",
        (),
        _collection_duration,
    ),
    _Counter(
        "resource_collection_errors",
        "Samples of what an instance uses that failed",
        ("process", "instance"),
        _collection_errors,
    ),
    _Gauge(
        "process_health_status",
        "Whether a process is healthy: 1, or 0 when an instance is unhealthy",
        ("process",),
        _health,
    ),
    _Gauge(
        "health_check_status",
        "Whether the health checks of a process pass: 1, or 0 when an instance is unhealthy by them",
        ("name", "type"),
        _check_status,
    ),
    _Histogram(
        "health_check_duration_seconds", "Duration of health checks", ("name", "type"), _check_duration
    ),
    _Counter("health_check", "Finished health checks", ("name", "type", "status"), _check_total),
    _Gauge(
        "health_check_consecutive_fails",
        "Failed health checks in a row, of the instance with the most",
        ("name",),
        _consecutive_fails,
    ),
    _Counter("health_check_failures", "Failed health checks", ("process", "type"), _check_failures),
    _Gauge("supervisor_uptime_seconds", "Time for which a process has been supervised", ("name",), _uptime),
    _Counter(
        "hook_executions",
        "Finished hooks, with all their attempts",
        ("name", "type", "status"),
        _hook_total,
    ),
    _Histogram(
        "hook_duration_seconds",
        "Duration of hooks, with all their attempts",
        ("name", "type"),
        _hook_duration,
    ),
    _Gauge(
        "scheduled_task_last_run_timestamp",
        "When the last run started, as a Unix time",
        ("task",),
        _schedules(lambda one: one.last_run),
    ),
    _Gauge(
        "scheduled_task_next_run_timestamp",
        "When the next run is due, as a Unix time",
        ("task",),
        _schedules(lambda one: one.next_run),
    ),
    _Gauge(
        "scheduled_task_last_exit_code",
        "Exit code of the last finished run",
        ("task",),
        _schedules(lambda one: one.totals.last_exit_code),
    ),
    _Histogram("scheduled_task_duration_seconds", "Duration of runs", ("task",), _run_duration),
    _Counter("scheduled_task", "Finished runs", ("task", "status"), _run_total),
    _Gauge(
        "scheduled_task_overdue",
        "Whether no run has succeeded for longer than heartbeat.interval and grace: 1 or 0",
        ("task",),
        _schedules(lambda one: float(one.overdue)),
    ),
    _Counter("heartbeat_pings", "Heartbeats by their result", ("task", "result"), _pings),
    _Gauge(
        "heartbeat_last_ping_timestamp",
        "When the last heartbeat was delivered, as a Unix time",
        ("task",),
        _last_ping,
    ),
    _Gauge(
        "autoscale_value",
        "Load that was measured last: of one instance for cpu (percent) and memory (bytes), else of all",
        ("process", "metric"),
        _autoscale(lambda one: one.value),
    ),
    _Gauge(
        "autoscale_target",
        "Load of one instance that autoscaling aims at",
        ("process", "metric"),
        _autoscale(lambda one: one.target),
    ),
    _Counter(
        "autoscale_errors",
        "Measurements of the load that failed",
        ("process", "metric"),
        _autoscale(lambda one: one.errors),
    ),
    _Gauge(
        "manager_process_count",
        "Supervised processes",
        (),
        lambda snapshot: (((), len(snapshot.processes)),),
    ),
    _Gauge(
        "manager_start_time_seconds",
        "When the daemon was started, as a Unix time",
        (),
        lambda snapshot: (((), snapshot.started_unix),),
    ),
    _Gauge("shutdown_elapsed_seconds", "Time since the shutdown began", (), _shutting_down),
    _Histogram(
        "shutdown_duration_seconds",
        "Duration of the shutdown, until all processes have ended and all hooks have run",
        (),
        lambda snapshot: (((), snapshot.counters.shutdowns),),
    ),
    _Gauge(
        "tls_certificate_not_after_seconds",
        "When the certificate of a listener expires, in Unix seconds",
        ("listener",),
        lambda snapshot: (((name,), unix) for name, unix in snapshot.certificates.items()),
    ),
    _Gauge(
        "build_info",
        "Versions of the daemon and of its Python; always 1",
        ("version", "python_version"),
        lambda _: (((__version__, platform.python_version()), 1),),
    ),
    _Counter("log_records_written", "Records that an output has written", ("output",), _outputs("written")),
    _Counter(
        "log_records_dropped",
        "Records that were lost: the queue was full (log_overflow: drop), or they were refused",
        ("output",),
        _outputs("dropped"),
    ),
    _Gauge("log_queued_bytes", "Bytes waiting to be written", ("output",), _outputs("queued_bytes")),
    _Counter(
        "log_records_rate_limited",
        "Records that logging.rate_limit has suppressed",
        ("process",),
        lambda snapshot: (((name,), count) for name, count in snapshot.rate_limited.items()),
    ),
    _Counter("audit_records_written", "Audit records written", (), _audit(lambda audit: audit.written)),
    _Counter(
        "audit_records_lost",
        "Audit records lost: they could not be written, and too many waited",
        (),
        _audit(lambda audit: audit.lost),
    ),
    _Counter(
        "audit_events_left_out",
        "Events that anyone can cause and that were not recorded, as there were too many",
        (),
        _audit(lambda audit: audit.suppressed),
    ),
    _Gauge(
        "audit_records_queued", "Audit records waiting to be written", (), _audit(lambda audit: audit.queued)
    ),
    _Counter(
        "notifications_sent",
        "Messages that were delivered",
        ("notification",),
        _notifications(lambda one: one.sent),
    ),
    _Counter(
        "notifications_failed",
        "Messages that could not be delivered",
        ("notification",),
        _notifications(lambda one: one.failed),
    ),
    _Counter(
        "notifications_dropped",
        "Events of which no message was sent, as too many waited",
        ("notification",),
        _notifications(lambda one: one.dropped),
    ),
    _Gauge(
        "notifications_waiting",
        "Messages that are not sent yet",
        ("notification",),
        _notifications(lambda one: one.waiting),
    ),
    # The names that Prometheus's own client libraries use for the process that is scraped.
    _Counter("process_cpu_seconds", "CPU time of the daemon", (), _own(lambda one: one.cpu_s), ""),
    _Gauge(
        "process_resident_memory_bytes",
        "Resident memory of the daemon",
        (),
        _own(lambda one: one.rss_bytes),
        "",
    ),
    _Gauge(
        "process_virtual_memory_bytes",
        "Virtual memory of the daemon",
        (),
        _own(lambda one: one.vms_bytes),
        "",
    ),
    _Gauge(
        "process_start_time_seconds",
        "When the daemon was started, as a Unix time",
        (),
        lambda snapshot: (((), snapshot.started_unix),),
        "",
    ),
    _Gauge(
        "process_open_fds", "Open file descriptors of the daemon", (), _own(lambda one: one.descriptors), ""
    ),
    _Gauge(
        "process_max_fds",
        "Most file descriptors that the daemon may open",
        (),
        _own(lambda one: one.most_descriptors if one.most_descriptors >= 0 else inf),
        "",
    ),
)
