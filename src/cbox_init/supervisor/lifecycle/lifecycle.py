"""The life of the daemon's processes as a whole: start, what follows when one ends, shutdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbox_init.config.model import HooksConfig, OnExit, OnGiveUp
from cbox_init.core.restart import Trigger
from cbox_init.supervisor.instance.launch import instance_id
from cbox_init.supervisor.lifecycle.shutdown import Shutdown
from cbox_init.supervisor.lifecycle.startup import Startup

if TYPE_CHECKING:
    from collections.abc import Callable

    from cbox_init.config.model import Config
    from cbox_init.core.instance import Instance
    from cbox_init.logs.hub import LogHub
    from cbox_init.supervisor.configuration.removal import Removal
    from cbox_init.supervisor.lifecycle.readiness import Readiness, Report
    from cbox_init.supervisor.lifecycle.service_manager import ServiceManager
    from cbox_init.supervisor.lifecycle.validation import RuntimeValidation
    from cbox_init.supervisor.managed import Managed
    from cbox_init.supervisor.runtime import Runtime
    from cbox_init.supervisor.table import ProcessTable

#: Programs that can test their configuration begin so: php-fpm8.2, nginx.
_TESTED = ("php-fpm", "nginx")


class Lifecycle:
    """Starts the processes of a table, and shuts them down.

    ``config`` gives the configuration in force. ``manager`` is the service manager that started the daemon,
    if it wants notifications. ``on_started`` is called when all processes are up for the first time,
    ``on_shutdown`` when the shutdown begins, ``on_finished`` once, with the exit code of the daemon, when it
    is over. ``readiness`` is set if the configuration enables it, ``removal`` once the configuration is
    loaded for changes.
    """

    def __init__(
        self,
        table: ProcessTable,
        *,
        config: Callable[[], Config],
        logs: LogHub,
        runtime: Runtime,
        manager: ServiceManager | None,
        on_started: Callable[[], object] | None,
        on_shutdown: Callable[[], object],
        on_finished: Callable[[int], None],
    ) -> None:
        self._table = table
        self._config = config
        self._logs = logs
        self._runtime = runtime
        self._manager = manager
        self._on_started = on_started
        self._on_shutdown = on_shutdown
        self._on_finished = on_finished
        self.removal: Removal | None = None
        self.main: str | None = None
        """The process of ``cbox-init run``, whose exit code is that of the daemon."""
        self.validates = False
        """Whether PHP-FPM and nginx test their configuration before the start."""
        self._shutdown: Shutdown | None = None
        self._startup = Startup(
            runtime=runtime,
            logs=logs,
            hooks=lambda: config().hooks,
            validate=self._validate,
            names=lambda: [process.name for process in table],
            start=self._start_process,
            all_up=table.all_up,
            on_up=self._all_up,
            on_failed=lambda error: self.shutdown(error, 1),
        )
        self.readiness = self._make_readiness()

    @property
    def held_back(self) -> bool:
        """Whether processes must wait for the pre-start hooks."""
        return self._startup.held_back

    @property
    def started(self) -> bool:
        """Whether the start of the processes has begun."""
        return self._startup.begun

    @property
    def shutting_down(self) -> bool:
        """Whether the shutdown has begun."""
        return self._shutdown is not None

    @property
    def shutdown_s(self) -> float | None:
        """The seconds since the shutdown began, None before."""
        return None if self._shutdown is None else self._runtime.now() - self._shutdown.began_at

    def begin(self) -> None:
        """Run the pre-start hooks, then start the processes; end with exit code 1 when a hook fails."""
        self._runtime.events.emit("daemon.started")
        self._startup.begin()

    def start_as_configured(self, process: Managed, trigger: Trigger) -> None:
        """Start a process unless its configuration says that only a command starts it."""
        if process.config.starts_by_itself:
            process.start(trigger)

    def go_on(self) -> None:
        """Reconcile the shutdown, after children have ended or the readiness file is gone."""
        if self._shutdown:
            self._runtime.run_queue.wake(self._shutdown)

    def changed(self, process: Managed) -> None:
        """Act on a change of one process: go on with shutdown, removal or start, or end the daemon."""
        if self._shutdown:
            self._runtime.run_queue.wake(self._shutdown)
        elif self._table.is_leaving(process.name) and self.removal:
            self._runtime.run_queue.wake(self.removal)
        else:
            self._act_on(process)

    def readiness_report(self) -> Report:
        """Whether the container is ready, also where the configuration does not enable ``readiness``."""
        if self.readiness:
            return self.readiness.report()
        from cbox_init.supervisor.lifecycle.readiness import report_of

        return report_of(self._table, shutting_down=self.shutting_down)

    def recount(self) -> None:
        """Take in that processes were added, removed or configured differently."""
        if self.readiness:
            self.readiness.recount(self._table.staying())

    def shutdown(self, reason: str, exit_code: int = 0) -> None:
        """Stop everything, dependents first, then call ``on_finished``. A second call has no effect."""
        if self._shutdown:
            return
        self._runtime.log.info("Shutting down", reason=reason)
        self._runtime.events.emit("daemon.stopping", reason=reason, exit_code=exit_code)
        if self._runtime.audit is not None:
            self._runtime.audit.shutting_down(reason, exit_code)
        contain = self._runtime.defects.contain
        with contain("changes could not be aborted"):
            self._on_shutdown()
        for process in self._table:
            with contain("a process could not begin its shutdown", process=process.name):
                process.begin_shutdown()
        with contain("the service manager could not be notified of the shutdown"):
            if self._manager:
                self._manager.stopping()
        with contain("readiness could not be withdrawn"):
            if self.readiness:
                self.readiness.withdraw()
        with contain("the start could not be cancelled"):
            self._startup.cancel()
        if self.removal:
            self._runtime.run_queue.forget(self.removal)  # the shutdown stops its processes
        settings = self._config().global_
        self._shutdown = Shutdown(
            self._table,
            runtime=self._runtime,
            logs=self._logs,
            hooks=self._config().hooks if self._startup.begun else HooksConfig(),
            timeout_s=settings.shutdown_timeout,
            drain_s=settings.shutdown_drain,
            withdrawn=lambda: self.readiness is None or self.readiness.file_settled,
            on_finished=lambda left: self._finish(exit_code or self._code_of_main() or int(left)),
        )
        self._runtime.run_queue.wake(self._shutdown)

    def kill(self, exit_code: int) -> None:
        """Kill everything at once, without a grace period (a second stop signal)."""
        self.shutdown("killed", exit_code)
        assert self._shutdown
        self._shutdown.on_finished = lambda left: self._finish(exit_code or int(left))
        self._shutdown.kill()

    def _finish(self, exit_code: int) -> None:
        if self._runtime.counters is not None and (duration_s := self.shutdown_s) is not None:
            self._runtime.counters.shutdowns.note(duration_s)
        if self.removal:
            self.removal.abandon()
        self._on_finished(exit_code)

    def _code_of_main(self) -> int:
        """The exit code of the main process of ``run``, for a shutdown by a signal; 0 without one."""
        if self.main is None or self.main not in self._table:
            return 0
        end = self._table[self.main].last_end
        return 0 if end is None else end[1]

    def _act_on(self, process: Managed) -> None:
        """Go on with the start if a process is up; end the daemon if its end or give-up requires it."""
        if process.up:
            self._startup.go_on_if_all_up()
        if process.config.on_exit is OnExit.SHUTDOWN and (ended := process.ended):
            self._end_with(process, ended, "has ended")
        elif process.config.on_give_up is OnGiveUp.SHUTDOWN and (failed := process.given_up):
            self._end_with(process, failed, "was given up")
        elif process.ended_for_good:
            self._end_when_all_ended()

    def _end_with(self, process: Managed, instance: Instance, what: str) -> None:
        """Shut down with the exit code of an instance; never with 0 when that has failed."""
        assert instance.ending
        name = instance_id(process.name, instance.index)
        self.shutdown(f"{name} {what}: {instance.ending.reason}", instance.ending.status)

    def _end_when_all_ended(self) -> None:
        """Shut down when all processes that should run have ended for good.

        The exit code is that of the last to end; if that is 0, that of an instance that was given up. A
        process that was stopped by hand, or scaled to 0, can be started again, and keeps the daemon running.
        """
        if not self._table.all_ended():
            return
        ends = [end for process in self._table.staying() if (end := process.last_end)]
        _, exit_code = max(ends, default=(0.0, 1))
        failed = [one.ending.status for process in self._table if (one := process.given_up) and one.ending]
        self.shutdown("every process has ended", exit_code or max(failed, default=0))

    def _validate(self, on_over: Callable[[str | None], None]) -> RuntimeValidation | None:
        """Begin the tests of configurations; None where there is nothing to test."""
        if not self.validates:
            return None
        processes = {
            name: process
            for name, process in self._config().enabled_processes().items()
            if process.command and process.command[0].rpartition("/")[2].startswith(_TESTED)
        }
        if not processes:
            return None
        from cbox_init.supervisor.lifecycle.validation import RuntimeValidation, with_tests

        return RuntimeValidation(with_tests(processes), runtime=self._runtime, on_over=on_over)

    def _start_process(self, name: str) -> None:
        """Start one of the processes, unless it was removed since the start has begun."""
        if name in self._table and not self._table.is_leaving(name):
            self.start_as_configured(self._table[name], Trigger.STARTUP)

    def _all_up(self) -> None:
        if self.readiness is None:
            self._runtime.events.emit("daemon.ready")
        if self._on_started is not None:
            self._on_started()
        if self._manager:
            self._manager.ready()

    def _make_readiness(self) -> Readiness | None:
        settings = self._config().global_.readiness
        if settings is None or not settings.enabled:
            return None
        from cbox_init.supervisor.lifecycle.readiness import Readiness

        return Readiness(settings, self._table, runtime=self._runtime, on_withdrawn=self.go_on)
