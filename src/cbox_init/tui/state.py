"""What the terminal screen knows of the daemon: processes, recent CPU, the connection. No I/O."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Literal, NamedTuple

from cbox_init.client import LiveFigures, LiveSnapshot, LiveState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cbox_init.client import DaemonEntry, LiveRecord, ProcessEntry, Whoami

HISTORY = 60
"""How many values a sparkline has at most."""

Connection = Literal["connecting", "live", "lost"]


class StateCounts(NamedTuple):
    """How many processes are in each state."""

    running: int
    busy: int
    failed: int
    stopped: int


class Permissions(NamedTuple):
    """Who the caller is and what it may do. Until that is known, it may only look."""

    role: str = ""
    name: str = ""

    @classmethod
    def of(cls, who: Whoami) -> Permissions:
        return cls(who.role, who.name)

    @property
    def may_act(self) -> bool:
        """Whether it may start, stop, restart and scale."""
        return self.role in ("operator", "admin")

    @property
    def may_configure(self) -> bool:
        """Whether it may see and change the configuration."""
        return self.role == "admin"


class ScreenState:
    """The last that is known. It stays when the connection is lost, so that the screen keeps its place."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.connection: Connection = "connecting"
        self.problem = ""
        self.caller = Permissions()
        self._clock = clock
        self._ahead_s: float | None = None
        self._live = LiveState()
        self._cpu: dict[str, deque[float]] = {}

    @property
    def processes(self) -> dict[str, ProcessEntry]:
        return self._live.processes

    @property
    def daemon(self) -> DaemonEntry | None:
        return self._live.daemon

    @property
    def daemon_cpu_percent(self) -> float | None:
        return self._live.daemon_cpu_percent

    def now(self) -> float:
        """The time on the clock of the daemon, which may differ from the one here."""
        return self._clock() + (self._ahead_s or 0.0)

    def take(self, message: LiveRecord) -> None:
        """Take in a message of the daemon; figures add one value to every sparkline."""
        self._live.take(message)
        self._ahead_s = message.time - self._clock()
        if isinstance(message, LiveFigures | LiveSnapshot):
            self._remember()

    def recent_cpu(self, name: str) -> Sequence[float]:
        """The last values of a process or an instance, oldest first."""
        return self._cpu.get(name, ())

    def counted(self) -> StateCounts:
        """How many processes are in each state."""
        states = [entry.state for entry in self.processes.values()]
        good = ("running", "completed", "scheduled")
        return StateCounts(
            sum(state in good for state in states),
            sum(state in ("starting", "stopping") for state in states),
            states.count("failed"),
            sum(state in ("stopped", "paused") for state in states),
        )

    def _remember(self) -> None:
        known: dict[str, deque[float]] = {}
        for entry in self.processes.values():
            for key, value in (
                (entry.name, entry.cpu_percent),
                *((one.id, one.cpu_percent) for one in entry.instances),
            ):
                values = known[key] = self._cpu.get(key) or deque(maxlen=HISTORY)
                values.append(value)
        self._cpu = known
