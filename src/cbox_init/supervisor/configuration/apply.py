"""Applies another configuration while processes run: all of it, or nothing."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from msgspec.structs import replace

from cbox_init.config.log_defaults import default_logging
from cbox_init.config.settings import settings_for
from cbox_init.core import dependencies
from cbox_init.core.reload_diff import plan_of
from cbox_init.core.restart import Trigger
from cbox_init.errors import Conflict, NotApplied
from cbox_init.supervisor.configuration.removal import Removal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cbox_init.config.model import Config, ProcessConfig
    from cbox_init.config.settings import ProcessSettings
    from cbox_init.core.reload_diff import ReloadPlan
    from cbox_init.logs.hub import LogHub
    from cbox_init.supervisor.managed import Managed
    from cbox_init.supervisor.runtime import Runtime
    from cbox_init.supervisor.supervisor import Supervisor


class ConfigurationApplier:
    """Changes the supervisor from the configuration in force to another one."""

    def __init__(self, supervisor: Supervisor, *, logs: LogHub, runtime: Runtime) -> None:
        self._supervisor = supervisor
        self._table = supervisor.table
        self._factory = supervisor.factory
        self._logs = logs
        self._runtime = runtime
        self._removal = supervisor.lifecycle.removal = Removal(
            self._table, forget=self._forget, forgotten=supervisor.recount
        )

    def plan(self, config: Config) -> ReloadPlan:
        """What ``apply`` would change now.

        It compares with the configuration that each process uses, so that a change that failed is repeated.
        """
        in_force = self._supervisor.config
        running = {process.name: process.config for process in self._table.staying()}
        return plan_of(replace(in_force, processes={**in_force.processes, **running}), config)

    def apply(self, config: Config) -> ReloadPlan:
        """Put ``config`` in force, apart from keys that need a restart of the daemon; gives the changes.

        Only processes that differ are started, stopped or replaced. The steps that can fail come first: if
        one does, nothing has changed and NotApplied says why. Raises Conflict during the shutdown.
        """
        if self._supervisor.shutting_down:
            raise Conflict("cannot change the configuration: the daemon is shutting down")
        gc.unfreeze()  # objects from the start (see `daemon`) may now be garbage
        plan = self.plan(config)
        settings = self._settings_after(plan)
        if self._supervisor.lifecycle.started:
            made = self._prepare(plan, settings)
            self._put_in_force(plan.config)
            self._change_running(plan, settings, made)
        else:
            self._put_in_force(plan.config)
            self._change_before_start(settings)
        self._supervisor.recount()
        return plan

    def _settings_after(self, plan: ReloadPlan) -> dict[str, ProcessSettings]:
        """The settings of each process; those of one that is kept are not worked out again."""
        kept = {name for name in plan.kept if name in self._table and not self._table.is_leaving(name)}
        return {
            name: self._table[name].settings if name in kept else settings_for(name, process, plan.config)
            for name, process in plan.config.enabled_processes().items()
        }

    async def gone(self, name: str) -> None:
        """Wait until a process that was removed has ended."""
        await self._removal.gone(name)

    def _put_in_force(self, config: Config) -> None:
        self._supervisor.config = config
        self._logs.defaults = default_logging(config.global_)
        self._factory.schedules.reconfigure(config)

    def _prepare(self, plan: ReloadPlan, settings: Mapping[str, ProcessSettings]) -> dict[str, Managed]:
        """Make the new processes and open the logs that change; undo all of it when one of them fails."""
        made: dict[str, Managed] = {}
        reopened: list[str] = []
        kept = frozenset(plan.kept)
        old_defaults, self._logs.defaults = self._logs.defaults, default_logging(plan.config.global_)
        try:
            for name, one in settings.items():
                if name not in self._table:
                    made[name] = self._factory.make(name, one)
                elif _same_kind(self._table[name], one.process) and (
                    name not in kept or self._table.is_leaving(name)
                ):
                    reopened.append(name)
                    self._factory.open_log(name, one)
        except Exception as error:
            self._logs.defaults = old_defaults
            self._undo(made, reopened, failed=name)
            raise NotApplied(
                f"cannot change the configuration of {name}, nothing is changed: {error}"
            ) from error
        return made

    def _undo(self, made: Mapping[str, Managed], reopened: Sequence[str], *, failed: str) -> None:
        contain = self._runtime.defects.contain
        for process in made.values():
            self._factory.release(process)
        for name in (*made, failed):
            if name not in self._table:
                with contain("the log of a new process could not be closed", process=name):
                    self._logs.forget(name)
        for name in reopened:
            with contain("the log of a process could not be changed back", process=name):
                self._factory.open_log(name, self._table[name].settings)

    def _change_running(
        self, plan: ReloadPlan, settings: Mapping[str, ProcessSettings], made: Mapping[str, Managed]
    ) -> None:
        before = self._table.snapshot()
        kept = frozenset(plan.kept)
        others = dict.fromkeys(
            name for name, one in settings.items() if not _same_kind(before.get(name), one.process)
        )
        self._remove((*plan.removed, *others))
        leaving = self._table.leaving
        after = {name: made.get(name) or before[name] for name in settings}
        depends_on = {name: one.process.depends_on for name, one in settings.items()}
        old = {name: self._table.depends_on(name) for name in leaving if name not in settings}
        self._table.replace({**after, **leaving}, {**depends_on, **old})
        for rank in dependencies.order_up(depends_on):
            for name in rank:
                if self._supervisor.shutting_down:  # an instance that was given up may have begun it
                    return
                if name in others:
                    continue  # the new process starts when the old one has ended
                if name in kept and not self._table.is_leaving(name):
                    continue
                with self._runtime.defects.contain("a process could not be changed", process=name):
                    self._change(after[name], settings[name], new=name in made, kept=name in kept)

    def _change(self, process: Managed, settings: ProcessSettings, *, new: bool, kept: bool) -> None:
        if new:
            self._supervisor.lifecycle.start_as_configured(process, Trigger.RELOAD)
        elif self._table.is_leaving(process.name):
            self._removal.take_back(process.name)
            process.reinstate(settings)
        elif not kept:
            process.adopt(settings)

    def _change_before_start(self, settings: dict[str, ProcessSettings]) -> None:
        """Replace all processes; none has been started, as the pre-start hooks are still running."""
        for process in self._table:
            self._factory.release(process)
            if process.name not in settings:
                self._logs.forget(process.name)
        self._supervisor.set_processes(settings)

    def _remove(self, names: tuple[str, ...]) -> None:
        for name in names:
            self._removal.add(self._table[name])
        self._runtime.run_queue.wake(self._removal)

    def _forget(self, process: Managed) -> None:
        """Drop a process that was removed and has ended; start its successor if that is of another kind."""
        name = process.name
        self._factory.release(process)
        self._supervisor.forget(name)
        config = self._supervisor.config
        configured = config.processes.get(name)
        if configured is None or not configured.enabled:
            self._logs.forget(name)
            self._table.remove(name)
            self._runtime.log.info("Process removed", process=name)
        else:
            configured = config.enabled_processes()[name]
            successor = self._factory.make(name, settings_for(name, configured, config))
            self._table.put(successor)
            self._supervisor.lifecycle.start_as_configured(successor, Trigger.RELOAD)


def _same_kind(process: Managed | None, config: ProcessConfig) -> bool:
    """Whether ``process`` can use ``config``: both have a schedule, or neither has."""
    return process is None or (process.schedule is not None) is bool(config.schedule)
