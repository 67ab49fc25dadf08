"""When the instances of one process are checked, and what came out."""

from __future__ import annotations

import heapq
from itertools import count
from os import strerror
from typing import TYPE_CHECKING

from cbox_init.core.health import CheckResult, first_check_at, in_start, next_check_at, spread
from cbox_init.core.instance import Phase
from cbox_init.errors import CheckFailed, SpawnError
from cbox_init.supervisor.health.probes import Probes
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
_LOOP_COMES_S = 0.02


class Watch:
    """The checks of one run of an instance: a task while one is under way, nothing between them.

    ``probe`` is made for the first check: children start before asyncio is imported, which probes need.
    """

    __slots__ = (
        *("aligned", "began_at", "index", "over", "pid", "place", "probe", "successes", "task", "up_at"),
        "was_healthy",
    )

    def __init__(self, index: int, pid: int, *, up_at: float, place: float) -> None:
        self.index = index
        self.pid = pid
        self.up_at = up_at
        self.place = place
        self.probe: Probe | None = None
        self.began_at = 0.0
        self.aligned = False
        self.successes = 0
        self.was_healthy = False
        self.over = False
        self.task: Task[None] | None = None

    def count(self, *, success: bool, rules: HealthRules) -> None:
        """Note a result: the checks come less often once the instance was healthy."""
        self.successes = self.successes + 1 if success else 0
        self.was_healthy |= self.successes >= rules.success_threshold

    def end(self) -> None:
        """No more checks of this run; one that is under way is broken off."""
        self.over = True
        if self.task is not None:
            self.task.cancel()


class HealthMonitor:
    """Checks what runs, and tells ``on_result`` the index and pid of what it has checked, with the result.

    The run queue looks at it when a check falls due. A check is never begun before the last one of the same
    instance has ended.
    """

    def __init__(
        self,
        name: str,
        config: ProcessConfig,
        *,
        rules: HealthRules,
        runtime: Runtime,
        on_result: Callable[[int, int, CheckResult], None],
    ) -> None:
        self._name = name
        self._rules = rules
        self._runtime = runtime
        self._on_result = on_result
        self._probes = Probes(name, config, runtime)
        self._type = str(config.health_check.type) if config.health_check is not None else ""
        self._watches: dict[int, Watch] = {}
        self._due: list[tuple[float, int, Watch]] = []
        self._serial = count()
        self._closed = False

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
        """Begin the checks that are due."""
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
        )
        self._watches[instance.index] = watch
        self._plan(watch, first_check_at(self._rules, watch.place, up_at=watch.up_at))

    def _plan(self, watch: Watch, at: float) -> None:
        heapq.heappush(self._due, (at, next(self._serial), watch))
        if self._due[0][2] is watch:
            self._runtime.run_queue.wake(self)

    def _plan_next(self, watch: Watch, now: float) -> None:
        rules, up_at = self._rules, watch.up_at
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
        watch.began_at = self._runtime.now()
        watch.task = loop.create_task(self._check(watch))

    async def _check(self, watch: Watch) -> None:
        if watch.probe is None:
            watch.probe = self._probes.of(watch.index)
        success = False
        try:
            reason = await self._outcome(watch.probe)
            success = reason is None
        finally:
            now = self._runtime.now()
            watch.task = None
            watch.count(success=success, rules=self._rules)
            if not watch.over:
                self._plan_next(watch, now)
        result = CheckResult(unix=self._runtime.unix(), latency_s=now - watch.began_at, reason=reason)
        if self._runtime.counters is not None:
            self._runtime.counters.checked(self._name, self._type, result.latency_s, success=reason is None)
        self._on_result(watch.index, watch.pid, result)

    async def _outcome(self, probe: Probe) -> str | None:
        """Why the check failed, None when it did not."""
        from asyncio import timeout

        timeout_s = self._rules.timeout_s
        limit = timeout(timeout_s)
        try:
            async with limit:
                await probe()
        except (CheckFailed, SpawnError) as error:
            return f"{probe.where}: {error}"
        except OSError as error:  # the end of the timeout is one, too
            if limit.expired():
                return f"{probe.where}: no answer within {timeout_s:g} s"
            return f"{probe.where}: {_in_words(error)}"
        return None


def _runs(instance: Instance) -> bool:
    return instance.phase is Phase.RUNNING and instance.pid > 0


def _in_words(error: OSError) -> str:
    """Without the address, which asyncio adds; errors of names and of TLS have numbers of their own."""
    if error.errno and type(error).__module__ == "builtins":
        return strerror(error.errno)
    return error.strerror or str(error)
