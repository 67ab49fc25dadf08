"""The base of processes with and without a schedule: has instances, carries out decisions about them."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from cbox_init.core.decide import Decision, Spawn
from cbox_init.core.states import State

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from cbox_init.config.model import ProcessConfig
    from cbox_init.config.settings import ProcessSettings
    from cbox_init.core.decide import Action
    from cbox_init.core.instance import Instance
    from cbox_init.core.states import Desired
    from cbox_init.logs.process import ProcessLog
    from cbox_init.supervisor.instance.instances import Instances
    from cbox_init.supervisor.instance.live import LiveTree
    from cbox_init.supervisor.managed import Host
    from cbox_init.supervisor.runtime import Runtime
    from cbox_init.supervisor.status import ProcessStatus


class ProcessBase(ABC):
    """The common part of `LongrunProcess` and `ScheduledProcess`.

    Commands change ``desired`` and wake the run queue; ``reconcile`` compares it with the instances, acts,
    and returns when it is to be called next. Nothing else starts or signals an instance.
    """

    _instances: Instances

    def __init__(
        self,
        name: str,
        settings: ProcessSettings,
        desired: Desired,
        *,
        runtime: Runtime,
        log: ProcessLog,
        host: Host,
    ) -> None:
        self.name = name
        self.desired = desired
        self.held_back = False
        """Whether it starts nothing until its output flows again."""
        self._settings = settings
        self._runtime = runtime
        self._log = log
        self._host = host
        self._decision = Decision(())
        self._status: ProcessStatus | None = None
        self._state = State.STOPPED
        self._supervised_at = runtime.now()

    # -- queries ---------------------------------------------------------------------------------------

    @property
    def settings(self) -> ProcessSettings:
        """Its configuration, and the rules made from that and ``global``."""
        return self._settings

    @property
    def config(self) -> ProcessConfig:
        """The configuration that it uses."""
        return self._settings.process

    @property
    def instances(self) -> Collection[Instance]:
        """All its instances."""
        return self._instances.observed.values()

    @property
    def clearing(self) -> bool:
        """Whether the main process of an instance has ended, and other processes of it may be left."""
        return self._instances.clearing

    @property
    def trees(self) -> Sequence[LiveTree]:
        """The process trees of its instances that run."""
        return self._instances.trees()

    @property
    def names_alive(self) -> tuple[str, ...]:
        """The ids of its instances that may have running processes."""
        return self._instances.names_alive

    @property
    def names_killed(self) -> tuple[str, ...]:
        """The ids of its instances that had to be killed since ``begin_kill_record``."""
        return tuple(sorted(self._instances.killed))

    def begin_kill_record(self) -> None:
        """Record from now on which instances have to be killed."""
        self._instances.begin_kill_record()

    def status(self) -> ProcessStatus:
        """Its present status; the same object until something changes."""
        if self._status is None:
            self._status = self._describe()
        return self._status

    def send_signal(self, signum: int, *, group: bool, index: int | None = None) -> list[tuple[str, bool]]:
        """Send a signal to its instances that run, or to one; gives each, and whether it could be sent."""
        return self._instances.send(signum, group=group, index=index)

    # -- carrying out ----------------------------------------------------------------------------------

    @abstractmethod
    def reconcile(self, stop_at: float) -> float | None:
        """Bring the instances to the desired state, or until the slice is over (see `run_queue`)."""

    @abstractmethod
    def _describe(self) -> ProcessStatus: ...

    @abstractmethod
    def _present_state(self) -> State:
        """Its state as its status shows it."""

    @abstractmethod
    def _decide(self, *, may_spawn: bool) -> list[Action]:
        """The actions that bring the instances closer to the desired state."""

    @property
    def _may_spawn(self) -> bool:
        """Whether an instance may start, apart from output that is backed up."""
        return True

    def _do(self, action: Action) -> None:
        self._instances.do(action, self.desired.revision)

    def _act(self, stop_at: float) -> tuple[bool, float | None]:
        """Decide and act until nothing is left to do, or the slice is over.

        Returns whether anything was done, and the monotonic time of the next call: 0 for the next turn.
        """
        changed = False
        while True:
            acted, wait = self._carry_out(stop_at)
            changed |= acted
            if not acted:
                return changed, wait
            if time.monotonic() >= stop_at:
                return changed, 0.0

    def _carry_out(self, stop_at: float) -> tuple[bool, float | None]:
        """Carry out one decision; returns as ``_act``.

        Actions left when the slice is over are carried out by the next call. That decides again only if
        something has happened: a decision over thousands of instances takes much of a slice.
        """
        acted = False
        self.held_back = self._log.backed_up
        may_spawn = self._may_spawn and not self.held_back
        if not self._decision.holds(may_spawn=may_spawn, now=self._runtime.now()):
            self._decision = Decision(self._decide(may_spawn=may_spawn), may_spawn=may_spawn)
        for action in self._decision:
            self._do(action)
            acted = True
            if isinstance(action, Spawn) and not self._instances.observed[action.index].alive:
                self._decision.drop()  # it could not be started: decide again
            if time.monotonic() >= stop_at:
                return acted, None
        return acted, self._decision.until

    def _wake(self) -> None:
        self._decision.drop()
        self._runtime.run_queue.wake(self)

    def _changed(self) -> None:
        self._status = None
        before, self._state = self._state, self._present_state()
        if self._state is not before:
            self._runtime.events.emit(
                "process.state", self.name, before=before.value, state=self._state.value
            )
        self._host.changed(self.name)

    def _changed_and_wake(self) -> None:
        self._changed()
        self._wake()
