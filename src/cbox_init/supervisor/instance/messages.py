"""What is reported of the instances of a process: messages of the log, events, records of the audit.

People search for some of the messages: keep their text.
"""

from __future__ import annotations

from itertools import islice, takewhile
from typing import TYPE_CHECKING

from cbox_init.core.health import HealthState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cbox_init.audit.trail import AuditTrail
    from cbox_init.core.health import InstanceHealth
    from cbox_init.core.instance import Instance
    from cbox_init.core.restart import Ending
    from cbox_init.errors import SpawnError
    from cbox_init.logs.daemon import DaemonLog
    from cbox_init.logs.ring import LogRing
    from cbox_init.supervisor.events import Events

#: How many lines of output are kept of an instance that has failed, and how many characters of each.
LAST_LINES = 20
LONGEST_LINE = 500

#: The same for the events of an instance; and how much of the log is searched for them.
_EVENT_LINES = 5
_EVENT_LINE = 199
_SEARCHED_BLOCKS = 64


class InstanceMessages:
    """Writes the messages about the instances of one process, emits the events, and records for the audit.

    ``instance_id`` names the instance in each message, ``pid`` its main process.
    """

    def __init__(self, process: str, log: DaemonLog, events: Events, audit: AuditTrail | None = None) -> None:
        self._process = process
        self._log = log
        self._events = events
        self._audit = audit

    def started(self, instance_id: str, instance: Instance) -> None:
        self._log.info(
            "Process instance started",
            process=self._process,
            instance_id=instance_id,
            pid=instance.pid,
            restart_count=instance.restart_count or None,
        )
        self._events.emit(
            "instance.started",
            self._process,
            instance_id,
            pid=instance.pid,
            restart_count=instance.restart_count,
            ready=instance.ready or None,
        )
        if self._audit is not None:
            self._audit.instance(
                "process.start",
                "start",
                self._process,
                instance_id,
                pid=instance.pid,
                restart_count=instance.restart_count,
            )

    def not_started(self, instance_id: str, error: SpawnError) -> None:
        self._log.error(
            "Process instance could not be started",
            process=self._process,
            instance_id=instance_id,
            exit_code=error.exit_code,
            error=str(error),
        )
        self._events.emit(
            "instance.start_failed",
            self._process,
            instance_id,
            reason=str(error),
            exit_code=error.exit_code,
        )
        if self._audit is not None:
            self._audit.instance(
                "process.start",
                "start",
                self._process,
                instance_id,
                status="failure",
                message=str(error),
                exit_code=error.exit_code,
            )

    def deferred(self, instance_id: str, error: SpawnError) -> None:
        """Its start waits for a resource of which the machine has none left."""
        self._log.warn(
            "Process instance waits to start",
            process=self._process,
            instance_id=instance_id,
            error=str(error),
        )

    def ended(
        self,
        instance_id: str,
        pid: int,
        ending: Ending,
        *,
        requested: bool,
        last_output: Callable[[], Sequence[str]],
    ) -> None:
        """Its main process has ended; ``requested``: by a command, a reload or its termination.
        ``last_output`` is called when it has failed."""
        crashed = not (requested or ending.success)
        if requested or ending.success:
            self._log.info(
                "Process instance stopped" if requested else "Process instance exited",
                process=self._process,
                instance_id=instance_id,
                pid=pid,
                exit_code=ending.exit_code,
            )
        else:
            self._log.error(
                "Process instance exited with error",
                process=self._process,
                instance_id=instance_id,
                pid=pid,
                exit_code=ending.exit_code,
                error=ending.reason,
            )
        self._events.emit(
            "instance.exited",
            self._process,
            instance_id,
            reason=ending.reason,
            pid=pid,
            exit_code=ending.exit_code,
            requested=requested,
            failed=crashed,
            last_output=_in_event(last_output()) if crashed else None,
        )
        if self._audit is not None:
            self._audit.instance(
                "process.crash" if crashed else "process.stop",
                "stop" if requested else "exit",
                self._process,
                instance_id,
                status="failure" if crashed else "success",
                message=ending.reason if crashed else None,
                pid=pid,
                exit_code=ending.exit_code,
            )

    def restarting(self, instance_id: str, instance: Instance, *, in_s: float) -> None:
        self._log.info(
            "Restarting process instance",
            process=self._process,
            instance_id=instance_id,
            restart_count=instance.restart_count + 1,
            delay=round(max(0.0, in_s), 3),
        )
        self._events.emit(
            "instance.restarting",
            self._process,
            instance_id,
            restart_count=instance.restart_count + 1,
            delay_s=round(max(0.0, in_s), 3),
        )
        if self._audit is not None:
            count = instance.restart_count + 1
            self._audit.instance(
                "process.restart", "restart", self._process, instance_id, restart_count=count
            )

    def given_up(self, instance_id: str, instance: Instance, last_output: Sequence[str]) -> None:
        self._log.error(
            "Process instance has failed and is not restarted",
            process=self._process,
            instance_id=instance_id,
            error=instance.reason,
            last_output="\n".join(last_output) or None,
        )
        self._events.emit(
            "instance.given_up",
            self._process,
            instance_id,
            reason=instance.reason,
            last_output=_in_event(last_output),
        )
        if self._audit is not None:
            self._audit.instance(
                "process.crash",
                "give up",
                self._process,
                instance_id,
                status="failure",
                message=instance.reason,
            )

    def health_changed(self, instance_id: str, pid: int, before: InstanceHealth, now: InstanceHealth) -> None:
        """Log a change of the health state or of readiness; a change of mere figures is not logged."""
        if before.state is not now.state:
            self._health_state_changed(instance_id, pid, now)
            self._events.emit(
                "instance.health",
                self._process,
                instance_id,
                reason=None if now.state is HealthState.HEALTHY else now.failure,
                before=before.state.value,
                state=now.state.value,
                failures=now.failures or None,
                latency_s=round(now.last.latency_s, 6)
                if now.last is not None and now.last is not before.last
                else None,
            )
        if before.ready is not now.ready:
            kind = "instance.ready" if now.ready else "instance.not_ready"
            self._events.emit(kind, self._process, instance_id, reason=now.reason)
        if before.state is now.state and before.ready is not now.ready:
            self._log.info(
                "Process instance is ready again" if now.ready else "Process instance is not ready",
                process=self._process,
                instance_id=instance_id,
                pid=pid,
                error=now.reason,
            )

    def _health_state_changed(self, instance_id: str, pid: int, health: InstanceHealth) -> None:
        if health.state is HealthState.HEALTHY:
            self._log.info(
                "Process marked as healthy", process=self._process, instance_id=instance_id, pid=pid
            )
        else:
            self._log.warn(
                "Process marked as unhealthy",
                process=self._process,
                instance_id=instance_id,
                pid=pid,
                failures=health.failures or None,
                error=health.failure,
            )

    def overdue(self, instance_id: str, pid: int, health: InstanceHealth) -> None:
        self._warn("Process instance is not healthy in time", instance_id, pid, health.reason)

    def too_large(self, instance_id: str, pid: int, reason: str | None) -> None:
        self._warn("Process instance uses too much memory and is stopped", instance_id, pid, reason)

    def too_long(self, instance_id: str, pid: int, reason: str | None) -> None:
        self._warn("Process instance takes too long and is stopped", instance_id, pid, reason)

    def replaced(self, instance_id: str, pid: int, reason: str | None) -> None:
        """It is replaced although no command asked for that."""
        self._log.info(
            "Process instance is replaced",
            process=self._process,
            instance_id=instance_id,
            pid=pid,
            reason=reason,
        )
        self._events.emit("instance.restarting", self._process, instance_id, reason=reason or "", pid=pid)

    def killed(self, instance_id: str, pid: int) -> None:
        self._warn("Process instance did not stop in time and is killed", instance_id, pid, None)
        self._events.emit("instance.killed", self._process, instance_id, pid=pid)
        if self._audit is not None:
            self._audit.instance("process.stop", "kill", self._process, instance_id, pid=pid)

    def suspended(self, instance_id: str, pid: int, reason: str | None) -> None:
        kind = "instance.continued" if reason is None else "instance.suspended"
        self._events.emit(kind, self._process, instance_id, reason=reason, pid=pid)
        if reason is None:
            self._log.info(
                "Process instance continues", process=self._process, instance_id=instance_id, pid=pid
            )
        else:
            self._warn("Process instance is suspended", instance_id, pid, reason)

    def in_background(self, instance_id: str, reason: str) -> None:
        self._log.warn(
            "Process instance went into the background",
            process=self._process,
            instance_id=instance_id,
            error=reason,
        )

    def not_permitted(self, instance_id: str, pid: int, error: str) -> None:
        """The stop signal could not be sent."""
        self._log.error(
            "Process instance could not be signalled",
            process=self._process,
            instance_id=instance_id,
            pid=pid,
            error=error,
        )

    def _warn(self, message: str, instance_id: str, pid: int, error: str | None) -> None:
        self._log.warn(message, process=self._process, instance_id=instance_id, pid=pid, error=error)


