"""The state that the messages of the live stream add up to, for programs that show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import asdict, replace

from cbox_init.api.schemas_live import LiveFigures, LiveProcesses

if TYPE_CHECKING:
    from cbox_init.api.schemas import DaemonEntry, InstanceEntry, ProcessEntry
    from cbox_init.client.stream import LiveRecord


_NOTHING = (0.0, 0, 0.0)


class LiveState:
    """Takes in the messages of a stream, also of several one after another.

        state = LiveState()
        with client.live() as messages:
            for message in messages:
                state.take(message)

    ``processes`` are the present ones by name, in their order, with the latest figures; ``daemon`` is None
    before the first message. ``time`` is that of the last message on the daemon's clock, in Unix seconds.
    """

    def __init__(self) -> None:
        self.processes: dict[str, ProcessEntry] = {}
        self.daemon: DaemonEntry | None = None
        self.daemon_cpu_percent: float | None = None
        self.time = 0.0

    def take(self, message: LiveRecord) -> None:
        """Take in the next message."""
        self.time = message.time
        if isinstance(message, LiveProcesses):
            self._change(message)
        elif isinstance(message, LiveFigures):
            self._measure(message)
        else:
            self.daemon = message.daemon
            self.processes = {entry.name: entry for entry in message.processes}

    def _change(self, message: LiveProcesses) -> None:
        for name in message.removed:
            self.processes.pop(name, None)
        for entry in message.processes:
            self.processes[entry.name] = entry
        if message.order:
            present = self.processes
            self.processes = {name: present[name] for name in message.order if name in present}

    def _measure(self, message: LiveFigures) -> None:
        self.daemon_cpu_percent = message.daemon.cpu_percent
        if self.daemon is not None:
            figures = asdict(message.daemon)
            del figures["cpu_percent"]
            self.daemon = replace(self.daemon, **figures)
        found = {id_: (cpu, memory, percent) for id_, cpu, memory, percent in message.instances}
        for name, entry in self.processes.items():
            self.processes[name] = _measured(entry, found)


def _measured(entry: ProcessEntry, found: dict[str, tuple[float, int, float]]) -> ProcessEntry:
    instances = tuple(_with_figures(one, *found.get(one.id, _NOTHING)) for one in entry.instances)
    return replace(
        entry,
        instances=instances,
        cpu_percent=round(sum(one.cpu_percent for one in instances), 2),
        memory_rss_bytes=sum(one.memory_rss_bytes for one in instances),
        memory_percent=round(sum(one.memory_percent for one in instances), 2),
    )


def _with_figures(one: InstanceEntry, cpu: float, memory: int, percent: float) -> InstanceEntry:
    return replace(one, cpu_percent=cpu, memory_rss_bytes=memory, memory_percent=percent)
