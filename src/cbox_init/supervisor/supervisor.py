"""All processes together: commands by name, dependencies, exits, the end of the daemon.

command ─ Supervisor.scale(name, n) ─ LongrunProcess.desired ─ RunQueue.wake ─ look: decide() ─ spawn
child dies ─ SIGCHLD ─ reap() ─ main_exited ─ RunQueue.wake ─ look: decide() ─ Wait(backoff) or Spawn
"""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from msgspec.structs import replace

from cbox_init.config.log_defaults import default_logging
from cbox_init.config.model import HooksConfig, InitialState, OnGiveUp, ProcessType
from cbox_init.config.settings import settings_of
from cbox_init.core import dependencies
from cbox_init.core.every import Every
from cbox_init.core.restart import Trigger
from cbox_init.core.states import scale_problem, scaled_by
from cbox_init.errors import Conflict, InvalidScale, NotScheduled, UnknownProcess
from cbox_init.supervisor.counts import Counts, counts_of
from cbox_init.supervisor.instance.launch import instance_id
from cbox_init.supervisor.lifecycle.reaping import Reaping
from cbox_init.supervisor.lifecycle.shutdown import Shutdown
from cbox_init.supervisor.lifecycle.startup import Startup
from cbox_init.supervisor.process import LongrunProcess
from cbox_init.supervisor.schedule.schedules import Schedules

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from cbox_init.config.load import ConfigSource
    from cbox_init.config.model import Config, ProcessConfig
    from cbox_init.config.settings import ProcessSettings
    from cbox_init.core.reload_diff import ReloadPlan
    from cbox_init.logs.hub import LogHub
    from cbox_init.logs.process import ProcessLog
    from cbox_init.supervisor.configuration.configuration import Configuration
    from cbox_init.supervisor.configuration.removal import Removal
    from cbox_init.supervisor.lifecycle.readiness import Readiness
    from cbox_init.supervisor.lifecycle.service_manager import ServiceManager
    from cbox_init.supervisor.oneshot_history import Execution, OneshotHistory
    from cbox_init.supervisor.runtime import Runtime
    from cbox_init.supervisor.schedule.scheduled import ScheduledProcess
    from cbox_init.supervisor.status import ProcessStatus
    from cbox_init.telemetry.counters import Counters

    Managed = LongrunProcess | ScheduledProcess


