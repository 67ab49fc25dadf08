"""Computes whether the container as a whole is ready, and writes the readiness file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from cbox_init.config.model import ProcessType, ReadinessMode
from cbox_init.core.states import State
from cbox_init.supervisor.lifecycle.readiness_file import ReadinessFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cbox_init.config.model import ProcessConfig, ReadinessConfig
    from cbox_init.supervisor.managed import Managed
    from cbox_init.supervisor.runtime import Runtime
    from cbox_init.supervisor.status import ProcessStatus


#: How long the file of an earlier daemon delays the start, in seconds, and how long the event loop waits for
#: the removal when the shutdown begins. An ordinary file system answers in less.
_START_WAITS_S: Final = 1.0
_SHUTDOWN_WAITS_S: Final = 0.02

_HEALTHY: Final = "healthy"


class Entry(Struct, frozen=True):
    """One process in the report. ``health`` is "healthy" when the process is ready."""

    name: str
    state: State
    health: str


class Report(Struct, frozen=True):
    """The body of ``/readyz``."""

    ready: bool
    processes: tuple[Entry, ...]


class Readiness:
    """Keeps the readiness of the container, and its file, up to date; called when a process has changed.

    After ``withdraw`` the container is not ready any more; ``on_withdrawn`` is called when the file is gone
    that could not be removed at once.
    """

    def __init__(
        self,
        settings: ReadinessConfig,
        processes: Iterable[Managed],
        *,
        runtime: Runtime,
        on_withdrawn: Callable[[], object],
    ) -> None:
        self._settings = settings
        self._runtime = runtime
        self._withdrawn = False
        self._shown = False
        self._on_withdrawn = on_withdrawn
        self._file: ReadinessFile | None = None
        if settings.path:
            self._file = ReadinessFile(
                settings.path, settings.content, runtime=runtime, on_settled=self._file_settled
            )
            self._file.keep(ready=False)
            self._file.wait(_START_WAITS_S)
        self.recount(processes)

    def recount(self, processes: Iterable[Managed]) -> None:
        """Count these processes from now on; called when the configuration has changed."""
        self._counted = dict.fromkeys(_counted(self._settings, processes))
        self._changed = dict(self._counted)
        self._unready: set[Managed] = set()
        self._runtime.run_queue.wake(self)

    def note(self, process: Managed) -> None:
        """A process has changed: evaluate it again."""
        if process in self._counted:
            self._changed[process] = None
            self._runtime.run_queue.wake(self)

    @property
    def ready(self) -> bool:
        """Whether every counted process is ready, and the shutdown has not begun."""
        for process in self._changed:
            if self._is_ready(process):
                self._unready.discard(process)
            else:
                self._unready.add(process)
        self._changed.clear()
        return not self._withdrawn and not self._unready

    def report(self) -> Report:
        """The body of ``/readyz``."""
        return Report(self.ready, tuple(_entry(one) for one in self._counted))

    def withdraw(self) -> None:
        """The shutdown begins: the container is not ready from now on."""
        self._withdrawn = True
        self.reconcile(0.0)
        if self._file is not None:
            self._file.wait(_SHUTDOWN_WAITS_S)

    @property
    def file_settled(self) -> bool:
        """Whether the file is as it should be, or could not be made so; else it is waited for."""
        return self._file is None or self._file.settled

    def reconcile(self, stop_at: float) -> float | None:
        """Have the file written or removed if the readiness has changed, or if that failed before."""
        ready = self.ready
        if ready != self._shown:
            self._shown = ready
            self._runtime.log.info("Container is ready" if ready else "Container is not ready")
            kind = "daemon.ready" if ready else "daemon.not_ready"
            self._runtime.events.emit(kind, shutting_down=self._withdrawn or None)
        return None if self._file is None else self._file.keep(ready=ready)

    def _file_settled(self) -> None:
        self._runtime.run_queue.wake(self)
        if self._withdrawn:
            self._on_withdrawn()

    def _is_ready(self, process: Managed) -> bool:
        if self._settings.mode is ReadinessMode.ALL_HEALTHY:
            return process.ready
        return runs(process.status())


def _counted(settings: ReadinessConfig, processes: Iterable[Managed]) -> Iterable[Managed]:
    return (
        process
        for process in processes
        if (process.name in settings.processes if settings.processes else counts(process.config))
    )


def report_of(processes: Iterable[Managed], *, shutting_down: bool) -> Report:
    """The readiness where the configuration has none enabled: of the processes that count by default."""
    entries = tuple(_entry(process) for process in processes if counts(process.config))
    return Report(not shutting_down and all(entry.health == _HEALTHY for entry in entries), entries)


def _entry(process: Managed) -> Entry:
    return Entry(process.name, process.status().state, _HEALTHY if process.ready else "unhealthy")


def counts(process: ProcessConfig) -> bool:
    """Whether a process counts when the configuration names none: a longrun that starts with the daemon."""
    return (
        process.type is not ProcessType.ONESHOT
        and process.starts_by_itself
        and process.scale > 0
        and not process.schedule
    )


def runs(status: ProcessStatus) -> bool:
    """Whether all desired instances of a process run, or its work is done."""
    if status.state is State.COMPLETED:
        return True
    up = sum(1 for instance in status.instances if instance.state is State.RUNNING)
    return status.wanted and up >= status.desired_scale
