"""When the instances of one process are checked, and with what result."""

from __future__ import annotations

import heapq
from itertools import count
from typing import TYPE_CHECKING, Final

from cbox_init.core.health import (
    CHECK_AGAIN_S,
    CheckResult,
    first_check_at,
    in_start,
    next_check_at,
    spread,
)
from cbox_init.core.instance import Phase
from cbox_init.errors import CheckFailed, SpawnError, is_shortage
from cbox_init.sensitive import without_secrets
from cbox_init.supervisor.health.probes import Probes
from cbox_init.supervisor.health.resolve import in_words
from cbox_init.supervisor.instance.launch import instance_id

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task
    from collections.abc import Callable, Mapping

    from cbox_init.config.model import ProcessConfig
    from cbox_init.config.rules import HealthRules
    from cbox_init.core.instance import Instance
    from cbox_init.supervisor.health.probes import Probe
    from cbox_init.supervisor.runtime import Runtime

#: How long a check that is due waits for the event loop at a time, while the daemon starts; in seconds.
_LOOP_COMES_S: Final = 0.02

#: Seconds between two messages about checks of a process that cannot be run.
_SAY_AGAIN_S: Final = 60.0


class Watch:
    """The checks of one run of an instance: a task while one is under way, nothing between them.

    ``probe`` is made for the first check: children start before asyncio is imported, which probes need.
    ``aligned``: the latest check was at the instance's place in the period. ``was_healthy`` is by its checks
    alone.
    """

    __slots__ = (
        *("aligned", "began_at", "index", "over", "pid", "place", "planned", "probe", "successes", "task"),
        *("up_at", "was_healthy"),
    )

    def __init__(self, index: int, pid: int, *, up_at: float, place: float, was_healthy: bool) -> None:
        self.index = index
        self.pid = pid
        self.up_at = up_at
        self.place = place
        self.was_healthy = was_healthy
        self.probe: Probe | None = None
        self.began_at = 0.0
        self.aligned = False
        self.successes = 0
        self.planned = False
        self.over = False
        self.task: Task[None] | None = None

    def count(self, *, success: bool, rules: HealthRules) -> None:
        """Note a result: the checks come less often once the instance was healthy."""
        self.successes = self.successes + 1 if success else 0
        self.was_healthy |= self.successes >= rules.success_threshold

    def end(self) -> None:
        """No more checks of this run; one that is under way is cancelled."""
        self.over = True
        if self.task is not None:
            self.task.cancel()


