"""Computes whether the container as a whole is ready, and writes the readiness file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from msgspec import Struct

from cbox_init.config.model import ProcessType, ReadinessMode
from cbox_init.core.states import State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cbox_init.config.model import ProcessConfig, ReadinessConfig
    from cbox_init.supervisor.managed import Managed
    from cbox_init.supervisor.runtime import Runtime
    from cbox_init.supervisor.status import ProcessStatus


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
        self._remove_file()  # one that a killed daemon left behind
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
        entries = tuple(
            Entry(one.name, one.status().state, "healthy" if one.ready else "unhealthy")
            for one in self._counted
        )
        return Report(self.ready, entries)

    def withdraw(self) -> None:
        """The shutdown begins: the container is not ready from now on."""
        self._withdrawn = True
        self.reconcile(0.0)

    def reconcile(self, stop_at: float) -> None:
        """Write or remove the file if the readiness has changed."""
        ready = self.ready
        if ready == self._shown:
            return
        self._shown = ready
        self._runtime.log.info("Container is ready" if ready else "Container is not ready")
        if ready:
            self._write_file()
        else:
            self._remove_file()

    def _is_ready(self, process: Managed) -> bool:
        if self._settings.mode is ReadinessMode.ALL_HEALTHY:
            return process.ready
        return runs(process.status())

    def _write_file(self) -> None:
        """Write the file beside its path and rename it; others may be able to write to its folder (/tmp)."""
        path = self._settings.path
        if not path:
            return
        content = self._settings.content
        if content is None:
            content = f"ready\ntimestamp={int(self._runtime.unix())}\n"
        beside = f"{path}.{os.getpid()}"
        try:
            _remove(beside)
            # O_EXCL: never through a link that another user has made.
            fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            try:
                os.fchmod(fd, 0o644)
                os.write(fd, content.encode())
            finally:
                os.close(fd)
            os.replace(beside, path)
        except OSError as error:
            self._runtime.log.error(
                "The readiness file cannot be written: choose another global.readiness.path",
                path=path,
                error=error.strerror,
            )

    def _remove_file(self) -> None:
        if not self._settings.path:
            return
        try:
            _remove(self._settings.path)
        except OSError as error:
            self._runtime.log.error(
                "The readiness file cannot be removed", path=self._settings.path, error=error.strerror
            )


def _counted(settings: ReadinessConfig, processes: Iterable[Managed]) -> Iterable[Managed]:
    return (
        process
        for process in processes
        if (process.name in settings.processes if settings.processes else counts(process.config))
    )


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
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
