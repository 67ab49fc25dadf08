"""The supervisor: commands and queries for the API, and what follows when a process has changed.

command ─ Supervisor.scale(name, n) ─ Managed.desired ─ RunQueue.wake ─ reconcile: decide() ─ spawn
child dies ─ SIGCHLD ─ reap() ─ InstanceSlot ─ RunQueue.wake ─ reconcile: decide() ─ Wait(backoff) or Spawn
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from cbox_init.config.log_defaults import default_logging
from cbox_init.config.model import ProcessType
from cbox_init.config.settings import settings_of
from cbox_init.core.states import scale_problem, scaled_by
from cbox_init.errors import Conflict, InvalidScale, NotScheduled
from cbox_init.supervisor.counts import Counts, counts_of
from cbox_init.supervisor.factory import ProcessFactory
from cbox_init.supervisor.lifecycle.lifecycle import Lifecycle
from cbox_init.supervisor.runtime import Reaping
from cbox_init.supervisor.table import ProcessTable
from cbox_init.supervisor.waiters import Waiters

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Container, Iterator

    from cbox_init.config.model import Config, ProcessConfig
    from cbox_init.config.settings import ProcessSettings
    from cbox_init.core.restart_with import Companion
    from cbox_init.logs.hub import LogHub
    from cbox_init.supervisor.actions import Actions
    from cbox_init.supervisor.changes import Change, Changes
    from cbox_init.supervisor.lifecycle.service_manager import ServiceManager
    from cbox_init.supervisor.managed import Managed, Schedule
    from cbox_init.supervisor.notifications.notifications import Notifications
    from cbox_init.supervisor.oneshot_history import Execution, OneshotHistory
    from cbox_init.supervisor.resources import ResourceSampler
    from cbox_init.supervisor.runtime import Runtime
    from cbox_init.supervisor.status import ProcessStatus


class Supervisor:
    """Supervises the processes of one configuration; carries out commands on them for the API.

    Commands return at once; they raise UnknownProcess, Conflict or InvalidScale when they cannot be accepted.
    ``config`` is the configuration in force. ``version`` is raised by every change that a status shows.
    ``on_changed`` is called then, and reads no status before the turn is over.
    While ``changing`` is set, another configuration is being put in force and commands are refused.
    ``on_rolled_back`` is called with the name and the configuration of a process whose rollout was rolled
    back, those of ``on_config`` when another configuration is in force; ``on_finished``, ``on_started`` and
    ``manager`` are those of its `Lifecycle`.
    """

    def __init__(
        self,
        config: Config,
        *,
        logs: LogHub,
        runtime: Runtime,
        on_finished: Callable[[int], None],
        manager: ServiceManager | None = None,
        on_started: Callable[[], object] | None = None,
    ) -> None:
        self.config = config
        self.version = 0
        self.changing = False
        self.on_changed: Callable[[], object] | None = None
        self.on_rolled_back: Callable[[str, ProcessConfig], None] | None = None
        self.on_config: list[Callable[[], object]] = []
        logs.defaults = default_logging(config.global_)
        self._runtime = runtime
        self._on_finished = on_finished
        self.table = ProcessTable()
        self.factory = ProcessFactory(config, logs=logs, runtime=runtime, host=self)
        settings = settings_of(config)
        self.table.replace(
            {name: self.factory.make(name, one) for name, one in settings.items()},
            {name: one.process.depends_on for name, one in settings.items()},
        )
        self._ready: dict[str, bool] = {}
        self._waiters: Waiters[str, None] = Waiters()
        self._statuses: tuple[ProcessStatus, ...] = ()
        self._statuses_version = -1
        self._clearing: dict[str, None] = {}
        self._changes: Changes | None = None
        self._actions: Actions | None = None
        self._oneshots: OneshotHistory | None = None
        self.resources: ResourceSampler | None = None
        """Samples what instances use, while ``resource_metrics_enabled`` is set."""
        self._reaping = Reaping(runtime, self._reaped)
        self.lifecycle = Lifecycle(
            self.table,
            config=lambda: self.config,
            logs=logs,
            runtime=runtime,
            manager=manager,
            on_started=on_started,
            on_shutdown=self._shutdown_begun,
            on_finished=self._finished,
        )
        logs.on_room = self._output_flows_again
        logs.on_dropped = self._lines_dropped
        self.notifications: Notifications | None = None
        """Made when the first notification is configured."""
        self._logs = logs
        self._configure_notifications()

    # -- queries ---------------------------------------------------------------------------------------

    def check_known(self, name: str) -> None:
        """Raise UnknownProcess when there is no process of that name."""
        self.table[name]

    def statuses(self) -> tuple[ProcessStatus, ...]:
        """The status of every process, in the order of the file; the same tuple until something changes."""
        if self._statuses_version != self.version:
            self._statuses = tuple(process.status() for process in self.table)
            self._statuses_version = self.version
        return self._statuses

    def each_managed(self) -> Iterator[Managed]:
        """Iterates over the present processes, in the order of the file."""
        return iter(self.table)

    def counts(self) -> Counts:
        """The numbers of processes, instances, restarts and runs."""
        return counts_of(self.table)

    @property
    def actions(self) -> Actions:
        """Commands to single instances, signals, and commands to several processes."""
        if self._actions is None:
            from cbox_init.supervisor.actions import Actions

            self._actions = Actions(self, self.table, self._runtime)
        return self._actions

    @property
    def changes(self) -> Changes:
        """What commands have begun, and what has become of them."""
        if self._changes is None:
            from cbox_init.supervisor.changes import Changes

            self._changes = Changes(self.table, self._runtime)
        return self._changes

    def status(self, name: str) -> ProcessStatus:
        """The status of one process. Raises UnknownProcess."""
        return self.table[name].status()

    def process_config(self, name: str) -> ProcessConfig:
        """The configuration of one process. Raises UnknownProcess."""
        return self.table[name].config

    def schedule(self, name: str) -> Schedule:
        """The schedule of a process. Raises UnknownProcess or NotScheduled."""
        schedule = self.table[name].schedule
        if schedule is None:
            raise NotScheduled(name)
        return schedule

    def executions(
        self, limit: int, name: str | None = None, among: Container[str] | None = None
    ) -> list[Execution]:
        """The last executions of oneshots, of all (``among`` these) or of one process, newest first.

        Raises UnknownProcess for a name that has neither a process nor an execution.
        """
        found = self.oneshots.latest(limit, name, among)
        if name is not None and not found:
            self.check_known(name)
        return found

    @property
    def oneshots(self) -> OneshotHistory:
        """The history of oneshots."""
        if self._oneshots is None:
            from cbox_init.supervisor.oneshot_history import OneshotHistory

            settings = self.config.global_
            self._oneshots = OneshotHistory(
                max_entries=settings.oneshot_history_max_entries,
                max_age_s=settings.oneshot_history_max_age,
                unix=self._runtime.unix,
            )
        return self._oneshots

    # -- commands --------------------------------------------------------------------------------------

    def start_all(self) -> None:
        """Run the pre-start hooks, then start the processes; each waits for its own dependencies.

        When a hook fails, no process is started and the daemon ends with exit code 1.
        """
        self.lifecycle.begin()

    def start(self, name: str, *, change: Change | None = None, why: str = "") -> Change:
        """Start the instances of a process that do not run, at once and with a new restart budget."""
        process = self.accept_command(name, "start")
        with self.changes.command("start", name, change, why=why) as change:
            process.start()
            self.changes.aim(change, name, run=True)
        return change

    def stop(self, name: str, *, change: Change | None = None, why: str = "") -> Change:
        """Stop every instance of a process."""
        process = self.accept_command(name, "stop")
        with self.changes.command("stop", name, change, why=why) as change:
            process.stop()
            runs = process.desired.generation if process.schedule is not None else None
            self.changes.aim(change, name, run=False, generation=runs)
        return change

    def restart(self, name: str, *, change: Change | None = None, why: str = "") -> Change:
        """Replace every instance of a process, one after another."""
        process = self.accept_command(name, "restart")
        with self.changes.command("restart", name, change, why=why) as change:
            process.restart()
            self.changes.aim(change, name, run=True, generation=process.desired.generation)
        return change

    def scale(
        self,
        name: str,
        count: int,
        *,
        change: Change | None = None,
        why: str = "",
        kind: str = "scale",
        relative: bool = False,
        locked: bool = True,
    ) -> Change:
        """Set the number of instances of a process; ``locked``: if ``scale_locked`` permits it."""
        process = self.check_scale(name, count, locked=locked)
        self._runtime.log.info("Process scale requested", process=name, scale=count)
        if self._runtime.audit is not None:
            self._runtime.audit.command("scale", name, scale=count, before=process.desired.scale)
        with self.changes.command(kind, name, change, why=why) as change:
            before = process.desired
            if relative:
                self.changes.rescale(name, before.scale, count)
            process.scale(count)
            first = min(before.scale, count) if before.run else 0
            self.changes.aim(change, name, scale=count, first=first, relative=relative)
        return change

    def scale_by(self, name: str, delta: int, *, change: Change | None = None, why: str = "") -> Change:
        """Add ``delta`` instances (remove, when negative; not below 0)."""
        count = scaled_by(self._scalable(name).desired.scale, delta)
        return self.scale(name, count, change=change, why=why, relative=True)

    def pause(self, name: str, *, why: str = "") -> Change:
        """Begin no more runs of a scheduled process; those under way go on. Also raises NotScheduled."""
        schedule = self._accept_schedule_command(name, "pause")
        with self.changes.command("pause", name, None, why=why) as change:
            schedule.pause()
            self.changes.done(change)
        return change

    def resume(self, name: str, *, why: str = "") -> Change:
        """Run a scheduled process at its times again. Also raises NotScheduled."""
        schedule = self._accept_schedule_command(name, "resume")
        with self.changes.command("resume", name, None, why=why) as change:
            schedule.resume()
            self.changes.done(change)
        return change

    def trigger(self, name: str, *, change: Change | None = None, why: str = "") -> Change:
        """Run a scheduled process now; its change ends with the run. Also raises NotScheduled.

        Raises Conflict also when it is paused or has ``schedule_max_concurrent`` runs under way.
        """
        schedule = self._accept_schedule_command(name, "trigger")
        with self.changes.command("trigger", name, change, why=why) as change:
            self.changes.await_run(change, name, schedule.trigger())
        return change

    def abandon(self, change: Change) -> None:
        """Replace no more instances in the rollout of a change. Raises Conflict where there is none."""
        self._refuse_now(f"abandon {change.id}")
        self.changes.abandon(change)

    async def settled(self, name: str) -> None:
        """Wait until the last command has had its effect, or an instance cannot be started."""
        if not self.table[name].settled:
            await self._waiters.wait(name)

    def refuse_in_shutdown(self, what: str) -> None:
        """Raise Conflict, which says what cannot be done, during the shutdown."""
        if self.shutting_down:
            raise Conflict(f"cannot {what}: the daemon is shutting down")

    def check_command(self, name: str, command: str) -> Managed:
        """The process that could carry out ``command`` now. Raises UnknownProcess and Conflict."""
        process = self.table[name]
        self._refuse_now(f"{command} {name}")
        if self.lifecycle.held_back:
            raise Conflict(f"cannot {command} {name}: the pre-start hooks and tests are still running")
        self._refuse_leaving(name, command)
        return process

    def accept_command(self, name: str, command: str, **what: str) -> Managed:
        """The process that is to carry out ``command``; logs it. Raises UnknownProcess and Conflict."""
        process = self.check_command(name, command)
        self._runtime.log.info(f"Process {command} requested", process=name, **what)
        if self._runtime.audit is not None:
            self._runtime.audit.command(command, name, **what)
        return process

    def _accept_schedule_command(self, name: str, command: str) -> Schedule:
        schedule = self.schedule(name)
        self.accept_command(name, command)
        return schedule

    def check_scale(self, name: str, count: int, *, locked: bool = True) -> Managed:
        """The process that could be scaled to ``count`` now. Raises what ``scale`` raises."""
        process = self._scalable(name, locked=locked)
        oneshot = process.config.type is ProcessType.ONESHOT
        problem = scale_problem(count, process.scale_limit, oneshot=oneshot)
        if problem:
            raise InvalidScale(problem)
        return process

    def _scalable(self, name: str, *, locked: bool = True) -> Managed:
        process = self.table[name]
        self._refuse_now(f"scale {name}")
        self._refuse_leaving(name, "scale")
        if process.schedule is not None:
            raise Conflict(f"cannot scale {name}: it has a schedule; schedule_max_concurrent limits its runs")
        if locked and process.config.scale_locked:
            raise Conflict(f"cannot scale {name}: processes.{name}.scale_locked is set")
        return process

    def _refuse_now(self, what: str) -> None:
        self.refuse_in_shutdown(what)
        if self.changing:
            raise Conflict(f"cannot {what}: the configuration is being changed; try again")

    def _refuse_leaving(self, name: str, command: str) -> None:
        if self.table.is_leaving(name):
            raise Conflict(f"cannot {command} {name}: it is being removed")

    # -- changes of the configuration (see `configuration.apply`) --------------------------------------

    def put_in_force(self, config: Config) -> None:
        """Have this configuration count from now on."""
        self.config = config
        if self._runtime.run_queue.loop is not None:
            self._sample_resources()
        self._configure_notifications()
        for call in self.on_config:
            call()

    def _configure_notifications(self) -> None:
        """Notify as the configuration in force says."""
        with self._runtime.defects.contain("the notifications could not be configured"):
            if self.notifications is None and self.config.notifications:
                from cbox_init.supervisor.notifications.notifications import Notifications

                self.notifications = Notifications(runtime=self._runtime, logs=self._logs)
            if self.notifications is not None:
                self.notifications.configure(self.config.notifications)

    def recount(self) -> None:
        """Take in that processes were added, removed or configured differently."""
        self._advance()
        self.table.recount()
        self.lifecycle.recount()

    def forget(self, name: str) -> None:
        """Drop what is kept about a process that was removed and has ended."""
        self._ready.pop(name, None)
        self._runtime.events.forget(name)
        if self._changes is not None:
            self._changes.process_gone(name)
        if self._runtime.counters is not None:
            self._runtime.counters.forget(name)
        if self.resources is not None:
            self.resources.forget(name)

    def _sample_resources(self) -> None:
        """Sample what instances use, or do so no longer, as the configuration says."""
        settings = self.config.global_
        with self._runtime.defects.contain("the sampling of resources could not be changed"):
            if self.resources is None and settings.resource_metrics_enabled:
                from cbox_init.supervisor.resources import ResourceSampler

                self.resources = ResourceSampler(settings, runtime=self._runtime, processes=self.each_managed)
                self._runtime.sampled = self.resources.used_lately
            elif self.resources is not None and settings.resource_metrics_enabled:
                self.resources.adopt(settings)
            elif self.resources is not None:
                self.resources.close()
                self.resources = self._runtime.sampled = None

    # -- the event loop --------------------------------------------------------------------------------

    def attach(self, loop: AbstractEventLoop) -> None:
        """Use the event loop from now on."""
        self.factory.schedules.attach(loop)
        self._sample_resources()
        if self.notifications is not None:
            self.notifications.attach()

    async def close(self, timeout_s: float) -> None:
        """Release the event loop after the shutdown; heartbeats and notifications that wait have
        ``timeout_s`` to be sent.
        """
        if self.notifications is None:
            await self.factory.schedules.detach(timeout_s)
        else:
            from asyncio import gather

            await gather(self.factory.schedules.detach(timeout_s), self.notifications.close(timeout_s))

    # -- events ----------------------------------------------------------------------------------------

    def reap(self) -> None:
        """Reap children in the next turn of the run queue (SIGCHLD)."""
        self._runtime.run_queue.wake(self._reaping)

    def _reaped(self) -> None:
        """Reconcile the processes that wait for the end of what an instance left behind."""
        clearing, self._clearing = self._clearing, {}
        for name in clearing:
            if name in self.table and self.table[name].clearing:
                self._clearing[name] = None
                self._runtime.run_queue.wake(self.table[name])
        self.lifecycle.go_on()

    def not_ready(self, name: str) -> tuple[str, ...]:
        """The dependencies of a process that are not ready."""
        return self.table.not_ready(name)

    def companion(self, name: str) -> Companion | None:
        """What has to be known of the process ``name`` to be restarted with it; None when it is gone."""
        from cbox_init.supervisor.restart_with import companion_of

        return companion_of(self.table[name]) if name in self.table else None

    def restart_with(self, name: str, why: str) -> bool:
        """Restart the process ``name`` with others; False when that is not possible now."""
        from cbox_init.acting import acting_as

        self._runtime.log.info("Process is restarted with another", process=name, reason=why)
        try:
            with acting_as("restart_with"):
                self.restart(name, why=why)
        except Conflict:
            return False
        return True

    def _output_flows_again(self) -> None:
        """Reconcile the processes that started nothing while their output was backed up."""
        for process in self.table:
            if process.held_back:
                self._runtime.run_queue.wake(process)

    def _lines_dropped(self, process: str, output: str, count: int) -> None:
        self._runtime.events.emit("log.dropped", process, output=output or None, lines=count)

    def changed(self, name: str) -> None:
        """Act on a change of a process's status: wake its dependents and all who wait for it."""
        self._advance()
        process = self.table[name]
        if process.clearing:
            self._clearing[name] = None
        if self.lifecycle.readiness:
            self.lifecycle.readiness.note(process)
        if (dependents := self.table.dependents(name)) and process.ready != self._ready.get(name, False):
            self._ready[name] = process.ready
            for dependent in dependents:
                self._runtime.run_queue.wake(self.table[dependent])
        for follower in self.table.followers(name):
            self._runtime.run_queue.wake(self.table[follower])
        if name in self._waiters and process.settled:
            self._waiters.resolve(name, None)
        if self._changes is not None:
            self._changes.follow(process)
        self.lifecycle.changed(process)

    def autoscaled(self, name: str, count: int, reason: str) -> str:
        """Set the scale of a process, as its load requires; ``scale_locked`` is for others.

        Gives the id of the change. Raises Conflict.
        """
        from cbox_init.acting import acting_as

        with acting_as("autoscale"):
            return self.scale(name, count, kind="autoscale", why=reason, locked=False).id

    def rolled_back(self, name: str, settings: ProcessSettings) -> None:
        """Put the former settings of a process in force again after its rollout has failed."""
        processes = {**self.config.processes, name: settings.process}
        self.put_in_force(replace(self.config, processes=processes))
        self.factory.open_log(name, settings)
        if self.on_rolled_back is not None:
            self.on_rolled_back(name, settings.process)

    def run_ended(self, name: str, number: int, *, exit_code: int, error: str | None) -> None:
        """End the change that has triggered a run."""
        if self._changes is not None:
            self._changes.run_ended(name, number, exit_code=exit_code, error=error)

    def run_dropped(self, name: str, number: int) -> None:
        """Abort the change that has triggered a run."""
        if self._changes is not None:
            self._changes.run_dropped(name, number)

    def refreshed(self) -> None:
        """Take in that figures in a status have changed, but nothing that others act on."""
        self._advance()

    def _advance(self) -> None:
        self.version += 1
        if self.on_changed is not None:
            with self._runtime.defects.contain("a change could not be noted"):
                self.on_changed()

    # -- shutdown --------------------------------------------------------------------------------------

    @property
    def shutting_down(self) -> bool:
        """Whether the shutdown has begun."""
        return self.lifecycle.shutting_down

    def shutdown(self, reason: str, exit_code: int = 0) -> None:
        """Stop everything, dependents first, then call ``on_finished``. A second call has no effect."""
        self.lifecycle.shutdown(reason, exit_code)

    def kill(self, exit_code: int) -> None:
        """Kill everything at once, without a grace period (a second stop signal)."""
        self.lifecycle.kill(exit_code)

    def _shutdown_begun(self) -> None:
        """Abort what the shutdown prevents; stops and runs may still come to their end."""
        if self._changes is not None:
            self._changes.abort_all("the daemon is shutting down", but=frozenset(("stop", "trigger")))

    def _finished(self, exit_code: int) -> None:
        self._waiters.cancel_all()
        if self._changes is not None:
            self._changes.abort_all("the daemon has ended")
        self._on_finished(exit_code)
