"""What all scheduled processes share: their timetable and the sender of their heartbeats.

Neither is made or imported where no process has a schedule.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from cbox_init.config.model import Config, HeartbeatConfig
    from cbox_init.config.settings import ProcessSettings
    from cbox_init.logs.process import ProcessLog
    from cbox_init.supervisor.managed import Host, Managed
    from cbox_init.supervisor.runtime import Runtime
    from cbox_init.supervisor.schedule.heartbeat import Heartbeat, HeartbeatSender
    from cbox_init.supervisor.schedule.kept_times import KeptTimes
    from cbox_init.supervisor.schedule.scheduled import ScheduledProcess
    from cbox_init.supervisor.schedule.timetable import Timetable

#: How much longer than its time limit the end of the heartbeats may take, in seconds.
_CLOSE_MARGIN_S: Final = 1.0


class Schedules:
    """Makes scheduled processes, and owns what they share."""

    def __init__(self, config: Config, *, runtime: Runtime, host: Host) -> None:
        self._config = config
        self._runtime = runtime
        self._host = host
        self._processes: set[Managed] = set()
        self._timetable: Timetable | None = None
        self._sender: HeartbeatSender | None = None
        self._kept: KeptTimes | None = None
        self._loop: AbstractEventLoop | None = None

    def make(self, name: str, settings: ProcessSettings, log: ProcessLog) -> ScheduledProcess:
        """Make a process with a schedule, which runs at its times once it is started."""
        from cbox_init.supervisor.schedule.scheduled import ScheduledProcess
        from cbox_init.supervisor.schedule.timetable import Timetable

        if self._timetable is None:
            self._timetable = Timetable(self._runtime)
            if self._loop is not None:
                self._timetable.attach(self._loop)
            self._kept = self._keep_times()
        scheduled = ScheduledProcess(
            name,
            settings,
            history_size=self._config.global_.schedule_history_size,
            runtime=self._runtime,
            log=log,
            host=self._host,
            timetable=self._timetable,
            kept=self._kept,
            heartbeat_of=partial(self._heartbeat, name),
        )
        self._processes.add(scheduled)
        return scheduled

    def reconfigure(self, config: Config) -> None:
        """Use this configuration for the next ones; those that exist get theirs by ``adopt``."""
        self._config = config

    def forget(self, process: Managed) -> None:
        """Drop a process that is no longer supervised; has no effect for one without a schedule."""
        self._processes.discard(process)

    def attach(self, loop: AbstractEventLoop) -> None:
        """Use the event loop from now on."""
        self._loop = loop
        if self._timetable is not None:
            self._timetable.attach(loop)

    async def detach(self, timeout_s: float) -> None:
        """Release the event loop; heartbeats that wait have ``timeout_s`` to be sent."""
        if self._timetable is not None:
            self._timetable.close()
        if self._kept is not None:
            with self._runtime.defects.contain("the times of schedules could not be kept"):
                await self._kept.close()
        if self._sender is not None:
            from cbox_init.threads import in_thread

            close = partial(self._sender.close, timeout_s)
            with suppress(OSError):  # no thread to wait in, or no answer: what is left is lost
                await in_thread(close, name="heartbeat-close", timeout_s=timeout_s + _CLOSE_MARGIN_S)

    def _keep_times(self) -> KeptTimes | None:
        folder = self._config.global_.state_dir
        if folder is None:
            return None
        from cbox_init.supervisor.schedule.kept_times import KeptTimes

        kept = KeptTimes(folder, self._runtime)
        if self._loop is None:  # at the start; a schedule that a reload adds has missed nothing
            with self._runtime.defects.contain("the kept times of schedules could not be read"):
                kept.load()
        return kept

    def _heartbeat(self, name: str, config: HeartbeatConfig | None) -> Heartbeat | None:
        if config is None or not config.enabled:
            return None
        from cbox_init.supervisor.schedule.heartbeat import Heartbeat, HeartbeatSender

        if self._sender is None:
            self._sender = HeartbeatSender(self._runtime.log, self._runtime.run_queue, self._runtime.counters)
        return Heartbeat(name, config, self._sender)
