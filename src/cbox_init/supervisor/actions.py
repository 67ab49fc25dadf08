"""Commands to single instances, signals, and commands to several processes in the order of dependencies.

The module is imported for the first of them.
"""

from __future__ import annotations

import time
from asyncio import sleep
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

from cbox_init.config.rules import signal_name
from cbox_init.core.changes import ChangeStatus
from cbox_init.core.dependencies import order_up
from cbox_init.errors import CboxError, Conflict, UnknownInstance

if TYPE_CHECKING:
    from asyncio import Task
    from collections.abc import Callable, Iterable, Sequence

    from cbox_init.supervisor.changes import Change, Changes
    from cbox_init.supervisor.managed import Managed
    from cbox_init.supervisor.runtime import Runtime
    from cbox_init.supervisor.table import ProcessTable


#: How long commands to several processes may be given in one turn of the event loop, in seconds.
_SLICE_S: Final = 0.004


class Acceptor(Protocol):
    """What is needed of the supervisor: it accepts commands, and has their changes."""

    @property
    def changes(self) -> Changes: ...

    def check_command(self, name: str, command: str) -> Managed:
        """The process that could carry out ``command`` now. Raises UnknownProcess and Conflict."""

    def accept_command(self, name: str, command: str, **what: str) -> Managed:
        """The process that is to carry out ``command``. Raises UnknownProcess and Conflict."""