def last_lines(ring: LogRing, instance: str) -> tuple[str, ...]:
    """The last lines of ``instance`` that ``ring`` still has, oldest first; long ones are cut."""
    newest_first = (
        record.message
        for block in ring.newest_first()
        if block.source.instance == instance
        for record in block.records(newest_first=True)
    )
    lines = [_cut(line, LONGEST_LINE) for line in islice(newest_first, LAST_LINES)]
    return tuple(reversed(lines))


def last_lines_of_run(ring: LogRing, instance: str, since: float) -> tuple[str, ...]:
    """The lines of an event: the last few that ``instance`` has written since a Unix time, oldest first.

    An end is reported for each of many instances that crash again and again, so that only the latest part of
    ``ring`` is searched.
    """
    since_ns = int(since * 1e9)
    newest_first = (
        record
        for block in islice(ring.newest_first(), _SEARCHED_BLOCKS)
        if block.source.instance == instance
        for record in block.records(newest_first=True)
    )
    new = takewhile(lambda record: record.time_ns >= since_ns, newest_first)
    return tuple(record.message for record in islice(new, _EVENT_LINES))[::-1]


def _in_event(lines: Sequence[str]) -> str | None:
    return "\n".join(_cut(line, _EVENT_LINE) for line in lines[-_EVENT_LINES:]) or None


def _cut(line: str, longest: int) -> str:
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
