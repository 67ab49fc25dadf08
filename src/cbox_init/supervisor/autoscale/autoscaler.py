"""Measures the load of one process at intervals, and has its scale follow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cbox_init.config.model import AutoscaleMetric
from cbox_init.core.autoscale import AutoscaleRules, Needs, autoscale, held, rests
from cbox_init.errors import CboxError, CheckFailed, SpawnError
from cbox_init.logs.daemon import RepeatedError
from cbox_init.sensitive import without_secrets
from cbox_init.supervisor.autoscale.sources import Measured, load_source
from cbox_init.supervisor.health.resolve import in_words
from cbox_init.supervisor.instance.launch import instance_id
from cbox_init.supervisor.status import AutoscaleStatus

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task
    from collections.abc import Callable, Collection

    from cbox_init.config.model import AutoscaleConfig, ProcessConfig
    from cbox_init.core.autoscale import Load
    from cbox_init.core.instance import Instance
    from cbox_init.supervisor.autoscale.sources import LoadSource
    from cbox_init.supervisor.runtime import Runtime

if TYPE_CHECKING:
    #: The scale of a process, and its instances that are ready.
    Measurable = tuple[int, Collection[Instance]]

#: How long a measurement that is due waits for the event loop at a time, while the daemon starts; in seconds.
_LOOP_COMES_S: Final = 0.02

_MIB: Final = 2**20


class Autoscaler:
    """Autoscaling of one process. ``scale`` is called with a number of instances and the reason for it; it
    gives the id of the change.

    ``measurable`` gives the scale and the instances that can be measured, None while nothing is to be
    decided. ``changed`` is called when the status has changed. The run queue calls it when a measurement is
    due; one never begins before the last has ended, and what goes wrong in one changes nothing.
    """

    def __init__(
        self,
        name: str,
        process: ProcessConfig,
        config: AutoscaleConfig,
        *,
        runtime: Runtime,
        measurable: Callable[[], Measurable | None],
        scale: Callable[[int, str], str],
        changed: Callable[[], object],
        redacted: Callable[[str], str],
    ) -> None:
        assert config.metric is not None and config.target is not None and config.most is not None
        self._name = name
        self._process = process
        self._config = config
        self._metric = config.metric
        self._rules = AutoscaleRules(
            least=config.least,
            most=config.most,
            target=config.target,
            stabilization_s=config.stabilization,
        )
        self._runtime = runtime
        self._measurable = measurable
        self._scale = scale
        self._changed = changed
        self._redacted = redacted
        self._source: LoadSource | None = None
        self._needs: Needs | None = None
        self._due_at = runtime.now() + config.interval
        self._task: Task[None] | None = None
        self._closed = False
        self._said = RepeatedError(
            runtime.log,
            "The load cannot be measured, the scale stays",
            process=name,
            metric=str(config.metric),
        )
        self.status = AutoscaleStatus(
            metric=str(config.metric), target=config.target, least=config.least, most=config.most
        )
        runtime.run_queue.wake(self)

    def scaled(self, count: int) -> None:
        """The scale was set by hand: fewer instances are wanted only after the stabilization."""
        self._needs = held(count, self._runtime.now())

    def close(self) -> None:
        """Measure no more."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
        self._runtime.run_queue.forget(self)

    def reconcile(self, stop_at: float) -> float | None:
        """Begin a measurement when it is due (see ``run_queue``)."""
        now = self._runtime.now()
        if self._closed or self._task is not None:
            return None
        if now < self._due_at:
            return self._due_at
        loop = self._runtime.run_queue.loop
        if loop is None:
            return now + _LOOP_COMES_S
        self._due_at = now + self._config.interval
        self._begin(loop)
        return None if self._task is not None else self._due_at

    def _begin(self, loop: AbstractEventLoop) -> None:
        found = self._measurable()
        if found is None or rests(self._rules, found[0]):
            self._needs = None
            return
        instances = [Measured(instance_id(self._name, one.index), one.pid) for one in found[1]]
        self._task = loop.create_task(self._measure(instances))

    async def _measure(self, instances: list[Measured]) -> None:
        from asyncio import timeout

        try:
            # What this imports is needed for a reason, when there may be no descriptor left to import it.
            self._runtime.secrets.masked("")
            load: Load | None = None
            limit = timeout(self._config.timeout)
            try:
                async with limit:
                    if self._source is None:
                        self._source = load_source(self._name, self._process, self._config, self._runtime)
                    load = await self._source(instances)
            except (CheckFailed, SpawnError, OSError, ValueError) as error:
                self._failed(error, timed_out=limit.expired())
            if load is not None:
                self._take(load)
        except Exception as error:  # noqa: BLE001  # it concerns this measurement alone
            self._runtime.defects.report("autoscaling failed", error, process=self._name)
        finally:
            self._task = None
            self._due_at = max(self._due_at, self._runtime.now() + self._config.interval / 2)
            if not self._closed:
                self._runtime.run_queue.wake(self)

    def _failed(self, error: Exception, *, timed_out: bool) -> None:
        where = str(self._metric) if self._source is None else self._source.where
        if timed_out and isinstance(error, TimeoutError):
            words = f"no answer within {self._config.timeout:g} s"
        else:
            words = in_words(error) if isinstance(error, OSError) else str(error)
        reason = self._runtime.secrets.masked(without_secrets(self._redacted(f"{where}: {words}")))
        self._said.report(reason)
        if self.status.error is None:
            self._runtime.events.emit("autoscale.failed", self._name, reason=reason)
        self._show(error=reason, errors=self.status.errors + 1)

    def _take(self, load: Load) -> None:
        """Decide on a load that was measured."""
        value = load.total / load.measured if load.measured else load.total
        if load.measured != 0:  # of no instance there is nothing to measure: that is no success either
            if self.status.error is not None:
                self._runtime.log.info("The load can be measured again", process=self._name)
            self._show(value=value, measured_at=self._runtime.unix(), error=None)
        found = self._measurable()
        if found is None or self._closed or rests(self._rules, found[0]):
            return
        now, scale = self._runtime.now(), found[0]
        verdict = autoscale(self._rules, scale, load, self._needs or held(scale, now), now)
        if verdict.scale != scale:
            reason = self._reason(load, value, scale)
            try:
                change = self._scale(verdict.scale, reason)
            except CboxError:  # the configuration is being changed, or the daemon ends
                return
            self._runtime.log.info(
                "Process autoscaled", process=self._name, scale=verdict.scale, before=scale, reason=reason
            )
            self._runtime.events.emit(
                "autoscale.decided",
                self._name,
                change=change,
                reason=reason,
                before=scale,
                scale=verdict.scale,
            )
            self._show(reason=reason)
        self._needs = verdict.needs

    def _reason(self, load: Load, value: float, scale: int) -> str:
        number, target = (self._shown(one) for one in (value, self._rules.target))
        if load.measured is None:
            return f"{self._metric} says {number} for {scale} instances, target {target} each"
        return f"{self._metric} is {number} for each of {load.measured} instances, target {target}"

    def _shown(self, value: float) -> str:
        match self._metric:
            case AutoscaleMetric.CPU:
                return f"{value:.0f} % of a CPU"
            case AutoscaleMetric.MEMORY:
                return f"{value / _MIB:.0f} MiB"
            case _:
                return f"{value:g}"

    def _show(self, **fields: object) -> None:
        from msgspec.structs import replace

        self.status = replace(self.status, **fields)
        self._changed()