class Actions:
    """Carries out the commands; each returns its change at once, or raises UnknownProcess or Conflict."""

    def __init__(self, supervisor: Acceptor, table: ProcessTable, runtime: Runtime) -> None:
        self._supervisor = supervisor
        self._table = table
        self._runtime = runtime
        self._tasks: set[Task[None]] = set()

    # -- signals ---------------------------------------------------------------------------------------

    def signal(
        self, name: str, signum: int, *, group: bool, change: Change | None = None, why: str = ""
    ) -> Change:
        """Send a signal to the main processes of all instances that run, or to their process groups."""
        process = self._supervisor.accept_command(name, "signal", signal=signal_name(signum))
        return self._send(process, signum, group=group, index=None, change=change, why=why)

    def signal_instance(self, identity: str, signum: int, *, group: bool, why: str = "") -> Change:
        """Send a signal to one instance. Raises UnknownInstance."""
        name, index = self.find(identity)
        process = self._supervisor.accept_command(
            name, "signal", instance_id=identity, signal=signal_name(signum)
        )
        return self._send(process, signum, group=group, index=index, change=None, why=why)

    def _send(
        self,
        process: Managed,
        signum: int,
        *,
        group: bool,
        index: int | None,
        change: Change | None,
        why: str,
    ) -> Change:
        sent = _sent(process, signum, group=group, index=index)
        changes = self._supervisor.changes
        with changes.command("signal", process.name, change, why=why or signal_name(signum)) as change:
            changes.part_done(change, process.name, sent)
        return change

    def check_signal(self, name: str, *, group: bool) -> None:
        """Raise what ``signal`` would raise now."""
        _sent(self._supervisor.check_command(name, "signal"), 0, group=group, index=None)

    # -- one instance ----------------------------------------------------------------------------------

    def stop_instance(self, identity: str, *, why: str = "") -> Change:
        """Stop one instance; it stays down until it, or its process, is started or restarted."""
        return self._to_instance("stop", identity, why)

    def restart_instance(self, identity: str, *, why: str = "") -> Change:
        """Replace one instance, or start it again where it is down."""
        return self._to_instance("restart", identity, why)

    def _to_instance(self, command: str, identity: str, why: str) -> Change:
        name, index = self.find(identity)
        process = self._table[name]
        if process.schedule is not None:
            raise Conflict(
                f"cannot {command} {identity}: it is a run of a schedule; {command} {process.name}"
            )
        if not process.desired.run:
            raise Conflict(f"cannot {command} {identity}: {process.name} is stopped; start {process.name}")
        if index >= process.desired.scale:
            raise Conflict(
                f"cannot {command} {identity}: it is there for the time of a rollout, or scaled away"
            )
        self._supervisor.accept_command(process.name, command, instance_id=identity)
        changes, now = self._supervisor.changes, self._runtime.now()
        with changes.command(command, process.name, None, why=why or identity) as change:
            if command == "stop":
                process.stop_instance(index)
            else:
                process.restart_instance(index)
            changes.aim(change, process.name, run=command != "stop", index=index, since=now)
        return change

    def find(self, identity: str) -> tuple[str, int]:
        """The process and the number of the instance, or run, of an id.

        Raises UnknownInstance, and Conflict where two have it: a run of ``a``, an instance of ``a-run``.
        """
        found = [
            (process.name, instance.index)
            for process in self._table
            if identity.startswith(f"{process.name}-")
            for instance in process.status().instances
            if instance.id == identity
        ]
        if len(found) > 1:
            raise Conflict(f"{identity} is an instance of {found[0][0]} and one of {found[1][0]}")
        if not found:
            raise UnknownInstance(identity)
        return found[0]

    # -- several processes -----------------------------------------------------------------------------

    def begin(
        self,
        action: str,
        names: Sequence[str],
        command: Callable[[str, Change], object],
        *,
        check: Callable[[str], object] | None = None,
        why: str = "",
    ) -> Change:
        """Give a command to several processes, as one change in the order of dependencies.

        ``command`` gives it to one of them. A stop begins with those on which no other depends; any other
        command begins with those that depend on none, and ends when it fails for one. Those of the next rank
        get it when it has had its effect on those of the rank before. ``check`` raises where one of them
        cannot take it: nothing is done then. When the command raises nevertheless, the change has failed.
        """
        supervisor = self._supervisor
        for name in names:
            supervisor.check_command(name, action)
            if check is not None:
                check(name)
        ranks = self._ranks(names, reverse=action == "stop")
        change = supervisor.changes.open(action, tuple(names), why=why)
        until = time.monotonic() + _SLICE_S
        left = deque(ranks[0])
        try:
            while left and time.monotonic() < until:
                command(left.popleft(), change)
        except CboxError as error:
            supervisor.changes.end(change, ChangeStatus.FAILED, str(error))
            return change
        except BaseException as error:
            supervisor.changes.end(change, ChangeStatus.FAILED, str(error))
            raise
        loop = self._runtime.run_queue.loop
        if (left or len(ranks) > 1) and loop is not None:
            task = loop.create_task(self._go_on(change, ranks, left, command, stops=action == "stop"))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return change

    def _ranks(self, names: Sequence[str], *, reverse: bool) -> list[list[str]]:
        """The processes in ranks: one that depends on another, also by way of others, comes after it."""
        depends_on = {process.name: process.config.depends_on for process in self._table}
        known = {name: [one for one in deps if one in depends_on] for name, deps in depends_on.items()}
        ranks = [[name for name in rank if name in names] for rank in order_up(known)]
        ranks = [rank for rank in ranks if rank]
        return ranks[::-1] if reverse else ranks

    async def _go_on(
        self,
        change: Change,
        ranks: Sequence[Sequence[str]],
        left: Iterable[str],
        command: Callable[[str, Change], object],
        *,
        stops: bool,
    ) -> None:
        """Give the command to those ``left`` of the first rank, then to one rank after another."""
        changes = self._supervisor.changes
        try:
            await self._command(change, left, command)
            for number, rank in enumerate(ranks[:-1]):
                await self._until_over(change, rank)
                if change.over:
                    return
                bad = [name for name in rank if change.parts[name].standing.status is not ChangeStatus.DONE]
                if bad and not stops:
                    standing = change.parts[bad[0]].standing
                    rest = sum(len(one) for one in ranks[number + 1 :])
                    changes.end(
                        change,
                        standing.status,
                        f"{bad[0]}: {standing.reason or standing.status}; "
                        f"{rest} that come after it are left as they were",
                    )
                    return
                await self._command(change, ranks[number + 1], command)
        except CboxError as error:
            changes.end(change, ChangeStatus.FAILED, str(error))
        except Exception as error:  # noqa: BLE001  # it concerns this change alone
            self._runtime.defects.report("an action could not go on", error, change=change.id)
            changes.end(change, ChangeStatus.FAILED, f"unexpected: {error!r}")

    async def _command(
        self, change: Change, names: Iterable[str], command: Callable[[str, Change], object]
    ) -> None:
        """Give the command to these, in slices of time."""
        until = time.monotonic() + _SLICE_S
        for name in names:
            if change.over:
                return
            if name in self._table:
                command(name, change)
            else:
                self._supervisor.changes.process_gone(name)
            if time.monotonic() >= until:
                await sleep(0)
                until = time.monotonic() + _SLICE_S

    async def _until_over(self, change: Change, names: Sequence[str]) -> None:
        changes = self._supervisor.changes
        while not change.over and not all(change.parts[name].over for name in names):
            await changes.stepped(change, change.version)


def _sent(process: Managed, signum: int, *, group: bool, index: int | None) -> int:
    """Send a signal (0: none, it is only seen whether one could be sent); gives how many instances got it.

    Raises Conflict when none runs, or we are not permitted to.
    """
    sent = process.send_signal(signum, group=group, index=index)
    if not sent:
        what = "its process group" if group else "it"
        raise Conflict(f"cannot signal {process.name}: {what} does not run")
    refused = [identity for identity, reached in sent if not reached]
    if refused:
        raise Conflict(
            f"cannot signal {', '.join(refused[:5])}: not permitted; "
            "run the daemon as root, or as the user of the process"
        )
    return len(sent)
