"""Applies another configuration while processes run: all of it, or nothing."""

from __future__ import annotations

import asyncio
import gc
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from cbox_init.config.log_defaults import default_logging
from cbox_init.config.settings import settings_for
from cbox_init.core import dependencies
from cbox_init.core.reload_diff import plan_of
from cbox_init.core.restart import Trigger
from cbox_init.errors import Conflict, NotApplied
from cbox_init.supervisor.configuration.removal import Removal
from cbox_init.threads import NoThreadError, in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cbox_init.config.model import Config, LoggingConfig, ProcessConfig
    from cbox_init.config.settings import ProcessSettings
    from cbox_init.core.reload_diff import ReloadPlan
    from cbox_init.logs.hub import LogHub
    from cbox_init.supervisor.managed import Managed
    from cbox_init.supervisor.runtime import Runtime
    from cbox_init.supervisor.supervisor import Supervisor


#: How long a turn of the event loop works on a change at most, in seconds, apart from what cannot be divided.
_SLICE_S: Final = 0.005

#: With more processes than this, what changes is found in a thread, and they are set aside from garbage.
_MANY: Final = 200

_PLAN_TIMEOUT_S: Final = 30.0

#: How many attempts to apply a configuration are divided into turns.
_DIVIDED_ATTEMPTS: Final = 3


class Turns:
    """Divides long work into turns of the event loop."""

    def __init__(self, *, divides: bool = True) -> None:
        self.divides = divides
        self._until = time.monotonic() + _SLICE_S

    async def end_if_long(self) -> None:
        """Go on in another turn when this one has taken its time."""
        if self.divides and time.monotonic() >= self._until:
            await asyncio.sleep(0)
            self._until = time.monotonic() + _SLICE_S


