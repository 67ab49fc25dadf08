"""The configuration in force: reloads it, edits it for the API, saves it.

Every change goes through here, one after another. The module is imported for the first change.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from cbox_init.config.child_variables import for_children
from cbox_init.config.edit import Edits
from cbox_init.config.masking import secret_values
from cbox_init.config.problems import Problem, Severity
from cbox_init.config.save import saved
from cbox_init.core.changes import ChangeStatus
from cbox_init.errors import ConfigError, Conflict, NotApplied, NotSaved, UnknownProcess
from cbox_init.supervisor.changes import ALL
from cbox_init.supervisor.configuration.apply import ConfigurationApplier
from cbox_init.supervisor.garbage import CollectionPause
from cbox_init.threads import NoThreadError, OneThread, in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping

    from cbox_init.config.load import ConfigSource, Loaded
    from cbox_init.config.model import Config, ProcessConfig
    from cbox_init.config.raw import Raw
    from cbox_init.core.reload_diff import ReloadPlan
    from cbox_init.logs.hub import LogHub
    from cbox_init.supervisor.changes import Change
    from cbox_init.supervisor.runtime import Runtime
    from cbox_init.supervisor.supervisor import Supervisor

#: How long the file may take to be read or written, in seconds: a network file system may never answer.
FILE_TIMEOUT_S: Final = 30.0

#: How long checking an edit may take, in seconds. Its work is limited, but the machine may be busy.
_CHECK_TIMEOUT_S: Final = 30.0

_NO_FILE: Final = "the configuration comes from the environment alone; there is no file"


@contextmanager
def saving(path: str) -> Iterator[None]:
    """Turn what keeps a thread from writing, or comparing, the file at ``path`` into NotSaved."""
    try:
        yield
    except TimeoutError:
        raise NotSaved(
            f"cannot save {path}: no answer within {FILE_TIMEOUT_S:.0f} s; check its file system"
        ) from None
    except NoThreadError as error:
        raise NotSaved(f"cannot save {path}: {error.strerror}; try again later") from None


class Reloaded:
    """The result of a reload or a preview: what it changes, and the file's warnings and suggestions."""

    __slots__ = ("plan", "warnings")

    def __init__(self, plan: ReloadPlan, problems: Iterable[Problem]) -> None:
        self.plan = plan
        self.warnings = tuple(str(problem) for problem in problems)


class ConfigurationState(NamedTuple):
    """What the configuration is now. ``children`` is the environment of children, in which edits are read."""

    in_force: Config
    edits: Edits
    source: ConfigSource | None
    children: Mapping[str, str]
    withheld: frozenset[str]


