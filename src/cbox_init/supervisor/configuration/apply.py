"""Applying another configuration while processes run: all of it, or nothing."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from cbox_init.config.log_defaults import default_logging
from cbox_init.config.settings import settings_of
from cbox_init.core import dependencies
from cbox_init.core.reload_diff import plan_of
from cbox_init.core.restart import Trigger
from cbox_init.errors import Conflict
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


class Application:
    """Brings the supervisor from the configuration in force to another one."""

    def __init__(self, supervisor: Supervisor, *, logs: LogHub, runtime: Runtime) -> None:
        self._supervisor = supervisor
        self._table = supervisor.table
        self._factory = supervisor.factory
        self._logs = logs
        self._runtime = runtime
        self._removal = supervisor.lifecycle.removal = Removal(self._table, forget=self._forget)

    def plan(self, config: Config) -> ReloadPlan:
        """What ``apply`` would change now."""
        return plan_of(self._supervisor.config, config)

    def apply(self, config: Config) -> ReloadPlan:
        """Put ``config`` in force, as far as it can be while running; gives what that changes.

        Only what differs starts, stops or is replaced. Raises Conflict during the shutdown.
        """
        if self._supervisor.shutting_down:
            raise Conflict("cannot change the configuration: the daemon is shutting down")
        gc.unfreeze()  # what was there from the start (see `daemon`) may now be garbage
        plan = self.plan(config)
        self._put_in_force(plan.config)
        settings = settings_of(plan.config)
        if self._supervisor.lifecycle.started:
            self._change_running(plan, settings)
        else:
            self._change_before_start(settings)
        self._supervisor.recount()
        return plan

    async def gone(self, name: str) -> None:
        """Wait until nothing is left of a process that was removed."""
        await self._removal.gone(name)

    def _put_in_force(self, config: Config) -> None:
        self._supervisor.config = config
        self._logs.defaults = default_logging(config.global_)
        self._factory.schedules.reconfigure(config)

    def _change_running(self, plan: ReloadPlan, settings: Mapping[str, ProcessSettings]) -> None:
        before = self._table.snapshot()
        others = tuple(
            name for name, one in settings.items() if not _same_kind(before.get(name), one.process)
        )
        self._remove((*plan.removed, *others))
        leaving = self._table.leaving
        after = {name: before.get(name) or self._factory.make(name, one) for name, one in settings.items()}
        depends_on = {name: one.process.depends_on for name, one in settings.items()}
        old = {name: self._table.depends_on(name) for name in leaving if name not in settings}
        self._table.replace({**after, **leaving}, {**depends_on, **old})
        for rank in dependencies.order_up(depends_on):
            for name in rank:
                if self._supervisor.shutting_down:  # an instance that was given up means the end by now
                    return
                if name not in before:
                    self._supervisor.lifecycle.start_as_configured(after[name], Trigger.RELOAD)
                elif name in others:
                    continue  # what is configured now follows when what was there has gone
                elif name in leaving:
                    self._removal.take_back(name)
                    self._factory.open_log(name, settings[name])
                    after[name].reinstate(settings[name])
                elif name not in plan.kept:
                    self._factory.open_log(name, settings[name])
                    after[name].adopt(settings[name])

    def _change_before_start(self, settings: dict[str, ProcessSettings]) -> None:
        """Nothing has been started yet (the pre-start hooks are not done): start other processes then."""
        for process in self._table:
            self._factory.release(process)
            if process.name not in settings:
                self._logs.forget(process.name)
        self._supervisor.set_processes(settings)

    def _remove(self, names: tuple[str, ...]) -> None:
        for name in names:
            self._removal.add(self._table[name])
        self._runtime.run_queue.wake(self._removal)

    def _forget(self, processes: Sequence[Managed]) -> None:
        """Nothing is left of processes that were removed, or have become some of another kind."""
        configured = settings_of(self._supervisor.config)
        for process in processes:
            name = process.name
            self._factory.release(process)
            self._supervisor.forget(name)
            settings = configured.get(name)
            if settings is None:
                self._logs.forget(name)
                self._table.remove(name)
                self._runtime.log.info("Process removed", process=name)
            else:
                successor = self._factory.make(name, settings)
                self._table.put(successor)
                self._supervisor.lifecycle.start_as_configured(successor, Trigger.RELOAD)
        self._supervisor.recount()


def _same_kind(process: Managed | None, config: ProcessConfig) -> bool:
    """Whether ``process`` can go on under ``config``: one that has a schedule cannot go on without."""
    return process is None or (process.schedule is not None) is bool(config.schedule)