class ConfigurationApplier:
    """Changes the supervisor from the configuration in force to another one."""

    def __init__(self, supervisor: Supervisor, *, logs: LogHub, runtime: Runtime) -> None:
        self._supervisor = supervisor
        self._table = supervisor.table
        self._factory = supervisor.factory
        self._logs = logs
        self._runtime = runtime
        self._enabled: tuple[Config, dict[str, ProcessConfig]] | None = None
        """The enabled processes of a configuration; for thousands they take 5 ms to find."""
        self._removal = supervisor.lifecycle.removal = Removal(
            self._table, forget=self._forget, forgotten=supervisor.recount
        )

    async def plan(self, config: Config) -> ReloadPlan:
        """What ``apply`` would change now.

        It compares with the configuration that each process uses, so that a change that failed is repeated.
        """
        plan, _ = await self._planned(config)
        return plan

    async def apply(self, config: Config, *, attempt: int = 0) -> ReloadPlan | None:
        """Put ``config`` in force, apart from keys that need a restart of the daemon; gives the changes.

        Only processes that differ are started, stopped or replaced. The steps that can fail come first: if
        one does, nothing has changed and NotApplied says why. Raises Conflict during the shutdown.

        The work for thousands of processes is divided into turns of the event loop. Nothing is reconciled
        while some processes have their new settings and others do not, and no command is accepted. Gives
        None, and nothing is changed, when a process was rolled back or the start of the processes has begun
        meanwhile; a late ``attempt`` is made in one turn, so that one succeeds. Calls must not overlap; only
        the end of the daemon may cancel one.
        """
        turns = Turns(divides=attempt < _DIVIDED_ATTEMPTS)
        self._removal.held = True
        try:
            return await self._apply(config, turns)
        finally:
            self._removal.held = False
            self._set_aside()
            if self._table.leaving and not self._supervisor.shutting_down:
                self._runtime.run_queue.wake(self._removal)

    async def _apply(self, config: Config, turns: Turns) -> ReloadPlan | None:
        self._supervisor.refuse_in_shutdown("change the configuration")
        before = self._supervisor.config
        plan, settings = await self._planned(config, turns)
        self._supervisor.refuse_in_shutdown("change the configuration")
        if before is not self._supervisor.config:
            return None
        started = self._supervisor.lifecycle.started
        made = await self._prepare(plan, settings, turns, replace_all=not started)
        if made is None:
            return None
        if started is not self._supervisor.lifecycle.started:
            await self._undo(made, (), turns)
            return None
        self._put_in_force(plan.config)
        if not started:
            self._change_before_start(made)
            self._supervisor.recount()
            return plan
        await self._change_running(plan, settings, made, turns)
        self._supervisor.recount()
        return plan

    def _set_aside(self) -> None:
        """Set aside what was just made for many processes (see `garbage`).

        With few processes a collection is short, and the next one goes through everything again.
        """
        if len(self._table) > _MANY:
            gc.freeze()
        else:
            gc.unfreeze()

    async def _planned(
        self, config: Config, turns: Turns | None = None
    ) -> tuple[ReloadPlan, dict[str, ProcessSettings]]:
        """What changes, and the settings of each process; those of one that is kept are not made again.

        For many processes that is found in a thread.
        """
        in_force = self._supervisor.config
        present = {process.name: process.settings for process in self._table.staying()}

        def find() -> tuple[ReloadPlan, dict[str, ProcessSettings]]:
            running = {name: one.process for name, one in present.items()}
            plan = plan_of(replace(in_force, processes={**in_force.processes, **running}), config)
            kept = present.keys() & frozenset(plan.kept)
            return plan, {
                name: present[name] if name in kept else settings_for(name, process, plan.config)
                for name, process in plan.config.enabled_processes().items()
            }

        if len(present) + len(config.processes) > _MANY and (turns is None or turns.divides):
            with suppress(TimeoutError, NoThreadError):
                return await in_thread(find, name="config-plan", timeout_s=_PLAN_TIMEOUT_S)
        return find()

    async def gone(self, name: str) -> None:
        """Wait until a process that was removed has ended."""
        await self._removal.gone(name)

    def _put_in_force(self, config: Config) -> None:
        self._supervisor.put_in_force(config)
        self._logs.defaults = default_logging(config.global_)
        self._factory.schedules.reconfigure(config)

    async def _prepare(
        self,
        plan: ReloadPlan,
        settings: Mapping[str, ProcessSettings],
        turns: Turns,
        *,
        replace_all: bool,
    ) -> dict[str, Managed] | None:
        """Make the new processes and open the logs that change; undo all of it when one of them fails.

        With ``replace_all`` all processes are made. None, and all of it is undone, when a process was rolled
        back meanwhile.
        """
        made: dict[str, Managed] = {}
        reopened: list[str] = []
        kept = frozenset(plan.kept)
        before, defaults = self._supervisor.config, default_logging(plan.config.global_)
        await self._logs.ask_file_systems(
            one.process.logging for name, one in settings.items() if replace_all or name not in kept
        )
        self._supervisor.refuse_in_shutdown("change the configuration")
        name = ""
        try:
            for name, one in settings.items():
                with self._defaults(defaults):
                    if replace_all or name not in self._table:
                        made[name] = self._factory.make(name, one)
                    elif _same_kind(self._table[name], one.process) and (
                        name not in kept or self._table.is_leaving(name)
                    ):
                        reopened.append(name)
                        self._factory.open_log(name, one)
                await turns.end_if_long()
                self._supervisor.refuse_in_shutdown("change the configuration")
        except Conflict:
            await self._undo(made, reopened, turns)
            raise
        except Exception as error:
            await self._undo(made, reopened, turns, failed=name)
            raise NotApplied(
                f"cannot change the configuration of {name}, nothing is changed: {error}"
            ) from error
        if before is not self._supervisor.config:
            await self._undo(made, reopened, turns)
            return None
        return made

    @contextmanager
    def _defaults(self, defaults: LoggingConfig) -> Iterator[None]:
        """Open logs with these defaults. Those in force count again when the turn ends."""
        old, self._logs.defaults = self._logs.defaults, defaults
        try:
            yield
        finally:
            self._logs.defaults = old

    async def _undo(
        self,
        made: Mapping[str, Managed],
        reopened: Sequence[str],
        turns: Turns,
        *,
        failed: str | None = None,
    ) -> None:
        """Drop the processes that were made, and let those in the table have the logs that they had."""
        contain = self._runtime.defects.contain
        for process in made.values():
            self._factory.release(process)
            await turns.end_if_long()
        for name in (*made, *reopened, failed):
            if name is None:
                continue
            with contain("the log of a process could not be changed back", process=name):
                if name in self._table:
                    self._factory.open_log(name, self._table[name].settings)
                else:
                    self._logs.forget(name)
            await turns.end_if_long()

    async def _change_running(
        self,
        plan: ReloadPlan,
        settings: Mapping[str, ProcessSettings],
        made: Mapping[str, Managed],
        turns: Turns,
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
        self._supervisor.changing = True
        self._runtime.run_queue.hold()
        try:
            for name in (name for rank in dependencies.order_up(depends_on) for name in rank):
                if self._supervisor.shutting_down:  # an instance that was given up may have begun it
                    return
                if name in others:
                    continue  # the new process starts when the old one has ended
                if name in kept and not self._table.is_leaving(name):
                    continue
                with self._runtime.defects.contain("a process could not be changed", process=name):
                    self._change(after[name], settings[name], new=name in made, kept=name in kept)
                await turns.end_if_long()
        finally:
            self._supervisor.changing = False
            self._runtime.run_queue.release()

    def _change(self, process: Managed, settings: ProcessSettings, *, new: bool, kept: bool) -> None:
        if new:
            self._supervisor.lifecycle.start_as_configured(process, Trigger.RELOAD)
        elif self._table.is_leaving(process.name):
            self._removal.take_back(process.name)
            process.reinstate(settings)
        elif not kept:
            process.adopt(settings)

    def _change_before_start(self, made: dict[str, Managed]) -> None:
        """Replace all processes; none has been started, as the pre-start hooks are still running."""
        for process in self._table:
            self._factory.release(process)
            if process.name not in made:
                self._logs.forget(process.name)
        self._table.replace(made, {name: one.config.depends_on for name, one in made.items()})

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
            if self._enabled is None or self._enabled[0] is not config:
                self._enabled = config, config.enabled_processes()
            successor = self._factory.make(name, settings_for(name, self._enabled[1][name], config))
            self._table.put(successor)
            self._supervisor.lifecycle.start_as_configured(successor, Trigger.RELOAD)


def _same_kind(process: Managed | None, config: ProcessConfig) -> bool:
    """Whether ``process`` can use ``config``: both have a schedule, or neither has."""
    return process is None or (process.schedule is not None) is bool(config.schedule)
