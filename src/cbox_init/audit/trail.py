"""The audit trail of one daemon: what the other parts call when something happens that is recorded."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from cbox_init import __version__
from cbox_init.acting import SYSTEM, Actor, acting
from cbox_init.audit.chain import START
from cbox_init.audit.diff import differences
from cbox_init.audit.file import AuditFile, FoundChain
from cbox_init.audit.limits import SAY_EACH_S, EventLimit
from cbox_init.audit.record import AuditEvent, Target
from cbox_init.audit.writer import AuditWriter
from cbox_init.config.model import AuditRotateConfig
from cbox_init.errors import NotAudited
from cbox_init.logs.daemon import RepeatedError
from cbox_init.logs.encode.base import Timestamps
from cbox_init.threads import NoThreadError, call_in_loop, in_thread

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future, TimerHandle
    from collections.abc import Callable, Mapping

    from cbox_init.audit.record import ContextValue, Status
    from cbox_init.audit.writer import AuditTarget
    from cbox_init.config.model import Config, GlobalConfig
    from cbox_init.logs.daemon import DaemonLog
    from cbox_init.sensitive import KnownSecrets

#: How long a change waits for its record to be written, in seconds.
WRITTEN_WITHIN_S: Final = 5.0

#: When a write that has not returned is said in the log, in seconds.
_STUCK_S: Final = 5.0

_LOG: Final = "log"
_DAEMON: Final = Target("system", "cbox-init", "cbox-init")
_CONFIGURATION: Final = Target("config", "configuration", "configuration")

#: The event types of commands.
_EVENTS: Final = {
    "start": "process.start",
    "resume": "process.start",
    "trigger": "process.start",
    "stop": "process.stop",
    "pause": "process.stop",
    "restart": "process.restart",
    "scale": "process.scale",
    "signal": "process.signal",
}

#: How long comparing two configurations may take, in seconds.
_DIFF_TIMEOUT_S: Final = 10.0


class LogTarget:
    """Writes the records as messages of the daemon's log. Each start of the daemon begins a chain."""

    def __init__(self, log: DaemonLog) -> None:
        self._log = log

    def resume(self) -> FoundChain:
        return FoundChain(START, None)

    def append(self, data: bytes, *, sync: bool) -> None:
        for line in data.decode().splitlines():
            self._log.always("Audit record", audit=line)

    def close(self) -> None:
        """There is nothing to close."""


