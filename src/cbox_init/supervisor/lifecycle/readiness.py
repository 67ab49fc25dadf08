"""Computes whether the container as a whole is ready, and writes the readiness file."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from cbox_init.config.model import ProcessType, ReadinessMode
from cbox_init.core.states import State
from cbox_init.safe_paths import locate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cbox_init.config.model import ProcessConfig, ReadinessConfig
    from cbox_init.supervisor.managed import Managed
    from cbox_init.supervisor.runtime import Runtime
    from cbox_init.supervisor.status import ProcessStatus


#: Seconds until the file is tried again that could not be written or removed.
_FILE_AGAIN_S: Final = 1.0

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

    After ``withdraw`` the container is not ready any more.
    """

    def __init__(
        self,
        settings: ReadinessConfig,
        processes: Iterable[Managed],
        *,
        runtime: Runtime,
    ) -> None:
        self._settings = settings
        self._runtime = runtime
        self._withdrawn = False
        self._shown = False
        self._file_is_right = False  # a killed daemon may have left one behind
        self._complained_of: set[bool] = set()
        self._keep_file(ready=False)
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

    def reconcile(self, stop_at: float) -> float | None:
        """Write or remove the file if the readiness has changed, or if that failed before."""
        ready = self.ready
        if ready != self._shown:
            self._shown = ready
            self._file_is_right = False
            self._runtime.log.info("Container is ready" if ready else "Container is not ready")
        if not self._file_is_right:
            self._keep_file(ready=ready)
        return None if self._file_is_right else self._runtime.now() + _FILE_AGAIN_S

    def _is_ready(self, process: Managed) -> bool:
        if self._settings.mode is ReadinessMode.ALL_HEALTHY:
            return process.ready
        return runs(process.status())

    def _keep_file(self, *, ready: bool) -> None:
        """Write (``ready``) or remove the file. An error of either is logged once until one succeeds."""
        path = self._settings.path
        try:
            if path and ready:
                self._write_file(path)
            elif path:
                _remove(path)
            self._file_is_right = True
            self._complained_of.clear()
        except OSError as error:
            if ready not in self._complained_of:
                self._complained_of.add(ready)
                self._runtime.log.error(
                    "The readiness file cannot be written: choose another global.readiness.path"
                    if ready
                    else "The readiness file cannot be removed",
                    path=path,
                    error=error.strerror,
                )

    def _write_file(self, path: str) -> None:
        """Write the file beside its path and rename it; others may be able to write to its folder (/tmp)."""
        content = self._settings.content
        if content is None:
            content = f"ready\ntimestamp={int(self._runtime.unix())}\n"
        with locate(path, last_link=False) as place:
            beside = f"{place.name}.{os.getpid()}"
            fd = place.create_again(0o644, beside)
            try:
                try:
                    os.fchmod(fd, 0o644)
                    os.write(fd, content.encode())
                finally:
                    os.close(fd)
                place.rename(beside, place.name)
            except OSError:
                with suppress(OSError):
                    place.remove(beside)
                raise


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


def _remove(path: str) -> None:
    with suppress(FileNotFoundError), locate(path, last_link=False) as place:
        place.remove()