class Supervisor:
    """The processes of one configuration, and every command that steers them.

    Commands return at once; they raise UnknownProcess, Conflict or InvalidScale when they cannot be taken.
    ``version`` is raised by every change that a status shows. ``on_finished`` is called once, with the exit
    code of the daemon, when nothing is left to supervise. ``manager`` is who started the daemon, where it
    wants to be told. ``readiness`` is there where the configuration asks for it. ``on_started`` is called
    when all processes are up for the first time.
    """

    def __init__(
        self,
        config: Config,
        *,
        logs: LogHub,
        runtime: Runtime,
        on_finished: Callable[[int], None],
        manager: ServiceManager | None = None,
        source: ConfigSource | None = None,
        on_started: Callable[[], object] | None = None,
    ) -> None:
        self.config = config
        self.logs = logs
        logs.defaults = default_logging(config.global_)
        self.version = 0
        self._runtime = runtime
        self._on_finished = on_finished
        enabled = config.enabled_processes()
        self._depends_on = {name: process.depends_on for name, process in enabled.items()}
        self._dependents = dependencies.dependents(self._depends_on)
        self._schedules = Schedules(config, logs=logs, runtime=runtime, surroundings=self)
        self._processes = {
            name: self._manage(name, settings) for name, settings in settings_of(config).items()
        }
        self._ready: dict[str, bool] = {}
        self._waiters: dict[str, list[Future[None]]] = {}
        self._statuses: tuple[ProcessStatus, ...] = ()
        self._statuses_version = -1
        self._up = Every(_is_up, self._processes.values())
        self._ended = Every(_has_ended, self._processes.values())
        self._clearing: dict[Managed, None] = {}
        self._reaping = Reaping(runtime, self._reaped)
        self._startup = Startup(
            runtime=runtime,
            logs=logs,
            hooks=lambda: self.config.hooks,
            start=self._start_processes,
            up=self._up,
            on_up=self._all_up,
            on_failed=lambda error: self.shutdown(error, 1),
        )
        self._manager = manager
        self.readiness = self._make_readiness()
        self._shutdown: Shutdown | None = None
        logs.on_room = self._output_flows_again
        self._source = source
        self._on_started = on_started
        self._removal: Removal | None = None
        self._configuration: Configuration | None = None
        self._oneshots: OneshotHistory | None = None

    def _manage(self, name: str, settings: ProcessSettings) -> Managed:
        process = settings.process
        if process.schedule:
            return self._schedules.manage(name, settings)
        return LongrunProcess(
            name,
            settings,
            runtime=self._runtime,
            log=self._open_log(name, settings),
            surroundings=self,
        )

    def _open_log(self, name: str, settings: ProcessSettings) -> ProcessLog:
        return self.logs.open(name, settings.process.logging, ring_size=settings.ring_size)

    # -- what there is ---------------------------------------------------------------------------------

    def statuses(self) -> tuple[ProcessStatus, ...]:
        """Every process, in the order of the file; the same tuple until something changes."""
        if self._statuses_version != self.version:
            self._statuses = tuple(process.status() for process in self._processes.values())
            self._statuses_version = self.version
        return self._statuses

    def each_status(self) -> Iterator[ProcessStatus]:
        """Every process of now, in the order of the file; each as it is when it is asked for."""
        return (process.status() for process in tuple(self._processes.values()))

    def each_managed(self) -> Iterator[Managed]:
        """Every process of now, in the order of the file."""
        return iter(tuple(self._processes.values()))

    def counts(self) -> Counts:
        """How many there are of what."""
        return counts_of(self._processes.values())

    def status(self, name: str) -> ProcessStatus:
        """One process."""
        return self._process(name).status()

    def process_config(self, name: str) -> ProcessConfig:
        """The configuration of one process."""
        return self._process(name).config

    @property
    def oneshots(self) -> OneshotHistory:
        """What oneshots have done."""
        if self._oneshots is None:
            from cbox_init.supervisor.oneshot_history import OneshotHistory

            settings = self.config.global_
            self._oneshots = OneshotHistory(
                max_entries=settings.oneshot_history_max_entries,
                max_age_s=settings.oneshot_history_max_age,
                unix=self._runtime.unix,
            )
        return self._oneshots

    def executions(self, limit: int, name: str | None = None) -> list[Execution]:
        """The last executions of oneshots, newest first; of one process when it is named.

        Raises UnknownProcess for a name of which there is neither a process nor an execution.
        """
        found = self.oneshots.latest(limit, name)
        if name is not None and not found:
            self._process(name)
        return found

    @property
    def environ(self) -> Mapping[str, str]:
        """The daemon's environment as far as children get it."""
        return self._runtime.environ

    @property
    def configuration(self) -> Configuration:
        """The configuration in force, as something that can be changed."""
        if self._configuration is None:
            from cbox_init.supervisor.configuration.configuration import Configuration

            self._configuration = Configuration(self, self._source)
        return self._configuration

    # -- commands --------------------------------------------------------------------------------------

    def start_all(self) -> None:
        """Start what the configuration wants to run; each waits for its dependencies by itself.

        The pre-start hooks come first. When one fails nothing is started, and the daemon ends with 1.
        """
        self._startup.begin()

    def _start_processes(self) -> None:
        for process in self._processes.values():
            self._start_as_configured(process, Trigger.STARTUP)

    def _start_as_configured(self, process: Managed, trigger: Trigger) -> None:
        if process.config.initial_state is not InitialState.RUNNING:
            return
        if isinstance(process, LongrunProcess):
            process.start(trigger)
        else:
            process.start()

    def start(self, name: str) -> None:
        """Start what is not running of a process, at once and with a new restart budget."""
        self._commanded(name, "start").start()

    def stop(self, name: str) -> None:
        """Stop every instance of a process."""
        self._commanded(name, "stop").stop()

    def restart(self, name: str) -> None:
        """Replace every instance of a process, one after another."""
        self._commanded(name, "restart").restart()

    def scale(self, name: str, count: int) -> None:
        """Have ``count`` instances of a process."""
        process = self._scalable(name)
        oneshot = process.config.type is ProcessType.ONESHOT
        problem = scale_problem(count, process.scale_limit, oneshot=oneshot)
        if problem:
            raise InvalidScale(problem)
        self._runtime.log.info("Process scale asked for", process=name, scale=count)
        process.scale(count)

    def scale_by(self, name: str, delta: int) -> int:
        """Have ``delta`` more instances (fewer, when negative; not below 0); gives the new number."""
        count = scaled_by(self._scalable(name).desired.scale, delta)
        self.scale(name, count)
        return count

    def pause(self, name: str) -> None:
        """Begin no more runs of a scheduled process; those under way go on. Raises NotScheduled too."""
        self._scheduled(name, "pause").pause()

    def resume(self, name: str) -> None:
        """Run a scheduled process at its times again. Raises NotScheduled too."""
        self._scheduled(name, "resume").resume()

    def trigger(self, name: str) -> int:
        """Run a scheduled process now; gives the number of the run. Raises NotScheduled too.

        A Conflict, too, when it is paused or runs as often as it may.
        """
        return self._scheduled(name, "trigger").trigger()

    async def run_over(self, name: str, number: int) -> int:
        """Wait for the end of a run that was triggered just now; its exit code. Cancelled when none comes."""
        return await self.schedule(name).over(number)

    def schedule(self, name: str) -> ScheduledProcess:
        """A scheduled process, to look at. Raises UnknownProcess or NotScheduled."""
        process = self._process(name)
        if isinstance(process, LongrunProcess):
            raise NotScheduled(name)
        return process

    def _scheduled(self, name: str, command: str) -> ScheduledProcess:
        process = self.schedule(name)
        self._commanded(name, command)
        return process

    async def settled(self, name: str) -> None:
        """Wait until the last command has had its effect, or an instance cannot be had."""
        from asyncio import get_running_loop

        process = self._process(name)
        if not process.settled:
            waiter: Future[None] = get_running_loop().create_future()
            self._waiters.setdefault(name, []).append(waiter)
            try:
                await waiter
            finally:  # who waited may have left
                waiters = self._waiters.get(name, [])
                if waiter in waiters:
                    waiters.remove(waiter)
                    if not waiters:
                        del self._waiters[name]

    def _commanded(self, name: str, command: str) -> Managed:
        process = self._process(name)
        if self._shutdown:
            raise Conflict(f"cannot {command} {name}: the daemon is shutting down")
        if self._startup.held_back:
            raise Conflict(f"cannot {command} {name}: the pre-start hooks are not done")
        self._refuse_leaving(name, command)
        self._runtime.log.info(f"Process {command} asked for", process=name)
        return process

    def _scalable(self, name: str) -> LongrunProcess:
        process = self._process(name)
        if self._shutdown:
            raise Conflict(f"cannot scale {name}: the daemon is shutting down")
        self._refuse_leaving(name, "scale")
        if not isinstance(process, LongrunProcess):
            raise Conflict(f"cannot scale {name}: it has a schedule; schedule_max_concurrent limits its runs")
        if process.config.scale_locked:
            raise Conflict(f"cannot scale {name}: processes.{name}.scale_locked is set")
        return process

    def _process(self, name: str) -> Managed:
        try:
            return self._processes[name]
        except KeyError:
            raise UnknownProcess(name) from None

    def _refuse_leaving(self, name: str, command: str) -> None:
        if self._removal and name in self._removal.leaving:
            raise Conflict(f"cannot {command} {name}: it is being removed")

    # -- another configuration -------------------------------------------------------------------------

    def apply(self, config: Config) -> ReloadPlan:
        """Have ``config`` in force, as far as it can be while running; gives what that changes.

        Only what differs starts, stops or is replaced. Raises Conflict during the shutdown.
        """
        if self._shutdown:
            raise Conflict("cannot change the configuration: the daemon is shutting down")
        from cbox_init.core.reload_diff import plan_of

        gc.unfreeze()  # what was there from the start (see `daemon`) may now be garbage
        plan = plan_of(self.config, config)
        self.config = plan.config
        self.logs.defaults = default_logging(plan.config.global_)
        settings = settings_of(plan.config)
        if not self._startup.begun:
            self._begin_anew(settings)
            return plan
        before = dict(self._processes)
        others = tuple(name for name, one in settings.items() if not _of_kind(before.get(name), one.process))
        removal = self._remove((*plan.removed, *others))
        self._schedules.reconfigure(plan.config)
        after = {name: before.get(name) or self._manage(name, one) for name, one in settings.items()}
        self._set_processes({**after, **removal.leaving})
        self._depends_on = {
            **{name: one.process.depends_on for name, one in settings.items()},
            **{name: self._depends_on[name] for name in removal.leaving if name not in settings},
        }
        self._dependents = dependencies.dependents(self._depends_on)
        for rank in dependencies.order_up({name: self._depends_on[name] for name in settings}):
            for name in rank:
                if self._shutdown:  # an instance that was given up means the end by now
                    break
                if name not in before:
                    self._start_as_configured(after[name], Trigger.RELOAD)
                elif name in others:
                    continue  # what is configured now follows when what was there has gone
                elif name in removal.leaving:
                    self._take_back(after[name], settings[name], removal)
                elif name not in plan.kept:
                    self._adopt(after[name], settings[name])
        self._recount()
        return plan

    def _begin_anew(self, settings: Mapping[str, ProcessSettings]) -> None:
        """Nothing has been started yet (the pre-start hooks are not done): start other processes then."""
        for name, process in self._processes.items():
            self._let_go(process)
            if name not in settings:
                self.logs.forget(name)
        self._schedules.reconfigure(self.config)
        self._depends_on = {name: one.process.depends_on for name, one in settings.items()}
        self._dependents = dependencies.dependents(self._depends_on)
        self._set_processes({name: self._manage(name, one) for name, one in settings.items()})
        self._recount()

    def _let_go(self, process: Managed) -> None:
        """It is looked at no more."""
        if isinstance(process, LongrunProcess):
            process.end_checks()
        self._schedules.forget(process.name)
        self._runtime.run_queue.forget(process)

    def _set_processes(self, processes: Mapping[str, Managed]) -> None:
        now = dict(processes)
        self._processes.clear()
        self._processes.update(now)
        self._up.reset(now.values())
        self._ended.reset(self._staying())

    def _staying(self) -> Sequence[Managed]:
        """The processes that are configured; the others are on their way out."""
        leaving = self._removal.leaving if self._removal else {}
        return [process for name, process in self._processes.items() if name not in leaving]

    def _recount(self) -> None:
        """Other processes than before: whoever shows or counts them learns of it."""
        self.version += 1
        self._up.reset(self._processes.values())
        self._ended.reset(self._staying())
        if self.readiness:
            self.readiness.recount(self._staying())

    async def abandon_changes(self) -> None:
        """The daemon ends: changes of the configuration that wait for their turn are not made."""
        if self._configuration is not None:
            await self._configuration.close()

    async def gone(self, name: str) -> None:
        """Wait until nothing is left of a process that was removed."""
        if self._removal:
            await self._removal.gone(name)

    def _remove(self, names: tuple[str, ...]) -> Removal:
        if self._removal is None:
            from cbox_init.supervisor.configuration.removal import Removal

            self._removal = Removal(dependents_of=lambda name: self._dependents[name], forget=self._forget)
        for name in names:
            self._removal.add(self._processes[name])
        self._runtime.run_queue.wake(self._removal)
        return self._removal

    def _adopt(self, process: Managed, settings: ProcessSettings) -> None:
        self._open_log(process.name, settings)
        if isinstance(process, LongrunProcess):
            process.adopt(settings)
        else:
            self._schedules.adopt(process, settings)

    def _take_back(self, process: Managed, settings: ProcessSettings, removal: Removal) -> None:
        """It was on its way out, and is configured again."""
        from cbox_init.core.reload_diff import replaces, starts_by_itself

        other = replaces(process.config, settings.process)
        removal.take_back(process.name)
        self._adopt(process, settings)
        if isinstance(process, LongrunProcess):
            process.scale(settings.process.scale)
        if not starts_by_itself(settings.process):
            process.stop()
        elif other and isinstance(process, LongrunProcess):
            process.restart(Trigger.RELOAD)
        else:
            self._start_as_configured(process, Trigger.RELOAD)

    def _forget(self, processes: Sequence[Managed]) -> None:
        """Nothing is left of processes that were removed, or have become some of another kind."""
        configured = settings_of(self.config)
        for process in processes:
            name = process.name
            self._let_go(process)
            self._ready.pop(name, None)
            if self._runtime.counters is not None:
                self._runtime.counters.forget(name)
            settings = configured.get(name)
            if settings is not None:
                self._processes[name] = self._manage(name, settings)
                self._start_as_configured(self._processes[name], Trigger.RELOAD)
                continue
            self.logs.forget(name)
            del self._processes[name], self._depends_on[name]
            self._runtime.log.info("Process removed", process=name)
        self._dependents = dependencies.dependents(self._depends_on)
        self._recount()

    # -- the event loop --------------------------------------------------------------------------------

    def attach(self, loop: AbstractEventLoop) -> None:
        """The event loop runs from here on."""
        self._schedules.attach(loop)

    async def close(self, timeout_s: float) -> None:
        """Everything has ended: let go of the event loop; what is to be sent has ``timeout_s``."""
        await self._schedules.detach(timeout_s)

    # -- events ----------------------------------------------------------------------------------------

    def reap(self) -> None:
        """Children have ended (SIGCHLD): take in the exits soon, and see what is left behind them."""
        self._runtime.run_queue.wake(self._reaping)

    def _reaped(self) -> None:
        """Some have been reaped; perhaps the last of what an instance had left behind."""
        clearing, self._clearing = self._clearing, {}
        for process in clearing:
            if process.clearing:
                self._clearing[process] = None
                self._runtime.run_queue.wake(process)
        if self._shutdown:
            self._runtime.run_queue.wake(self._shutdown)

    def not_ready(self, name: str) -> tuple[str, ...]:
        """The dependencies of a process that are not ready."""
        return dependencies.not_ready(self._depends_on[name], lambda dep: self._processes[dep].ready)

    def _output_flows_again(self) -> None:
        """What was held back while output was backed up may start."""
        for process in self._processes.values():
            if process.held_back:
                self._runtime.run_queue.wake(process)

    def changed(self, process: Managed) -> None:
        """A process has changed: tell who waits for it."""
        self.version += 1
        name = process.name
        if process.clearing:
            self._clearing[process] = None
        if self.readiness:
            self.readiness.note(process)
        if self._dependents[name] and process.ready != self._ready.get(name, False):
            self._ready[name] = process.ready
            for dependent in self._dependents[name]:
                self._runtime.run_queue.wake(self._processes[dependent])
        if name in self._waiters and process.settled:
            for waiter in self._waiters.pop(name):
                if not waiter.done():
                    waiter.set_result(None)
        if self._shutdown:
            self._runtime.run_queue.wake(self._shutdown)
            return
        if self._removal and name in self._removal.leaving:
            self._runtime.run_queue.wake(self._removal)
            return
        if process.up:
            self._startup.one_is_up()
        if process.config.on_give_up is OnGiveUp.SHUTDOWN and (failed := process.given_up):
            assert failed.ending
            name = instance_id(name, failed.index)
            self.shutdown(f"{name} was given up: {failed.reason}", failed.ending.status)
            return
        if process.ended_for_good:
            self._end_when_all_ended()

    def rolled_back(self, process: LongrunProcess, settings: ProcessSettings) -> None:
        """The former settings of a process are in force again, instead of those that failed."""
        processes = {**self.config.processes, process.name: settings.process}
        self.config = replace(self.config, processes=processes)
        self._open_log(process.name, settings)
        if self._configuration is not None:
            self._configuration.rolled_back(process.name, settings.process)

    def refreshed(self) -> None:
        """Figures that a status shows have changed."""
        self.version += 1

    def _all_up(self) -> None:
        if self._on_started is not None:
            self._on_started()
        if self._manager:
            self._manager.ready()

    def _make_readiness(self) -> Readiness | None:
        settings = self.config.global_.readiness
        if settings is None or not settings.enabled:
            return None
        from cbox_init.supervisor.lifecycle.readiness import Readiness

        return Readiness(settings, self._processes.values(), runtime=self._runtime)

    # -- the end ---------------------------------------------------------------------------------------

    @property
    def shutting_down(self) -> bool:
        """Whether the end has begun."""
        return self._shutdown is not None

    @property
    def shutdown_s(self) -> float | None:
        """For how many seconds the end has been going on, None before it has begun."""
        return None if self._shutdown is None else self._runtime.now() - self._shutdown.began_at

    @property
    def counters(self) -> Counters | None:
        """What has happened, where that is counted."""
        return self._runtime.counters

    def shutdown(self, reason: str, exit_code: int = 0) -> None:
        """Stop everything, dependents first; ends in ``on_finished``. Once begun, it cannot begin again."""
        if self._shutdown:
            return
        self._runtime.log.info("Shutting down", reason=reason)
        self._schedules.close()
        if self._manager:
            self._manager.stopping()
        if self.readiness:
            self.readiness.withdraw()
        self._startup.cancel()
        for process in self._processes.values():
            if isinstance(process, LongrunProcess):
                process.end_checks()
        if self._removal:
            self._runtime.run_queue.forget(self._removal)  # from here on the shutdown stops them
        self._shutdown = Shutdown(
            self._processes,
            self._dependents,
            jobs=self._schedules.processes,
            runtime=self._runtime,
            logs=self.logs,
            hooks=self.config.hooks if self._startup.begun else HooksConfig(),
            timeout_s=self.config.global_.shutdown_timeout,
            drain_s=self.config.global_.shutdown_drain,
            on_finished=lambda left: self._finished(exit_code or int(left)),
        )
        self._runtime.run_queue.wake(self._shutdown)

    def kill(self, exit_code: int) -> None:
        """End everything at once, without a grace period (a second signal)."""
        self.shutdown("killed", exit_code)
        assert self._shutdown
        self._shutdown.on_finished = lambda left: self._finished(exit_code or int(left))
        self._shutdown.kill()

    def _finished(self, exit_code: int) -> None:
        for waiters in self._waiters.values():
            for waiter in waiters:
                waiter.cancel()
        self._schedules.give_up_waiting()
        if self._removal:
            self._removal.abandon()
        self._on_finished(exit_code)

    def _end_when_all_ended(self) -> None:
        """When all that should live has ended for good the daemon ends too, with the exit code of the last.

        A process that was stopped by hand, or scaled to 0, can be started again: the daemon stays.
        """
        if not self._ended.reached():
            return
        ends = [end for process in self._staying() if (end := process.last_end)]
        _, exit_code = max(ends, default=(0.0, 1))
        self.shutdown("every process has ended", exit_code)


def _is_up(process: Managed) -> bool:
    return process.up


def _has_ended(process: Managed) -> bool:
    return process.ended_for_good


def _of_kind(process: Managed | None, config: ProcessConfig) -> bool:
    """Whether ``process`` can go on under ``config``: one that has a schedule cannot go on without."""
    return process is None or isinstance(process, LongrunProcess) is not bool(config.schedule)