class Configuration:
    """Changes the configuration of one supervisor, for the API, SIGHUP and ``serve --watch``."""

    def __init__(
        self, supervisor: Supervisor, source: ConfigSource | None, *, logs: LogHub, runtime: Runtime
    ) -> None:
        self._supervisor = supervisor
        self._applier = ConfigurationApplier(supervisor, logs=logs, runtime=runtime)
        self._source = source
        self._runtime = runtime
        self._withheld = frozenset(source.environ if source is not None else ()) - runtime.environ.keys()
        self._edits = self._no_edits(supervisor.config)
        self._log = logs.daemon
        self._audit = runtime.audit
        self._events = runtime.events
        #: What ``scale: 0`` means for the processes of which the file said so last.
        self._zero_scales = dict.fromkeys(source.zero_scales if source is not None else (), 1)
        self._lock = asyncio.Lock()
        self._no_collection = CollectionPause()
        self._queued: asyncio.Task[Reloaded] | None = None
        self._tasks: set[asyncio.Task[Reloaded] | asyncio.Task[ReloadPlan]] = set()
        supervisor.on_rolled_back = self._rolled_back

    # -- reload ----------------------------------------------------------------------------------------

    def request_reload(self, loop: asyncio.AbstractEventLoop, why: str) -> asyncio.Task[Reloaded] | None:
        """Reload in the background (SIGHUP, a file that has changed); the log says how it went.

        Gives the reload, None during the shutdown.
        """
        self._log.info("Configuration reload requested", reason=why)
        if self._audit is not None:
            self._audit.reload("attempt", why)
        if self._supervisor.shutting_down:
            self._log.warn("Configuration is not reloaded: the daemon is shutting down")
            return None
        return self._queue(loop, self._supervisor.changes.open("reload", (ALL,), why=why))

    def reload_change(self) -> Change:
        """Begin the change of a reload that is asked for now. Raises Conflict."""
        self._supervisor.refuse_in_shutdown("change the configuration")
        return self._supervisor.changes.open("reload", (ALL,))

    async def reload(self, change: Change | None = None) -> Reloaded:
        """Read the file again and apply it; ``change`` follows that.

        Requests that come before a queued reload begins share that one: the file is read once, after the
        last of them. Raises ConfigError (nothing has changed then) and Conflict.
        """
        change = change or self.reload_change()
        return await asyncio.shield(self._queue(asyncio.get_running_loop(), change))

    async def preview(self) -> Reloaded:
        """What a reload would change now. Raises as ``reload`` does."""
        with self._no_collection.begin():
            loaded = await self._load()
            return Reloaded(await self.plan(loaded.config), loaded.problems)

    async def plan(self, config: Config) -> ReloadPlan:
        """What a reload would change now if the file meant ``config``."""
        return await self._applier.plan(config)

    async def read(self, thread: OneThread) -> Loaded:
        """What the file means now, read in ``thread``. Raises as ``reload`` does.

        Something else in place of the file, such as a pipe, is an error: reading it may never end.
        """
        with self._no_collection.begin():
            return await self._load(thread)

    def state(self) -> ConfigurationState:
        """What is in force now, and where it is from."""
        return ConfigurationState(
            self._supervisor.config, self._edits, self._source, self._runtime.environ, self._withheld
        )

    def _queue(self, loop: asyncio.AbstractEventLoop, change: Change) -> asyncio.Task[Reloaded]:
        """Queue a reload, unless one that has not begun is queued already; ``change`` follows it."""
        if self._queued is None:
            self._queued = loop.create_task(self._reload_and_log())
            self._tasks.add(self._queued)
            self._queued.add_done_callback(self._reload_done)
        self._queued.add_done_callback(lambda task: self._follow(change, task))
        return self._queued

    def _follow(self, change: Change, task: asyncio.Task[Reloaded] | asyncio.Task[ReloadPlan]) -> None:
        """Have the change go on with what the configuration has changed, or end when it was not changed."""
        changes = self._supervisor.changes
        with self._runtime.defects.contain("a change could not be followed"):
            if task.cancelled():
                changes.end(change, ChangeStatus.ABORTED, "the daemon is shutting down")
            elif error := task.exception():
                changes.end(change, ChangeStatus.FAILED, self._runtime.secrets.masked(str(error)))
            else:
                result = task.result()
                changes.aim_as_configured(change, result.plan if isinstance(result, Reloaded) else result)

    def _reload_done(self, task: asyncio.Task[Reloaded]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()  # fetched, as there may be no task that waits for it
        if error is not None:
            self._events.emit("config.failed", reason=str(error), action="reload")
        if error is not None and self._audit is not None:
            self._audit.reload("failure", str(error))
        if isinstance(error, ConfigError):
            self._log_refused(error)
        elif error is not None:
            self._log.error("Configuration was not reloaded", error=str(error))

    async def _reload_and_log(self) -> Reloaded:
        async with self._alone():
            self._queued = None
            loaded = await self._load()
            self._withheld |= loaded.withheld
            await self._know_secrets(self._supervisor.config, loaded.config)
            self._runtime.environ = for_children(self._runtime.environ, loaded.withheld)
            if self._audit is not None:
                await self._audit.change("reload", self._supervisor.config, loaded.config)
            attempts = count()
            while (plan := await self._applier.apply(loaded.config, attempt=next(attempts))) is None:
                pass  # a process was rolled back meanwhile
            self._edits = self._no_edits(plan.config)
            self._zero_scales = {name: self._zero_scales.get(name, 0) for name in loaded.zero_scales}
        self._log_reloaded(plan, loaded)
        return Reloaded(plan, loaded.problems)

    async def _load(self, thread: OneThread | None = None) -> Loaded:
        if self._source is None:
            raise Conflict(f"cannot reload: {_NO_FILE}")
        source, load = self._source, self._source.load
        if thread is None:
            thread = OneThread("config-read")
        else:
            load = partial(_of_regular_file, source)
        try:
            loaded = await thread.run(load, timeout_s=FILE_TIMEOUT_S)
            return self._with_zero_scales(loaded)
        except TimeoutError:
            message = f"cannot read {self._source.path}: no answer within {FILE_TIMEOUT_S:.0f} s"
            problem = Problem(field="", message=message, recommendation="check its file system")
            raise ConfigError(str(problem), (problem,)) from None
        except NoThreadError as error:
            raise NotApplied(f"cannot reload: {error.strerror}; try again later") from None

    def _with_zero_scales(self, loaded: Loaded) -> Loaded:
        """A ``scale: 0`` that the file has now, and had not before, is no instance.

        One that was there before stays what it was: a reload changes only what the file has changed.
        """
        if not loaded.zero_scales:
            return loaded
        processes = dict(loaded.config.processes)
        for name in loaded.zero_scales & processes.keys():
            processes[name] = replace(processes[name], scale=self._zero_scales.get(name, 0))
        of_zero = {f"processes.{name}.scale" for name in loaded.zero_scales}
        problems = tuple(one for one in loaded.problems if one.field not in of_zero)
        return replace(loaded, config=replace(loaded.config, processes=processes), problems=problems)

    # -- edits -----------------------------------------------------------------------------------------

    def _rolled_back(self, name: str, process: ProcessConfig) -> None:
        """Undo the edits of a process whose former configuration is in force again."""
        self._edits = self._edits.taken_back(name, process)
        self._events.emit("config.changed", action="roll back", processes=name)
        if self._audit is not None:
            self._audit.rolled_back(name)

    def check_known(self, name: str) -> None:
        """Raises UnknownProcess when no process of that name is configured."""
        if name not in self._supervisor.config.processes:
            raise UnknownProcess(name)

    async def add(self, name: str, raw: Mapping[str, Raw]) -> Change:
        """Add a process. Raises Conflict when there is one of that name, and ConfigError."""
        change = self._supervisor.changes.open("add", (name,))
        return await self._edit(lambda now, environ: now.added(name, raw, environ), "added", name, change)

    async def update(self, name: str, raw: Mapping[str, Raw]) -> Change:
        """Change the configuration of a process. Raises UnknownProcess, Conflict and ConfigError."""
        self.check_known(name)
        change = self._supervisor.changes.open("update", (name,))
        return await self._edit(lambda now, environ: now.updated(name, raw, environ), "updated", name, change)

    async def remove(self, name: str) -> Change:
        """Remove a process; returns when it has ended. Raises UnknownProcess and Conflict."""
        self.check_known(name)
        change = self._supervisor.changes.open("remove", (name,))
        await self._edit(lambda now, environ: now.removed(name), "removed", name, change)
        await self._applier.gone(name)
        return change

    async def save(self) -> str:
        """Write the edits to the file; gives its path. Raises Conflict and NotSaved."""
        if self._source is None or self._source.path is None:
            raise Conflict(f"cannot save: {_NO_FILE}")
        source, path = self._source, self._source.path
        async with self._alone():
            edits = self._edits
            with saving(path):
                await in_thread(
                    lambda: saved(path, edits, source.environ), name="config-write", timeout_s=FILE_TIMEOUT_S
                )
            self._edits = self._no_edits(self._supervisor.config)
        self._log.info("Configuration saved", config=path)
        if self._audit is not None:
            self._audit.changed("save", file=path)
        return path

    async def _edit(
        self,
        edit: Callable[[Edits, Mapping[str, str]], Edits],
        verb: str,
        process: str,
        change: Change,
    ) -> Change:
        """Make an edit. It goes on to its end when the caller is cancelled."""

        async def whole() -> ReloadPlan:
            async with self._alone():
                environ = self._environ()
                return await self._change(lambda now: edit(now, environ), verb, process)

        task = asyncio.get_running_loop().create_task(whole())
        self._tasks.add(task)
        task.add_done_callback(self._edit_done)
        task.add_done_callback(lambda task: self._follow(change, task))
        await asyncio.shield(task)
        return change

    def _edit_done(self, task: asyncio.Task[ReloadPlan]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # fetched, as there may be no caller any more

    async def _change(self, edit: Callable[[Edits], Edits], verb: str, process: str) -> ReloadPlan:
        """Apply edits, and keep them only if that succeeds. Raises what ``edit`` does."""
        plan: ReloadPlan | None = None
        attempts = count()
        while plan is None:  # once more when there was a rollback meanwhile
            before = self._edits
            edits = await self._checked(edit, before)
            await self._know_secrets(before.config, edits.config)
            if self._audit is not None:
                await self._audit.change(verb, before.config, edits.config, process)
            if self._edits is not before:
                continue
            try:
                plan = await self._applier.apply(edits.config, attempt=next(attempts))
            except NotApplied as error:
                self._events.emit("config.failed", reason=str(error), action=verb, processes=process)
                if self._audit is not None:
                    self._audit.changed(verb, status="failure", message=str(error), process=process)
                raise
        self._edits = edits
        self._log.info(f"Process configuration {verb}", process=process)
        self._events.emit("config.changed", action=verb, processes=process)
        return plan

    async def _know_secrets(self, *configs: Config) -> None:
        """Mask the secrets of these from now on: of what is in force, and of what is about to be.

        They are found in a thread, as that takes 0.1 s with thousands of processes.
        """
        environ = self._source.environ if self._source is not None else self._runtime.environ
        withheld = self._withheld

        def find() -> frozenset[str]:
            return frozenset(text for one in configs for text in secret_values(one, environ, withheld))

        try:
            found = await in_thread(find, name="secrets", timeout_s=_CHECK_TIMEOUT_S)
        except (TimeoutError, NoThreadError):
            self._runtime.secrets.use(find)
        else:
            self._runtime.secrets.use(lambda: found)

    def _no_edits(self, config: Config) -> Edits:
        return Edits(config, path=self._source.path if self._source is not None else None)

    async def _checked(self, edit: Callable[[Edits], Edits], before: Edits) -> Edits:
        """The edits after one more. That is checked in a thread, since it may take seconds."""
        try:
            return await in_thread(lambda: edit(before), name="config-edit", timeout_s=_CHECK_TIMEOUT_S)
        except TimeoutError:
            message = f"the change could not be checked within {_CHECK_TIMEOUT_S:.0f} s, nothing is changed"
            raise NotApplied(message) from None
        except NoThreadError as error:
            raise NotApplied(f"{error.strerror}, nothing is changed; try again later") from None

    # -- internals -------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """Wait for the end of the changes before, then make one, without collections of garbage."""
        async with self._lock:
            with self._no_collection.begin():
                yield

    def _environ(self) -> Mapping[str, str]:
        self._supervisor.refuse_in_shutdown("change the configuration")
        # That of children, so that an edit cannot read the daemon's own secrets.
        return self._runtime.environ

    def _log_refused(self, error: ConfigError) -> None:
        self._log.error("Configuration was not reloaded, the old one stays", error=str(error))
        errors = [problem for problem in error.problems if problem.severity is Severity.ERROR]
        for problem in errors[1:]:
            self._log.error(str(problem))

    def _log_reloaded(self, plan: ReloadPlan, loaded: Loaded) -> None:
        for problem in loaded.problems:
            self._log.warn(str(problem))
        lists = {
            word: ", ".join(names) or None
            for word, names in (
                ("added", plan.added),
                ("changed", plan.changed),
                ("adjusted", plan.adjusted),
                ("removed", plan.removed),
            )
        }
        self._log.info("Configuration reloaded", **lists, kept=len(plan.kept))
        self._events.emit(
            "config.changed",
            action="reload",
            added=lists["added"],
            changed=lists["changed"],
            adjusted=lists["adjusted"],
            removed=lists["removed"],
            needs_restart=", ".join(plan.needs_restart) or None,
        )
        if self._audit is not None:
            self._audit.reload("success", "", {**lists, "needs_restart": list(plan.needs_restart) or None})
        if plan.needs_restart:
            self._log.warn(
                "These keys take effect when the daemon is restarted", keys=", ".join(plan.needs_restart)
            )

    async def close(self) -> None:
        """Cancel the reloads that are queued or under way: the daemon ends."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _of_regular_file(source: ConfigSource) -> Loaded:
    if source.path is not None and os.path.exists(source.path) and not os.path.isfile(source.path):
        message = f"{source.path} is not a file that can be read again"
        problem = Problem(field="", message=message, recommendation="put a regular file there")
        raise ConfigError(str(problem), (problem,))
    return source.load()
