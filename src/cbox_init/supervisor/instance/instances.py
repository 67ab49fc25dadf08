"""The instances of one process: carries out the actions of ``decide`` by the slots of the instances."""

from __future__ import annotations

from collections.abc import Mapping, ValuesView
from typing import TYPE_CHECKING

from cbox_init.core.decide import (
    Action,
    CancelRestart,
    Expire,
    Forget,
    Kill,
    NoteOverdue,
    Signal,
    Spawn,
    Stop,
    Terminate,
)
from cbox_init.core.instance import replaced_with
from cbox_init.supervisor.instance.slot import InstanceSlot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cbox_init.config.settings import ProcessSettings
    from cbox_init.core.health import CheckResult
    from cbox_init.core.instance import Instance
    from cbox_init.core.notify import NotifyMessage
    from cbox_init.core.restart import Cause, Trigger
    from cbox_init.core.states import Revision
    from cbox_init.supervisor.instance.context import InstanceContext
    from cbox_init.supervisor.instance.launch import Launch
    from cbox_init.supervisor.instance.live import LiveTree
    from cbox_init.supervisor.instance.memory_watch import MemoryWatch


class Instances:
    """Owns the slots of a process's instances, by index. ``context`` is what they share."""

    def __init__(self, context: InstanceContext) -> None:
        self._context = context
        self._slots: dict[int, InstanceSlot] = {}
        self._living: dict[int, InstanceSlot] = {}
        self._past_restarts: dict[Cause, int] = {}
        self._memory: MemoryWatch | None = None
        self._watch_memory(context.settings)
        self.observed: Mapping[int, Instance] = _Observed(self._slots)
        """Every instance by its index."""

    @property
    def last_output(self) -> Mapping[int, tuple[str, ...]]:
        """The last lines of each instance that has failed, by its index."""
        return {index: slot.record.last_output for index, slot in self._slots.items()}

    @property
    def past_restarts(self) -> Mapping[Cause, int]:
        """The restarts, by their causes, of instances that are gone."""
        return self._past_restarts

    @property
    def names_alive(self) -> tuple[str, ...]:
        """The ids of the instances that may have running processes."""
        return tuple(tree.id for tree in self.trees())

    @property
    def killed(self) -> frozenset[str]:
        """The ids of the instances that had to be killed since ``begin_kill_record``."""
        return frozenset(self._context.killed or ())

    def begin_kill_record(self) -> None:
        """Record from now on which instances have to be killed."""
        self._context.killed = set()

    @property
    def alive(self) -> bool:
        """Whether a process of them may be running."""
        return bool(self._living)

    @property
    def clearing(self) -> bool:
        """Whether the main process of an instance has ended, and other processes of it may be left."""
        return bool(self._context.clearing)

    def trees(self) -> list[LiveTree]:
        """The process trees that run, one for each instance."""
        return [slot.tree for slot in self._living.values() if slot.tree is not None]

    def set_trigger(self, trigger: Trigger) -> None:
        """Record executions of a oneshot as started by ``trigger`` from now on."""
        self._context.trigger = trigger

    def adopt(self, settings: ProcessSettings, *, launch: Launch | None, rechecks: bool = False) -> None:
        """Use another configuration from the next spawn on, and its stop rules at once.

        With another ``launch`` the instances that run are to be replaced: they are stopped by the rules that
        they were started under. So is any whose stop has begun. With ``rechecks`` the health check has
        changed, and the health of instances that run starts over.
        """
        before = self._context.stop_plan
        self._context.adopt(settings, launch)
        self._watch_memory(settings)
        if launch is None:
            for slot in self._living.values():
                slot.adopt_plan(before, rechecks=rechecks)

    def do(self, action: Action, revision: Revision) -> None:
        """Carry out one action of ``decide``."""
        match action:
            case Spawn(index, surge):
                self._spawn(index, revision, surge=surge)
            case Stop(index):
                self._slots[index].stop()
            case Terminate(index):
                self._slots[index].terminate(revision)
            case Expire(index):
                self._slots[index].expire(revision)
            case NoteOverdue(index):
                self._slots[index].note_overdue()
            case Signal(index):
                self._slots[index].signal()
            case Kill(index):
                self._slots[index].kill()
            case CancelRestart(index):
                self._slots[index].cancel_restart()
            case Forget(index):
                self._forget(index)

    def kill_all(self) -> None:
        """Kill all instances without a grace period; no hook starts any more."""
        self._context.cut_short = True
        for slot in self._living.values():
            slot.kill_now()

    def clear(self, revision: Revision) -> bool:
        """End or finish the instances whose main process has ended; whether there were any."""
        ended = tuple(self._context.clearing)
        for index in ended:
            slot = self._slots[index]
            slot.clear(revision)
            if slot.tree is None:
                self._context.clearing.discard(index)
                del self._living[index]
        return bool(ended)

    def hold(self, index: int, revision: Revision) -> None:
        """Stop one alone."""
        self._slots[index].hold(revision)

    def restart(self, index: int) -> None:
        """Replace one alone."""
        self._slots[index].restart()

    def send(self, signum: int, *, group: bool, index: int | None = None) -> list[tuple[str, bool]]:
        """Send a signal to those that run, or to one of them; gives each by its id, and whether it got it."""
        found = []
        for slot in tuple(self._living.values()):
            if slot.tree is None or index not in (None, slot.state.index):
                continue
            sent = slot.send(signum, group=group)
            if sent is not None:
                found.append((slot.tree.id, sent))
        return found

    def count_as(self, stable: int, generation: int) -> None:
        """Treat those of ``stable`` that run as instances of ``generation`` (see `core.rollout.Back`)."""
        for slot in self._slots.values():
            if slot.state.generation == stable:
                slot.count_as(generation)

    def note_replacement(self, reason: str) -> None:
        """Record why all of them are about to be restarted, where no command asked for that."""
        for slot in self._slots.values():
            slot.record.state = replaced_with(slot.record.state, reason)

    def checked(self, index: int, pid: int, result: CheckResult) -> bool:
        """Take in the result of a health check of the run ``pid``; whether more than figures changes."""
        slot = self._slots.get(index)
        return slot is not None and slot.checked(pid, result)

    def notified(self, index: int, pid: int, message: NotifyMessage) -> bool:
        """Take in a notification from the run ``pid``; whether more than figures changes."""
        slot = self._slots.get(index)
        return slot is not None and slot.notified(pid, message)

    def release(self) -> None:
        """Call the owner no more. It is freed at once then, without a collection of garbage."""
        self._context.detach()
        if self._memory is not None:
            self._memory.close()
            self._memory = None

    # -- internals -------------------------------------------------------------------------------------

    def _spawn(self, index: int, revision: Revision, *, surge: bool) -> None:
        slot = self._slots.get(index)
        if slot is None:
            slot = self._slots[index] = InstanceSlot(self._context, index, surge=surge)
        if slot.spawn(revision):
            self._living[index] = slot
            if self._memory is not None:
                self._memory.begun()

    def _forget(self, index: int) -> None:
        for cause, count in self._slots.pop(index).state.restart_causes.items():
            self._past_restarts[cause] = self._past_restarts.get(cause, 0) + count

    def _watch_memory(self, settings: ProcessSettings) -> None:
        limit_mb = settings.process.max_memory_mb
        if self._memory is not None:
            self._memory.change(limit_mb)
        elif limit_mb:
            from cbox_init.supervisor.instance.memory_watch import MemoryWatch

            self._memory = MemoryWatch(
                limit_mb, trees=self.trees, runtime=self._context.runtime, on_measured=self._measured
            )

    def _measured(self, index: int, pid: int, excess: str | None) -> None:
        self._slots[index].measured(pid, excess)


class _Observed(Mapping[int, "Instance"]):
    """The state of the instance in each slot: a view, so that the slot alone owns the state."""

    __slots__ = ("_slots",)

    def __init__(self, slots: Mapping[int, InstanceSlot]) -> None:
        self._slots = slots

    def __getitem__(self, index: int) -> Instance:
        return self._slots[index].record.state

    def __iter__(self) -> Iterator[int]:
        return iter(self._slots)

    def __len__(self) -> int:
        return len(self._slots)

    def __contains__(self, index: object) -> bool:
        return index in self._slots

    def values(self) -> ValuesView[Instance]:
        return _States(self)

    def states(self) -> Iterator[Instance]:
        return (slot.record.state for slot in self._slots.values())


class _States(ValuesView["Instance"]):
    """The values without lookups: a decision goes through all of them, and lookups would double its time."""

    _mapping: _Observed

    def __iter__(self) -> Iterator[Instance]:
        return self._mapping.states()
