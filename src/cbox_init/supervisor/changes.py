"""Changes: every accepted command from its acceptance to its end, for the API and for whoever waits for it.

The module is imported for the first command. A change is about processes; each of them has a part in it, with
what the command wants of it (`core.changes`). A part is judged whenever its process has changed.
"""

from __future__ import annotations

import os
from collections import deque
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct
from msgspec.structs import replace

from cbox_init.acting import acting, present_actor
from cbox_init.config.model import ProcessType
from cbox_init.core.changes import Aim, ChangeStatus, Held, Standing, standing, step_of
from cbox_init.errors import Conflict, UnknownChange
from cbox_init.supervisor.instance.launch import instance_id
from cbox_init.supervisor.waiters import Waiters

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cbox_init.acting import Actor
    from cbox_init.config.rules import RolloutRules
    from cbox_init.config.settings import ProcessSettings
    from cbox_init.core.dependencies import Gate
    from cbox_init.core.reload_diff import ReloadPlan
    from cbox_init.core.rollout import Rolling
    from cbox_init.supervisor.managed import Managed
    from cbox_init.supervisor.runtime import Runtime
    from cbox_init.supervisor.table import ProcessTable

#: How many changes are kept that have ended.
MOST_KEPT: Final = 500

#: How many changes may be under way at once; further commands are refused.
MOST_DOING: Final = 2000

#: How many changes of one kind are followed for one process; the oldest is superseded by one more.
MOST_OF_A_KIND: Final = 20

#: How many instances are shown of a change, those that have failed first.
MOST_STEPS: Final = 100

#: Stands for every process, as a reload is about all.
ALL: Final = "*"

_DOING: Final = Standing(status=ChangeStatus.DOING)
#: When parts end differently: the first of these that one of them has is the status of the change.
_WORST_FIRST: Final = (ChangeStatus.FAILED, ChangeStatus.ABORTED, ChangeStatus.SUPERSEDED, ChangeStatus.DONE)


class InstanceStep(Struct, frozen=True, kw_only=True):
    """How far a change is with one instance. ``last_output`` is set if it has failed."""

    id: str
    process: str
    status: ChangeStatus
    state: str
    reason: str | None = None
    last_output: tuple[str, ...] = ()


class ChangePart:
    """What a change wants of one process. ``aim`` is None until the process got its command.

    ``number`` is that of the run that was triggered. ``relative``: it was scaled by a difference, so that
    further differences do not supersede it. ``settled`` is set when nothing changes for it any more.
    """

    __slots__ = ("aim", "number", "relative", "standing", "steps")

    def __init__(self) -> None:
        self.aim: Aim | None = None
        self.number: int | None = None
        self.relative = False
        self.standing = _DOING
        self.steps: tuple[InstanceStep, ...] = ()

    @property
    def over(self) -> bool:
        return self.standing.status is not ChangeStatus.DOING


class Change:
    """A command that was accepted, and what has become of it.

    ``why`` is the reason given with the command, ``reason`` why it has failed or goes on. ``version`` is
    raised by every step. ``exit_code`` is that of a run that was triggered. Times are Unix seconds.
    """

    __slots__ = (
        "_figures",
        "actor",
        "announced",
        "ended_unix",
        "exit_code",
        "id",
        "kind",
        "parts",
        "processes",
        "reason",
        "request_id",
        "started_unix",
        "status",
        "steps",
        "superseded_by",
        "told",
        "version",
        "why",
    )

    def __init__(
        self,
        identity: str,
        kind: str,
        processes: Sequence[str],
        *,
        actor: Actor,
        request_id: str,
        why: str,
        unix: float,
    ) -> None:
        self.id = identity
        self.kind = kind
        self.processes = tuple(processes)
        self.actor = actor
        self.request_id = request_id
        self.why = why
        self.started_unix = unix
        self.ended_unix: float | None = None
        self.status = ChangeStatus.DOING
        self.reason = ""
        self.superseded_by: str | None = None
        self.exit_code: int | None = None
        self.version = 0
        self.announced = False
        self.told = (0, 0)
        self.steps: tuple[InstanceStep, ...] = ()
        self.parts: dict[str, ChangePart] = {name: ChangePart() for name in processes if name != ALL}
        self._figures = (0, 0)

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.status is not ChangeStatus.DOING

    @property
    def process(self) -> str:
        """The name of its one process; ``*`` for all, and for several."""
        return self.processes[0] if len(self.processes) == 1 else ALL

    @property
    def figures(self) -> tuple[int, int]:
        """How many instances are as they should be, and of how many."""
        if self.parts:
            standings = [part.standing for part in self.parts.values()]
            return sum(one.done for one in standings), sum(one.total for one in standings)
        return self._figures

    def conclude(
        self, status: ChangeStatus, reason: str, steps: Iterable[InstanceStep], *, unix: float
    ) -> None:
        """Let it end. What is needed only while it goes on is dropped."""
        self._figures = self.figures
        self.parts = {}
        self.status = status
        self.reason = reason
        self.steps = tuple(steps)
        self.ended_unix = unix
        self.version += 1