class HealthMonitor:
    """Checks the running instances of one process, and calls ``on_result`` with index, pid and result.

    What a check says goes through ``redacted`` before anybody sees it.

    The run queue calls it when a check is due. A check of an instance never begins before the previous one
    has ended. An error of one check, also an unexpected one, does not concern the others.
    """

    def __init__(
        self,
        name: str,
        config: ProcessConfig,
        *,
        rules: HealthRules,
        runtime: Runtime,
        redacted: Callable[[str], str],
        on_result: Callable[[int, int, CheckResult], None],
    ) -> None:
        self._name = name
        self._rules = rules
        self._runtime = runtime
        self._redacted = redacted
        self._on_result = on_result
        self._probes = Probes(name, config, runtime)
        self._type = str(config.health_check.type) if config.health_check is not None else ""
        self._watches: dict[int, Watch] = {}
        self._due: list[tuple[float, int, Watch]] = []
        self._serial = count()
        self._closed = False
        self._said_at: float | None = None
        self._unsaid = 0

    def follow(self, observed: Mapping[int, Instance]) -> None:
        """Check the instances that run from now on, and no others."""
        if self._closed:
            return
        for watch in tuple(self._watches.values()):
            instance = observed.get(watch.index)
            if instance is None or not _runs(instance) or instance.pid != watch.pid:
                self._watches.pop(watch.index).end()
        for index, instance in observed.items():
            if index not in self._watches and _runs(instance):
                with self._runtime.defects.contain("health checks could not begin", process=self._name):
                    self._begin(instance)

    def close(self) -> None:
        """No more checks at all."""
        self._closed = True
        for watch in self._watches.values():
            watch.end()
        self._watches.clear()
        self._due.clear()
        self._runtime.run_queue.forget(self)

    def reconcile(self, stop_at: float) -> float | None:
        """Begin the checks that are due (see ``run_queue``)."""
        loop = self._runtime.run_queue.loop
        while self._due:
            at, _, watch = self._due[0]
            now = self._runtime.now()
            if watch.over:
                heapq.heappop(self._due)
            elif at > now:
                return at
            elif loop is None:
                return now + _LOOP_COMES_S
            elif now >= stop_at:
                return now
            else:
                heapq.heappop(self._due)
                self._start(watch, loop)
        return None

    def _begin(self, instance: Instance) -> None:
        watch = Watch(
            instance.index,
            instance.pid,
            up_at=instance.up_at,
            place=spread(instance_id(self._name, instance.index)),
            was_healthy=instance.health is not None and instance.health.was_healthy,
        )
        self._watches[instance.index] = watch
        self._plan(watch, first_check_at(self._rules, watch.place, up_at=watch.up_at))

    def _plan(self, watch: Watch, at: float) -> None:
        watch.planned = True
        heapq.heappush(self._due, (at, next(self._serial), watch))
        if self._due[0][2] is watch:
            self._runtime.run_queue.wake(self)

    def _plan_next(self, watch: Watch, result: CheckResult, now: float) -> None:
        rules, up_at = self._rules, watch.up_at
        if not result.ran:
            watch.aligned = False
            self._plan(watch, now + min(CHECK_AGAIN_S, rules.start_interval_s))
            return
        watch.count(success=result.reason is None, rules=rules)
        starting = in_start(rules, up_at=up_at, now=now, was_healthy=watch.was_healthy)
        next_at = next_check_at(
            rules,
            watch.place,
            up_at=up_at,
            began_at=watch.began_at,
            now=now,
            starting=starting,
            aligned=watch.aligned,
        )
        watch.aligned = not starting
        self._plan(watch, next_at)

    def _start(self, watch: Watch, loop: AbstractEventLoop) -> None:
        watch.planned = False
        watch.began_at = self._runtime.now()
        try:
            watch.task = loop.create_task(self._check(watch))
        except Exception as error:  # noqa: BLE001  # it concerns this check alone
            self._contain(watch, error)

    async def _check(self, watch: Watch) -> None:
        try:
            result = await self._outcome(watch)
            watch.task = None
            if not watch.over:
                self._take(watch, result)
        except Exception as error:  # noqa: BLE001  # it concerns this check alone
            self._contain(watch, error)

    def _contain(self, watch: Watch, error: Exception) -> None:
        """A defect: the checks of the instance go on."""
        watch.task = None
        self._runtime.defects.report("a health check failed", error, process=self._name)
        if not watch.planned and not watch.over:
            self._plan(watch, self._runtime.now() + CHECK_AGAIN_S)

    def _take(self, watch: Watch, result: CheckResult) -> None:
        """Take in how a check has ended."""
        self._plan_next(watch, result, self._runtime.now())
        if not result.ran:
            self._tell_not_run(watch, result)
        elif self._said_at is not None:
            self._said_at = None
            self._runtime.log.info("Health checks can be run again", process=self._name)
        if result.ran and self._runtime.counters is not None:
            success = result.reason is None
            self._runtime.counters.checked(self._name, self._type, result.latency_s, success=success)
        self._on_result(watch.index, watch.pid, result)

    def _tell_not_run(self, watch: Watch, result: CheckResult) -> None:
        """Log it, and while it goes on once a minute; ``times`` counts all since the last message."""
        self._unsaid += 1
        now = self._runtime.now()
        if self._said_at is None or now - self._said_at >= _SAY_AGAIN_S:
            self._runtime.log.warn(
                "Health check cannot be run",
                process=self._name,
                instance_id=instance_id(self._name, watch.index),
                times=self._unsaid,
                error=result.reason,
            )
            self._said_at, self._unsaid = now, 0

    async def _outcome(self, watch: Watch) -> CheckResult:
        """Check an instance once. Whatever goes wrong is in the result."""
        from asyncio import timeout

        reason, ran = None, True
        # What this imports is needed for a reason, when there may be no descriptor left to import it.
        self._runtime.secrets.masked("")
        limit = timeout(self._rules.timeout_s)
        try:
            async with limit:
                if watch.probe is None:
                    watch.probe = self._probes.of(watch.index, watch.pid)
                await watch.probe()
        except (CheckFailed, SpawnError, OSError) as error:
            ran = not is_shortage(error)
            reason = self._in_words(error, timed_out=limit.expired())
        except Exception as error:  # noqa: BLE001  # says nothing of the instance
            ran = False
            if is_shortage(error):
                reason = str(error) or type(error).__name__
            else:
                reason = f"unexpected: {error!r}"
                name = instance_id(self._name, watch.index)
                self._runtime.defects.report("a health check failed", error, instance_id=name)
        if reason is not None:
            where = "the check" if watch.probe is None else watch.probe.where
            reason = self._without_secrets(f"{where}: {reason}")
        latency_s = self._runtime.now() - watch.began_at
        return CheckResult(unix=self._runtime.unix(), latency_s=latency_s, reason=reason, ran=ran)

    def _without_secrets(self, reason: str) -> str:
        """``reason``, which may hold what a command has printed, without secrets."""
        try:
            return self._runtime.secrets.masked(without_secrets(self._redacted(reason)))
        except Exception as error:  # noqa: BLE001  # no text rather than one that may hold a secret
            self._runtime.defects.report("the reason of a check could not be redacted", error)
            return "failed"

    def _in_words(self, error: Exception, *, timed_out: bool) -> str:
        if isinstance(error, TimeoutError) and timed_out:
            return f"no answer within {self._rules.timeout_s:g} s"
        return in_words(error) if isinstance(error, OSError) else str(error)


def _runs(instance: Instance) -> bool:
    return instance.phase is Phase.RUNNING and instance.pid > 0
