"""Makes processes from their settings, with or without a schedule: the one module that knows both kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbox_init.supervisor.process import LongrunProcess
from cbox_init.supervisor.schedule.schedules import Schedules

if TYPE_CHECKING:
    from cbox_init.config.model import Config
    from cbox_init.config.settings import ProcessSettings
    from cbox_init.logs.hub import LogHub
    from cbox_init.logs.process import ProcessLog
    from cbox_init.supervisor.managed import Host, Managed
    from cbox_init.supervisor.runtime import Runtime


class ProcessFactory:
    """Makes processes and opens their logs, for the supervisor. Owns ``schedules``, which they share."""

    def __init__(self, config: Config, *, logs: LogHub, runtime: Runtime, host: Host) -> None:
        self._logs = logs
        self._runtime = runtime
        self._host = host
        self.schedules = Schedules(config, runtime=runtime, host=host)

    def make(self, name: str, settings: ProcessSettings) -> Managed:
        """Make a process; nothing of it is started."""
        log = self.open_log(name, settings)
        if settings.process.schedule:
            return self.schedules.make(name, settings, log)
        return LongrunProcess(name, settings, runtime=self._runtime, log=log, host=self._host)

    def open_log(self, name: str, settings: ProcessSettings) -> ProcessLog:
        """Open the log of a process, or have an open one follow ``settings`` from now on."""
        process = settings.process
        return self._logs.open(
            name, process.logging, ring_size=settings.ring_size, user=process.user, group=process.group
        )

    def release(self, process: Managed) -> None:
        """Release the resources of a process that is no longer supervised; its log stays open."""
        process.release()
        self.schedules.forget(process)
        self._runtime.run_queue.forget(process)