class Changes:
    """The changes under way, and the last ones that have ended, of one run of the daemon."""

    def __init__(self, table: ProcessTable, runtime: Runtime) -> None:
        self._table = table
        self._runtime = runtime
        self._run = os.urandom(5).hex()
        self._numbers = count(1)
        self._last = 0
        self._changes: dict[str, Change] = {}
        self._doing: dict[str, dict[str, Change]] = {}
        self._ended: deque[str] = deque()
        self._current: Change | None = None
        self._waiting: Waiters[str, None] = Waiters()
        self._stepping: Waiters[str, None] = Waiters()

    # -- opening ---------------------------------------------------------------------------------------

    def open(self, kind: str, processes: Sequence[str], *, why: str = "") -> Change:
        """Begin a change of these processes (``ALL`` for a reload), asked for by who is acting now.

        Each process gets its part with ``aim`` or ``await_run``, or the whole is ended with ``end``. Raises
        Conflict when too many are under way.
        """
        change = self._open(kind, processes, why)
        self._announce(change)
        return change

    def _open(self, kind: str, processes: Sequence[str], why: str) -> Change:
        if len(self._changes) - len(self._ended) >= MOST_DOING:
            raise Conflict(f"cannot {kind}: {MOST_DOING} changes are under way; wait for some of them")
        for name in processes:
            self._limit(kind, name)
        request = acting.get()
        self._last = next(self._numbers)
        change = Change(
            f"{self._run}-{self._last}",
            kind,
            processes,
            actor=present_actor(),
            request_id=request.request_id if request is not None else "",
            why=why,
            unix=self._runtime.unix(),
        )
        self._changes[change.id] = change
        for name in change.parts:
            self._doing.setdefault(name, {})[change.id] = change
        return change

    def _announce(self, change: Change) -> None:
        if not change.announced:
            change.announced = True
            self._emit("change.started", change, change.why, actor=change.actor.id)

    @contextmanager
    def command(self, kind: str, name: str, change: Change | None, *, why: str) -> Iterator[Change]:
        """The change of a command that the block gives to a process: ``change``, or else a new one.

        A new one is dropped when the block raises. What the block supersedes is superseded by it.
        """
        own = change is None
        change = change or self._open(kind, (name,), why)
        before, self._current = self._current, change
        try:
            yield change
        except BaseException:
            if own:
                self._drop(change)
            raise
        else:
            self._announce(change)
        finally:
            self._current = before

    def aim(
        self,
        change: Change,
        name: str,
        *,
        run: bool | None = None,
        scale: int | None = None,
        generation: int | None = None,
        first: int = 0,
        relative: bool = False,
        index: int | None = None,
        since: float = 0.0,
    ) -> None:
        """Have the change wait for what its command wants of a process (`core.changes.Aim`)."""
        part = change.parts.get(name)
        if part is None:
            part = change.parts[name] = ChangePart()
            self._doing.setdefault(name, {})[change.id] = change
        part.aim = Aim(run=run, scale=scale, generation=generation, first=first, index=index, since=since)
        part.relative = relative
        self._announce(change)
        self._follow(self._table[name], change)

    def aim_as_configured(self, change: Change, plan: ReloadPlan) -> None:
        """Have the change wait until the processes that another configuration has changed are as it wants."""
        for name in (*plan.added, *plan.changed, *plan.adjusted, *plan.removed):
            if name in self._table and name not in change.parts:
                change.parts[name] = ChangePart()
                self._doing.setdefault(name, {})[change.id] = change
        replaced = frozenset(plan.changed)
        for name, part in tuple(change.parts.items()):
            if name not in self._table:
                self._settle(change, name, part, Standing(status=ChangeStatus.DONE))
                continue
            process = self._table[name]
            if self._table.is_leaving(name):
                self.aim(change, name, run=False)
            elif process.schedule is not None or not process.desired.run or not process.desired.scale:
                self._settle(change, name, part, Standing(status=ChangeStatus.DONE))
            elif name in plan.adjusted:
                scale = process.desired.scale
                self.aim(change, name, scale=scale, first=min(scale, len(process.instances)))
            else:
                generation = process.desired.generation if name in replaced else None
                self.aim(change, name, run=True, generation=generation)
        if not change.over and not change.parts:
            self.end(change, ChangeStatus.DONE, "nothing changed")

    def part_done(self, change: Change, name: str, count: int) -> None:
        """The command has had its effect on ``count`` instances of a process at once."""
        self._announce(change)
        standing = Standing(status=ChangeStatus.DONE, done=count, total=count)
        self._settle(change, name, change.parts[name], standing)

    def await_run(self, change: Change, name: str, number: int) -> None:
        """Have the change wait for the end of a run."""
        change.parts[name].number = number

    def rescale(self, name: str, before: int, after: int) -> None:
        """A scale by a difference goes on to the number that one more difference makes of it."""
        for change in self._doing.get(name, {}).values():
            part = change.parts[name]
            if part.relative and part.aim is not None and part.aim.scale == before:
                part.aim = replace(part.aim, scale=after, first=min(part.aim.first, after))

    # -- following -------------------------------------------------------------------------------------

    def follow(self, process: Managed) -> None:
        """Judge the changes of a process that has changed."""
        for change in tuple(self._doing.get(process.name, {}).values()):
            with self._runtime.defects.contain("a change could not be followed", process=process.name):
                self._follow(process, change)

    def _follow(self, process: Managed, change: Change) -> None:
        part = change.parts.get(process.name)
        if part is None or part.aim is None or part.over:
            return
        standing = process.standing(part.aim)
        if standing == part.standing:
            return
        if standing.status is not ChangeStatus.DOING:
            part.steps = _most_telling(_steps_of(process, part))
        if standing.status is ChangeStatus.SUPERSEDED and self._current not in (None, change):
            change.superseded_by = self._current.id if self._current else None
        self._settle(change, process.name, part, standing)

    def run_ended(self, name: str, number: int, *, exit_code: int, error: str | None) -> None:
        """A run of a schedule is over; ``error`` says why it was no success."""
        for change, part in self._of_run(name, number):
            change.exit_code = exit_code
            status = ChangeStatus.DONE if error is None else ChangeStatus.FAILED
            self._settle(
                change, name, part, Standing(status=status, reason=error or "", total=1, done=int(not error))
            )

    def run_dropped(self, name: str, number: int) -> None:
        """A run that was triggered does not begin any more."""
        for change, part in self._of_run(name, number):
            reason = "the process was stopped before its run began"
            self._settle(change, name, part, Standing(status=ChangeStatus.ABORTED, reason=reason))

    def _of_run(self, name: str, number: int) -> list[tuple[Change, ChangePart]]:
        changes = self._doing.get(name, {}).values()
        return [(one, part) for one in changes if (part := one.parts[name]).number == number]

    def process_gone(self, name: str) -> None:
        """A process was removed, and has ended: a stop of it is done, anything else does not happen."""
        for change in tuple(self._doing.get(name, {}).values()):
            part = change.parts[name]
            stopped = part.aim is not None and part.aim.run is False
            status = ChangeStatus.DONE if stopped else ChangeStatus.ABORTED
            reason = "" if stopped else "it was removed"
            self._settle(change, name, part, replace(part.standing, status=status, reason=reason))

    def _settle(self, change: Change, name: str, part: ChangePart, standing: Standing) -> None:
        """Note how a part is now; end the change with its last part."""
        part.standing = standing
        if standing.status is not ChangeStatus.DOING:
            self._leave(name, change)
            if all(one.over for one in change.parts.values()):
                self._conclude(change)
                return
        elif len(change.parts) == 1:
            change.reason = standing.reason
        self._step(change)

    def _conclude(self, change: Change) -> None:
        """End a change all of whose parts are over."""
        found = {part.standing.status for part in change.parts.values()}
        status = next(one for one in _WORST_FIRST if one in found)
        several = len(change.parts) > 1
        reasons = [
            f"{name}: {part.standing.reason}" if several else part.standing.reason
            for name, part in change.parts.items()
            if part.standing.status is status and part.standing.reason
        ]
        more = f"; and {len(reasons) - 5} more" if len(reasons) > 5 else ""
        self.end(change, status, "; ".join(reasons[:5]) + more)

    def done(self, change: Change) -> None:
        """End a change that is done with the command itself."""
        self.end(change, ChangeStatus.DONE)

    def end(
        self, change: Change, status: ChangeStatus, reason: str = "", *, exit_code: int | None = None
    ) -> None:
        """End a change, whatever its parts are."""
        if change.over:
            return
        self._announce(change)
        for name in change.parts:
            self._leave(name, change)
        if exit_code is not None:
            change.exit_code = exit_code
        change.conclude(status, reason, self.steps(change), unix=self._runtime.unix())
        self._ended.append(change.id)
        while len(self._ended) > MOST_KEPT:
            del self._changes[self._ended.popleft()]
        self._waiting.resolve(change.id, None)
        self._stepping.resolve(change.id, None)
        done, total = change.figures
        self._emit("change.ended", change, reason, status=str(status), done=done, total=total)

    def _step(self, change: Change) -> None:
        change.version += 1
        self._stepping.resolve(change.id, None)
        done, total = change.figures
        if change.told != (done, total):
            change.told = (done, total)
            self._emit("change.progress", change, change.reason, done=done, total=total)

    def _emit(self, kind: str, change: Change, reason: str, **data: Any) -> None:
        process = "" if change.process == ALL else change.process
        self._runtime.events.emit(
            kind, process, "", change=change.id, reason=reason, command=change.kind, **data
        )

    def abandon(self, change: Change) -> None:
        """Replace no more instances in its rollout; those that are left stay. Raises Conflict."""
        what = f"cannot abandon {change.id}"
        if change.over:
            raise Conflict(f"{what}: it has ended ({change.status})")
        rolling = [
            name
            for name, part in change.parts.items()
            if not part.over and part.aim is not None and part.aim.run and part.aim.generation is not None
        ]
        if not rolling:
            raise Conflict(f"{what}: it is a {change.kind}, and only a rollout can be abandoned")
        for name in rolling:  # else it would be done at once: the old instances count as new ones now
            self._leave(name, change)
        left = [name for name in rolling if name in self._table and self._table[name].abandon_rollout()]
        if not left:
            for name in rolling:
                self._doing.setdefault(name, {})[change.id] = change
            raise Conflict(f"{what}: no old instance is left")
        self._runtime.log.info("Rollout abandoned", process=", ".join(left), change=change.id)
        self.end(change, ChangeStatus.ABORTED, f"abandoned by {present_actor().id}")

    def abort_all(self, reason: str, *, but: frozenset[str] = frozenset()) -> None:
        """End every change as aborted, apart from those of the kinds ``but``."""
        for change in tuple(self._changes.values()):
            if not change.over and change.kind not in but:
                self.end(change, ChangeStatus.ABORTED, reason)

    # -- queries ---------------------------------------------------------------------------------------

    def __getitem__(self, identity: str) -> Change:
        """The change of this id. Raises UnknownChange."""
        if (change := self._changes.get(identity)) is not None:
            return change
        run, _, number = identity.partition("-")
        if run == self._run and number.isascii() and number.isdigit() and 0 < int(number[:20]) <= self._last:
            raise UnknownChange(f"change {identity} is no longer kept: the last {MOST_KEPT} are")
        if len(run) == len(self._run) and number.isascii() and number.isdigit():
            raise UnknownChange(
                f"change {identity} is of another run of the daemon; changes are kept until it ends"
            )
        raise UnknownChange(f"there is no change {identity[:80]!r}")

    def latest(self) -> Iterator[Change]:
        """Iterates over the changes, newest first."""
        return reversed(tuple(self._changes.values()))

    def steps(self, change: Change) -> tuple[InstanceStep, ...]:
        """How far a change is with its instances: `MOST_STEPS` of them, those that have failed first."""
        if not change.parts:
            return change.steps
        found: list[InstanceStep] = []
        for name, part in change.parts.items():
            if part.over or name not in self._table:
                found += part.steps
            else:
                found += _steps_of(self._table[name], part)
        return _most_telling(found)

    # -- waiting ---------------------------------------------------------------------------------------

    async def ended(self, change: Change) -> None:
        """Wait for its end."""
        if not change.over:
            await self._waiting.wait(change.id)

    async def stepped(self, change: Change, version: int) -> None:
        """Wait until it has gone on since ``version``, or has ended."""
        if not change.over and change.version == version:
            await self._stepping.wait(change.id)

    # -- internals -------------------------------------------------------------------------------------

    def _limit(self, kind: str, name: str) -> None:
        """Let the oldest change of a kind be superseded when a process has too many of them."""
        same = [
            one
            for one in self._doing.get(name, {}).values()
            if one.kind == kind and len(one.parts) == 1 and one.parts[name].number is None
        ]
        if len(same) >= MOST_OF_A_KIND:
            reason = f"{MOST_OF_A_KIND} later commands of this kind were given"
            self.end(same[0], ChangeStatus.SUPERSEDED, reason)

    def _drop(self, change: Change) -> None:
        """Forget a change whose command was refused."""
        for name in change.parts:
            self._leave(name, change)
        self._changes.pop(change.id, None)

    def _leave(self, name: str, change: Change) -> None:
        doing = self._doing.get(name)
        if doing is not None:
            doing.pop(change.id, None)
            if not doing:
                del self._doing[name]