class AuditTrail:
    """Records events. ``note`` never blocks and never raises; ``require`` waits until the record is written
    when ``audit_required`` is set.
    """

    def __init__(self, settings: GlobalConfig, log: DaemonLog, secrets: KnownSecrets) -> None:
        self._secrets = secrets
        self.required = settings.audit_required
        self.reads = settings.audit_reads
        self._log = log
        self._times = Timestamps()
        self._limit = EventLimit()
        self._said_left_out_at = time.monotonic()
        self._loop: AbstractEventLoop | None = None
        self._timer: TimerHandle | None = None
        output = settings.audit_output
        what = "Audit records cannot be written, they wait" if output != _LOG else "Audit records wait"
        if self.required:
            what += "; changes are refused"
        place = None if output == _LOG else output
        self._failed = RepeatedError(log, what, output=place)
        self._broken = RepeatedError(log, "Unexpected: an event could not be recorded")
        target: AuditTarget = LogTarget(log)
        if output != _LOG:
            rotate = settings.audit_rotate or AuditRotateConfig()
            target = file = AuditFile(output, max_size=rotate.max_size, max_files=rotate.max_files)
            file.on_rotated = self._rotated
        self._writer = AuditWriter(
            target, sync=self.required, notice=self._notice, failed=self._failed.report, healed=self._healed
        )

    # -- figures ---------------------------------------------------------------------------------------

    @property
    def written(self) -> int:
        """Records written since the start."""
        return self._writer.written

    @property
    def lost(self) -> int:
        """Records lost since the start: they could not be written, and too many waited."""
        return self._writer.lost

    @property
    def suppressed(self) -> int:
        """Events left out since the start: too many of one kind."""
        return self._limit.suppressed

    @property
    def queued(self) -> int:
        """Records that are not written yet."""
        return self._writer.queued

    # -- events ----------------------------------------------------------------------------------------

    def note(
        self,
        event_type: str,
        action: str,
        resource: Target,
        *,
        actor: Actor | None = None,
        status: Status = "success",
        message: str = "",
        **context: ContextValue,
    ) -> None:
        """Record an event. Without ``actor`` it is the sender of the request that is being carried out, or
        the daemon; `SYSTEM` is for what the daemon does by itself, whatever request has led to it.
        """
        self._record(event_type, action, resource, actor, status, message, context)

    def _record(
        self,
        event_type: str,
        action: str,
        resource: Target,
        actor: Actor | None,
        status: Status,
        message: str,
        context: Mapping[str, ContextValue],
    ) -> None:
        try:
            body = self._body(event_type, action, resource, actor, status, message, context)
            if body is not None:
                self._writer.put(body)
        except Exception as error:  # noqa: BLE001  # whoever notes something is in the middle of it
            self._broken.report(error)
        if self._writer.stuck_for_s() > _STUCK_S:
            self._writer.report_stuck(f"a write has not returned for {self._writer.stuck_for_s():.0f} s")

    async def require(
        self,
        event_type: str,
        action: str,
        resource: Target,
        *,
        actor: Actor | None = None,
        status: Status = "attempt",
        message: str = "",
        **context: ContextValue,
    ) -> None:
        """Record what is about to be done. With ``audit_required``, raises NotAudited when the record is not
        written within `WRITTEN_WITHIN_S`: it must not be done then.
        """
        if not self.required:
            self._record(event_type, action, resource, actor, status, message, context)
            return
        try:
            body = self._body(event_type, action, resource, actor, status, message, context)
        except Exception as error:
            self._broken.report(error)
            raise NotAudited("an event could not be recorded; the log of the daemon says why") from error
        if body is None:
            return
        from asyncio import get_running_loop, timeout

        loop = get_running_loop()
        written: Future[str | None] = loop.create_future()

        def settle(reason: str | None) -> None:
            if not written.done():
                written.set_result(reason)

        self._writer.put(body, lambda reason: call_in_loop(loop, lambda: settle(reason)))
        try:
            async with timeout(WRITTEN_WITHIN_S):
                reason = await written
        except TimeoutError:
            reason = f"no answer within {WRITTEN_WITHIN_S:g} s; check its file system"
            self._writer.report_stuck(reason)
        if reason is not None:
            raise NotAudited(f"the audit record cannot be written: {reason}")

    def _body(
        self,
        event_type: str,
        action: str,
        resource: Target,
        actor: Actor | None,
        status: Status,
        message: str,
        context: Mapping[str, ContextValue],
    ) -> bytes | None:
        """The event as it is queued; None when it is left out."""
        request = acting.get() if actor is None else None
        if request is not None:
            actor = request.actor
            if request.request_id:
                context = {"request_id": request.request_id, **context}
        actor = actor or SYSTEM
        now = time.monotonic()
        if not self._limit.take(event_type, actor.ip or action, now):
            self._say_left_out_later()
            return None
        if now - self._said_left_out_at >= SAY_EACH_S:
            self._say_left_out()
        stamp = self._times.microseconds(time.time_ns())
        masked = self._secrets.masked
        texts = {key: masked(value) if isinstance(value, str) else value for key, value in context.items()}
        return AuditEvent(stamp, event_type, actor, action, resource, status, masked(message), texts).body()

    # -- what the listeners report ---------------------------------------------------------------------

    def denied_by_acl(self, listener: str) -> Callable[[str, str], None]:
        """What records that the access list of ``listener`` has refused a client: its address, the path."""

        def record(address: str, path: str) -> None:
            target = Target("api", listener, listener)
            self._record("acl.deny", path, target, Actor.anonymous(address), "denied", "", {})

        return record

    def failed_handshake(self, listener: str) -> Callable[[str, str], None]:
        """What records that a TLS handshake of ``listener`` has failed: why, the address of the client."""

        def record(reason: str, address: str) -> None:
            target = Target("api", listener, listener)
            self._record(
                "tls.handshake", "handshake", target, Actor.anonymous(address), "failure", reason, {}
            )

        return record

    # -- what the supervisor reports -------------------------------------------------------------------

    def command(self, command: str, process: str, **context: ContextValue) -> None:
        """A command to a process was accepted."""
        target = Target("process", process, process)
        self._record(_EVENTS[command], command, target, None, "success", "", context)

    def instance(
        self,
        event_type: str,
        action: str,
        process: str,
        instance: str,
        *,
        status: Status = "success",
        message: str | None = None,
        pid: int | None = None,
        exit_code: int | None = None,
        restart_count: int | None = None,
    ) -> None:
        """Something has become of an instance."""
        self.note(
            event_type,
            action,
            Target("instance", instance, process),
            actor=SYSTEM,
            status=status,
            message=message or "",
            pid=pid,
            exit_code=exit_code,
            restart_count=restart_count,
        )

    def reload(
        self, status: Status, message: str = "", figures: Mapping[str, ContextValue] | None = None
    ) -> None:
        """A reload of the configuration was asked for, or has ended."""
        self._record("config.reload", "reload", _CONFIGURATION, None, status, message, figures or {})

    def changed(
        self, action: str, *, status: Status = "success", message: str = "", **context: ContextValue
    ) -> None:
        """The configuration was changed, or could not be."""
        self._record("config.change", action, _CONFIGURATION, None, status, message, context)

    async def change(self, action: str, before: Config, after: Config, process: str | None = None) -> None:
        """Record a change of the configuration that is about to be made. Raises NotAudited."""
        try:
            diff = await in_thread(
                lambda: differences(before, after, self._secrets),
                name="audit-diff",
                timeout_s=_DIFF_TIMEOUT_S,
            )
        except Exception as error:  # noqa: BLE001  # the change is recorded without it
            self._broken.report(error)
            diff = []
        await self.require("config.change", action, _CONFIGURATION, process=process, diff=diff)

    def rolled_back(self, process: str) -> None:
        """The former configuration of a process is in force again: its rollout has failed."""
        self.note("config.change", "roll back", _CONFIGURATION, actor=SYSTEM, process=process)

    def shutting_down(self, reason: str, exit_code: int) -> None:
        """The shutdown begins."""
        self.note(
            "system.shutdown",
            "shutdown",
            _DAEMON,
            actor=SYSTEM,
            status="attempt",
            message=reason,
            exit_code=exit_code,
        )

    def ended(self, exit_code: int | None) -> None:
        """The shutdown is over, or the start has failed."""
        status: Status = "failure" if exit_code else "success"
        self.note("system.shutdown", "end", _DAEMON, actor=SYSTEM, status=status, exit_code=exit_code)

    def defect(self, where: str, error: BaseException) -> None:
        """An unexpected error was contained."""
        message = f"{type(error).__name__}: {error}"
        self.note("system.error", where, _DAEMON, actor=SYSTEM, status="failure", message=message)

    # -- what is left out ------------------------------------------------------------------------------

    def _say_left_out(self) -> None:
        self._said_left_out_at = time.monotonic()
        for event_type, count in self._limit.take_left_out().items():
            message = f"{count} events of this type were left out: too many of them"
            self._writer.put(self._notice("audit.limit", message, {"left_out": count}, event_type))

    def _say_left_out_later(self) -> None:
        if self._timer is None and self._loop is not None:
            self._timer = self._loop.call_later(SAY_EACH_S, self._timer_due)

    def _timer_due(self) -> None:
        self._timer = None
        self._say_left_out()

    def _notice(
        self, action: str, message: str, figures: dict[str, int | str], event_type: str = "system.error"
    ) -> bytes:
        stamp = self._times.microseconds(time.time_ns())
        resource = Target("system", "audit", "audit")
        context: dict[str, ContextValue] = {**figures}
        return AuditEvent(stamp, event_type, SYSTEM, action, resource, "failure", message, context).body()

    # -- the daemon ------------------------------------------------------------------------------------

    def attach(self, loop: AbstractEventLoop) -> None:
        """Use the event loop from now on."""
        self._loop = loop

    def started(self, config: str | None) -> None:
        """The daemon has loaded its configuration and starts."""
        self.note(
            "system.start",
            "start",
            _DAEMON,
            actor=SYSTEM,
            version=__version__,
            pid=os.getpid(),
            uid=os.getuid(),
        )
        self.note("config.load", "load", _CONFIGURATION, actor=SYSTEM, file=config or "(environment)")

    async def close(self, timeout_s: float) -> None:
        """Write what is queued, within ``timeout_s``, and end the thread."""
        if self._timer is not None:
            self._timer.cancel()
        self._say_left_out()
        try:
            await in_thread(
                lambda: self._writer.close(timeout_s), name="audit-close", timeout_s=timeout_s + 1
            )
        except (NoThreadError, TimeoutError):
            self._writer.close(0)
        self._say_end()

    def close_sync(self, timeout_s: float) -> None:
        """As ``close``, without an event loop. Blocks."""
        self._say_left_out()
        self._writer.close(timeout_s)
        self._say_end()

    def _say_end(self) -> None:
        link = self._writer.link
        if left := self._writer.queued:
            self._log.error("Audit records could not be written and are lost", records=left)
        if link is not None:
            self._log.info("Audit trail ends", seq=link.seq, hash=link.hash)

    # -- the writer's thread ---------------------------------------------------------------------------

    def _rotated(self, error: OSError | None) -> None:
        if error is not None:
            self._log.error("Audit file was not rotated, it grows on", error=error.strerror)
        elif (link := self._writer.link) is not None:
            # In the log, so that whoever rewrites the whole file has to rewrite the log as well.
            self._log.info("Audit file rotated", seq=link.seq, hash=link.hash)

    def _healed(self) -> None:
        self._log.info("Audit records are written again", lost=self._writer.lost or None)