def standing_of(
    process: Managed, aim: Aim, gate: Gate | None, rolling: Rolling[ProcessSettings], rules: RolloutRules
) -> Standing:
    """How far a command is that wanted ``aim`` of a process; ``gate`` is given while it is closed."""
    expired = gate is not None and gate.expired
    held = Held(
        waiting="" if gate is None else (gate.reason or "" if expired else ", ".join(gate.waiting_for)),
        expired=expired,
        rollout=rolling.shown,
        went_back=rolling.went_back,
        rolls_back=rules.rollback,
    )
    found = standing(aim, process.desired, process.instances, held, oneshot=_is_oneshot(process))
    if found.index is None:
        return found
    return replace(found, reason=f"{instance_id(process.name, found.index)}: {found.reason}")


def _steps_of(process: Managed, part: ChangePart) -> Iterator[InstanceStep]:
    """How far a change is with each instance that it concerns; not with runs, which are not its own."""
    if part.aim is None or process.schedule is not None:
        return
    observed = {instance.index: instance for instance in process.instances}
    oneshot = _is_oneshot(process)
    for status in process.status().instances:
        instance = observed.get(status.index)
        step = None if instance is None else step_of(part.aim, process.desired, instance, oneshot=oneshot)
        if step is not None:
            yield InstanceStep(
                id=status.id,
                process=process.name,
                status=step,
                state=status.state,
                reason=status.reason,
                last_output=status.last_output if step is ChangeStatus.FAILED else (),
            )


def _most_telling(steps: Iterable[InstanceStep]) -> tuple[InstanceStep, ...]:
    """`MOST_STEPS` of these, those that have failed first."""
    return tuple(sorted(steps, key=lambda step: step.status is not ChangeStatus.FAILED)[:MOST_STEPS])


def _is_oneshot(process: Managed) -> bool:
    return process.config.type is ProcessType.ONESHOT
