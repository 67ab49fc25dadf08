"""The daemon: loads the configuration, runs the supervisor and its servers, and ends.

The order of the steps lets the first child run as soon as possible:

    load the file ─ bind the sockets ─ start the first children ─ import asyncio ─ run ─ (first connection:
    import the HTTP stack) ─ shutdown ─ flush the logs ─ exit code

Each step that can fail comes before the first child, so that a start that fails leaves nothing running.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from cbox_init.api.listeners import Listeners
from cbox_init.build import build_daemon
from cbox_init.config.child_variables import files_of_variables, for_children
from cbox_init.config.load import ConfigSource, load
from cbox_init.config.model import LogFormat
from cbox_init.errors import CboxError, ListenError
from cbox_init.imports import without
from cbox_init.supervisor.garbage import CollectionTimer
from cbox_init.system import procfs
from cbox_init.system.deadline import Deadline
from cbox_init.system.descriptors import inherit_nothing
from cbox_init.system.environ import forbid_dumps
from cbox_init.system.inherited import Inherited
from cbox_init.system.reaper import become_subreaper
from cbox_init.system.signals import (
    ENDING,
    HANDLED,
    WITHOUT_MEANING,
    SignalPipe,
    reset_inherited,
    signal_name,
)

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task
    from collections.abc import Mapping

    from cbox_init.api.readyz import ReadyzServer
    from cbox_init.api.server import ApiServer
    from cbox_init.config.load import Loaded
    from cbox_init.config.model import Config, GlobalConfig, ProcessConfig
    from cbox_init.config.problems import ProblemReport
    from cbox_init.logs.encode.colours import Colours
    from cbox_init.metrics.server import MetricsServer
    from cbox_init.options import ServeOptions
    from cbox_init.php.autotune import Autotuned
    from cbox_init.supervisor.configuration.configuration import Reloaded
    from cbox_init.supervisor.lifecycle.service_manager import ServiceManager
    from cbox_init.supervisor.runtime import Runtime
    from cbox_init.telemetry.counters import Counters
    from cbox_init.telemetry.loop_lag import LoopLag
    from cbox_init.tracing.tracing import Tracing

#: How long children are started before the event loop is imported, in seconds: enough for the first dozen,
#: and short enough that the API answers from the first moment.
_FIRST_SLICE_S = 0.01

#: How long a thread at work keeps the interpreter from the event loop, in seconds: a tenth of Python's own. A
#: turn gives it up with each system call, and waits for it again.
_SWITCH_S = 0.0005

#: How long the end of the API and the last log lines may take, in seconds.
_CLOSING_S = 5.0

#: How long the end of everything may take from the first signal on, beside `shutdown_timeout`, and from the
#: second one, in seconds, when the event loop does not even begin it.
_BEGIN_S = 10.0

#: How long all steps of `Daemon._close` may take together, in seconds: each has a limit of its own.
_CLOSE_S = 30.0

#: Variables of sd_notify(3), which children do not get: the service manager would take a child's
#: notifications for ours.
_OF_THE_SERVICE_MANAGER = frozenset(("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"))

#: What turns on a variable such as CBOX_INIT_SKIP_RUNTIME_VALIDATION.
_ON = frozenset(("1", "true", "yes", "on"))

#: Files in the working directory that tell a PHP application, whose directories are prepared.
_OF_PHP_APPLICATIONS = ("artisan", "bin/console", "wp-config.php")

#: How long the end waits for heartbeats of the last runs, in seconds.
_HEARTBEATS_S = 2.0


def serve(options: ServeOptions, environ: Mapping[str, str] = os.environ) -> int:
    """Run the daemon until it ends; gives its exit code.

    0 after a signal and a clean shutdown, 128 and the signal's number when a second signal cut that short,
    the code of the process that ended last when all have ended for good, or that was given up with
    `on_give_up: shutdown`, 1 for a start that failed.

    Raises ConfigError for a configuration that cannot be used, ListenError for a port or socket that cannot
    be had, and SpawnError for a command of ``run`` that is not there; nothing has been started then.
    """
    gc.disable()  # nothing becomes garbage while starting, and looking for it takes 3 ms
    loaded = load(options.config, environ, machine=_check_places, main=options.main)
    if options.main is not None:
        _check_main(loaded.config.processes.get(options.main.name), environ)
    autotuned = _autotuned(loaded.config, options, environ)
    if options.dry_run:
        _print_plan(loaded, environ)
        for name, value in autotuned.added.items() if autotuned is not None else ():
            print(f"{name}={value}")
        return 0
    return Daemon(loaded, options, environ, autotuned).run()


def _check_main(process: ProcessConfig | None, environ: Mapping[str, str]) -> None:
    """Raise SpawnError for a command of ``run`` that is not there or not executable.

    Where the file says more about its process, only its start can tell.
    """
    if process is None or process.env or process.env_file or process.working_dir or process.depends_on:
        return
    command = process.command[0]
    folders = [""] if "/" in command else os.get_exec_path(environ)
    places = [os.path.join(folder, command) for folder in folders]
    if any(os.path.isfile(place) and os.access(place, os.X_OK) for place in places):
        return
    from errno import EACCES, ENOENT

    from cbox_init.system.exec_failure import explain
    from cbox_init.system.spawn_request import SpawnRequest

    number = EACCES if any(os.path.exists(place) for place in places) else ENOENT
    request = SpawnRequest(process.command, environ, None, None, -1, -1)
    raise explain(OSError(number, os.strerror(number), command), request, None)


def _autotuned(config: Config, options: ServeOptions, environ: Mapping[str, str]) -> Autotuned | None:
    """The settings for PHP-FPM, None where no profile is chosen. Raises AutotuneError."""
    chosen = (
        options.php_fpm_profile or environ.get("PHP_FPM_AUTOTUNE_PROFILE") or config.global_.php_fpm_profile
    )
    if not chosen:
        return None
    from cbox_init.php.autotune import autotuned, capacity_of, wanted

    want = wanted(environ, config, options.php_fpm_profile, options.autotune_memory_threshold)
    return (
        None
        if want.profile is None
        else autotuned(want, want.profile, capacity_of(None, None), environ, config)
    )


def _check_places(config: Config, report: ProblemReport) -> None:
    if config.global_.log_outputs or any(one.logging.outputs for one in config.processes.values()):
        from cbox_init.config.check_outputs import check_places

        check_places(config, report)
    if config.global_.api_tokens:
        from cbox_init.config.api_roles import check_token_files

        check_token_files(config.global_, report)


class Daemon:
    """Owns what exists once for each daemon: signals, reaper, logs, listeners, the event loop."""

    def __init__(
        self,
        loaded: Loaded,
        options: ServeOptions,
        environ: Mapping[str, str],
        autotuned: Autotuned | None = None,
    ) -> None:
        self._autotuned = autotuned
        self._options = options
        self._environ = environ
        self._started_at = time.monotonic()
        self._config = loaded.path
        config = loaded.config
        settings = config.global_
        inherit_nothing()
        self._shutdown_timeout_s = settings.shutdown_timeout
        self._deadline: Deadline | None = None
        self._ignored: set[int] = set()
        # Ignored by default: only the main process of `run` could handle it.
        resized = () if options.main is None else (signal.SIGWINCH,)
        self._signals = SignalPipe((*HANDLED, *WITHOUT_MEANING, *resized), self._limit_shutdown)
        reset_inherited()  # now, so that a stop that came while we were loading finds its handler
        self._exit_code: int | None = None
        self._loop: AbstractEventLoop | None = None
        self._listeners = Listeners.bind(settings)
        self._readyz = self._bind_readyz(settings)
        self._metrics = self._bind_metrics(settings)
        self._parts = build_daemon(
            config,
            ConfigSource(loaded.path or options.config, environ, loaded.zero_scales, options.main),
            environ=for_children(
                environ if autotuned is None else {**environ, **autotuned.added},
                loaded.withheld | _OF_THE_SERVICE_MANAGER,
            ),
            withheld=loaded.withheld,
            on_finished=self._finished,
            colours=_colours(settings.log_format, environ),
            counters=_counters() if self._metrics and self._metrics.missing is None else None,
            manager=lambda runtime: _service_manager(environ, runtime),
            on_started=gc.freeze,
        )
        self._log = self._parts.logs.daemon
        deadline = self._deadline = Deadline(self._parts.runtime.reaper.watched)
        self._parts.runtime.set_deadline = deadline.set
        self._supervisor = self._parts.supervisor
        self._supervisor.lifecycle.validates = not options.skip_runtime_validation and (
            environ.get("CBOX_INIT_SKIP_RUNTIME_VALIDATION", "").strip().lower() not in _ON
        )
        self._main = self._supervisor.lifecycle.main = None if options.main is None else options.main.name
        self._handed_on = _handed_on(with_file=bool(loaded.path))
        runtime = self._parts.runtime
        runtime.unseen = procfs.blind_spot()
        if runtime.unseen:
            self._log.warn("Processes that instances leave behind cannot be found", error=runtime.unseen)
        inherited = self._parts.runtime.spawner.inherited = Inherited()
        for problem in inherited.problems:
            self._log.warn("A default of children cannot be set", error=problem)
        # Only now: /proc/self/oom_score_adj, which is open, belongs to root from then on.
        if not settings.dumpable and (error := forbid_dumps()) is not None:
            self._log.warn("Core dumps cannot be forbidden", error=error)
        self._watched = loaded.path if options.watch else None
        self._watching: Task[None] | None = None
        self._log_start(loaded, options)
        self._tracing: Tracing | None = None
        self._follow_tracing()
        self._supervisor.on_config.append(self._follow_tracing)
        if runtime.audit is not None:
            runtime.audit.started(loaded.path)

    def run(self) -> int:
        """Start what is configured, supervise it, and end: the exit code."""
        # Before the first child, so that what loses its parent at once comes to us as well.
        if not become_subreaper():
            self._log.warn("Orphans cannot be adopted: the kernel refuses a subreaper")
        try:
            self._prepare_application()
            if not self._is_ending():  # else the event loop begins the shutdown
                self._supervisor.start_all()
                self._parts.runtime.run_queue.run(_FIRST_SLICE_S)
            self._run_loop()
        except BaseException:
            self._abandon()
            raise
        return self._exit_code or 0

    def _prepare_application(self) -> None:
        """Prepare the directories of a PHP application, where there is one."""
        workdir = self._environ.get("WORKDIR") or "/var/www/html"
        if self._options.skip_permission_setup or not any(
            os.path.lexists(os.path.join(workdir, name)) for name in _OF_PHP_APPLICATIONS
        ):
            return
        from cbox_init.php.permissions import prepare

        log = self._log
        with self._parts.runtime.defects.contain("the directories of the application could not be prepared"):
            prepare(workdir, self._environ, info=log.info, warn=log.warn, is_ending=self._is_ending)

    def _is_ending(self) -> bool:
        """Whether a stop signal has arrived."""
        return self._deadline is not None and self._deadline.is_set

    def _run_loop(self) -> None:
        from cbox_init.telemetry.vitals import Vitals

        vitals = Vitals(self._config, self._started_at)
        sys.setswitchinterval(_SWITCH_S)
        loop = self._loop = _new_event_loop(vitals.lag)
        if self._watched is not None:
            self._watching = loop.create_task(self._watch(self._watched))
        loop.set_exception_handler(self._unexpected)
        loop.add_reader(self._signals.fileno(), self._on_signals)
        self._parts.attach(loop)
        from cbox_init.api.server import ApiServer

        api = ApiServer(self._listeners, self._parts, self._supervisor.config.global_, vitals)
        api.attach(loop)
        if self._readyz and self._supervisor.lifecycle.readiness:
            readiness = self._supervisor.lifecycle.readiness
            audit = self._parts.runtime.audit
            loop.run_until_complete(self._readyz.serve(loop, readiness, self._log, vitals, audit))
        if self._metrics:
            loop.run_until_complete(self._metrics.serve(loop, self._parts, vitals))
        with self._parts.runtime.defects.contain("signals could not be read"):
            self._on_signals()
        # Most objects that exist now are kept to the end. With thousands of processes a collection that goes
        # through them takes 0.2 s; so they are frozen, here and once more when all processes have started.
        gc.freeze()
        gc.enable()
        CollectionTimer().watch()
        if self._exit_code is None:
            loop.run_forever()
        loop.run_until_complete(self._close(api))
        loop.close()
        if self._deadline is not None:
            self._deadline.close()

    async def _watch(self, path: str) -> None:
        from asyncio import Event

        from cbox_init.supervisor.configuration.watch import watch

        changed = Event()
        self._supervisor.on_config.append(changed.set)
        await watch(
            path,
            lambda: self._reload("the file has changed"),
            self._log,
            more=lambda: files_of_variables(self._supervisor.config),
            more_changed=changed,
        )

    def _reload(self, why: str) -> Task[Reloaded] | None:
        assert self._loop
        return self._parts.configuration.request_reload(self._loop, why)

    async def _close(self, api: ApiServer) -> None:
        if self._watching is not None:
            from asyncio import wait

            self._watching.cancel()
            await wait((self._watching,))
        await self._parts.abandon_changes()
        if self._readyz:
            await self._readyz.close()
        await api.close(_CLOSING_S)
        if self._metrics:
            await self._metrics.close()
        await self._supervisor.close(_HEARTBEATS_S)
        if self._tracing is not None:
            with self._parts.runtime.defects.contain("tracing could not be ended"):
                await self._tracing.close()
        await self._parts.logs.drain(_CLOSING_S)
        if (audit := self._parts.runtime.audit) is not None:
            audit.ended(self._exit_code)
            await audit.close(_CLOSING_S)
        self._log.info("Cbox Init shutdown complete", exit_code=self._exit_code)
        await self._parts.logs.close(_CLOSING_S)
        assert self._loop
        self._loop.remove_reader(self._signals.fileno())
        self._signals.close(ignore=ENDING)  # the exit code is decided
        self._parts.close()

    def _follow_tracing(self) -> None:
        """Begin, change or end tracing, as the configuration in force has it."""
        with self._parts.runtime.defects.contain("tracing could not be changed"):
            if self._tracing is not None:
                self._tracing.reconfigure()
            elif self._supervisor.config.global_.tracing_enabled:
                from cbox_init.tracing.tracing import Tracing

                at_start = self._loop is None
                self._tracing = Tracing(self._supervisor, self._parts.runtime, at_start=at_start)

    def _bind_readyz(self, settings: GlobalConfig) -> ReadyzServer | None:
        if settings.readiness is None or not settings.readiness.enabled:
            return None
        from cbox_init.api.readyz import ReadyzServer

        try:
            return ReadyzServer.bind(settings)
        except ListenError:
            self._listeners.close()
            raise

    def _bind_metrics(self, settings: GlobalConfig) -> MetricsServer | None:
        if not settings.metrics_enabled:
            return None
        from cbox_init.metrics.server import MetricsServer

        try:
            return MetricsServer.bind(settings)
        except ListenError:
            self._listeners.close()
            if self._readyz:
                self._readyz.release()
            raise

    def _finished(self, exit_code: int) -> None:
        self._exit_code = exit_code
        if self._deadline is not None:
            self._deadline.exit_code = exit_code
            self._deadline.set(_CLOSE_S)
        if self._loop is not None:
            self._loop.stop()

    def _limit_shutdown(self, signum: int) -> None:
        """Set the deadline of the shutdown when a stop signal arrives.

        Called by the signal handler, also while the event loop is busy.
        """
        if signum not in ENDING or self._deadline is None:
            return
        if self._deadline.is_set:
            self._deadline.exit_code = 128 + signum
            self._deadline.hurry(_BEGIN_S)
        else:
            self._deadline.set(self._shutdown_timeout_s + _BEGIN_S)

    def _on_signals(self) -> None:
        """Handle the signals received, stop signals first; an error in one does not affect the others."""
        for signum in sorted(self._signals.read(), key=lambda signum: signum not in ENDING):
            with self._parts.runtime.defects.contain(
                "a signal could not be handled", signal=signal_name(signum)
            ):
                self._handle(signum)

    def _handle(self, signum: int) -> None:
        if signum == signal.SIGCHLD:
            self._supervisor.reap()
        elif self._main is not None and signum in self._handed_on:
            self._hand_on(self._main, signum)
        elif signum == signal.SIGHUP:
            self._reload("received SIGHUP")
        elif signum == signal.SIGUSR1:
            self._log.info("Reopening log files", reason="received SIGUSR1")
            self._parts.logs.reopen()
        elif signum not in ENDING:
            self._ignore(signum)
        elif self._supervisor.shutting_down:
            self._supervisor.kill(128 + signum)
        else:
            if self._main is not None:
                self._stop_main_with(self._main, signum)
            self._supervisor.shutdown(f"received {signal.Signals(signum).name}")

    def _hand_on(self, main: str, signum: int) -> None:
        """Send a signal that means nothing to the daemon to the main process of ``run``."""
        with suppress(CboxError):  # it is stopping, or was removed
            self._supervisor.actions.signal(main, signum, group=False, why=f"received {signal_name(signum)}")

    def _stop_main_with(self, main: str, signum: int) -> None:
        """Have the main process of ``run`` stopped by the signal that came, unless the file names one."""
        process = self._supervisor.config.processes.get(main)
        if process is not None and process.shutdown.signal == "SIGTERM":
            self._parts.runtime.stop_signals[main] = signum

    def _ignore(self, signum: int) -> None:
        if signum not in self._ignored:  # logged once for each: any number may be sent
            self._ignored.add(signum)
            self._log.info("Signal without a meaning is ignored", signal=signal_name(signum))

    def _unexpected(self, loop: AbstractEventLoop, context: dict[str, object]) -> None:
        """Report an exception that nothing else has contained; the daemon goes on."""
        message = str(context.get("message"))
        error = context.get("exception")
        if not isinstance(error, BaseException):
            error = RuntimeError(message)
        # The message has addresses in it: it is no name for the place.
        self._parts.runtime.defects.report("an error in the event loop", error, callback=message)

    def _abandon(self) -> None:
        """Clean up after a start that failed: leave nothing running, and write the log."""
        self._supervisor.kill(1)
        self._listeners.close()
        if self._readyz:
            self._readyz.release()
        if self._metrics:
            self._metrics.release()
        if (audit := self._parts.runtime.audit) is not None:
            audit.ended(1)
            audit.close_sync(_CLOSING_S)
        self._parts.logs.flush_sync(_CLOSING_S)

    def _log_start(self, loaded: Loaded, options: ServeOptions) -> None:
        from cbox_init import __version__

        self._log.info("Cbox Init starting", version=__version__, config=loaded.path, pid=os.getpid())
        for problem in loaded.problems:
            self._log.warn(str(problem))
        if self._autotuned is not None:
            from cbox_init.php.autotune import log_autotuned

            log_autotuned(self._autotuned, self._log.info, self._log.warn)
        elif options.autotune_memory_threshold:
            self._log.warn("--autotune-memory-threshold has no effect without a profile for PHP-FPM")
        for address in self._listeners.addresses():
            self._log.info("Management API listening", address=address)
        for address in self._readyz.addresses() if self._readyz else ():
            self._log.info("Readiness listening", address=address)
        for address in self._metrics.addresses() if self._metrics else ():
            self._log.info("Metrics listening", address=address)


def _handed_on(*, with_file: bool) -> tuple[int, ...]:
    """The signals that go to the main process of ``run``: all but those that mean something to the daemon.

    Without a file there is nothing to reload, and no output of which a file could be opened again.
    """
    without_file = () if with_file else (signal.SIGHUP, signal.SIGUSR1)
    return (*WITHOUT_MEANING, signal.SIGWINCH, *without_file)


def _service_manager(environ: Mapping[str, str], runtime: Runtime) -> ServiceManager | None:
    """The service manager that started the daemon; None where it wants no notifications."""
    if "NOTIFY_SOCKET" not in environ:
        return None
    from cbox_init.supervisor.lifecycle.service_manager import service_manager

    return service_manager(environ, runtime, os.getpid())


def _counters() -> Counters:
    from cbox_init.telemetry.counters import Counters

    return Counters()


def _colours(form: LogFormat, environ: Mapping[str, str]) -> Colours | None:
    """Those of standard output, None when it has none."""
    if form is not LogFormat.TEXT:
        return None
    from cbox_init.logs.encode.colours import Colours, wanted

    return Colours() if wanted(environ, 1) else None


def _new_event_loop(lag: LoopLag) -> AbstractEventLoop:
    """asyncio's own loop, imported without ssl: 4 MB that only TLS needs (docs/architecture.md)."""
    with without("ssl"):
        import asyncio
    from cbox_init.telemetry.loop_lag import TimedSelector

    return asyncio.SelectorEventLoop(TimedSelector(lag))


def _print_plan(loaded: Loaded, environ: Mapping[str, str]) -> None:
    """Print what ``serve`` would start, a line for each process, in the order of starting."""
    from cbox_init.config.masking import secret_values
    from cbox_init.config.model.kinds import CpuCount
    from cbox_init.core.dependencies import order_up
    from cbox_init.sensitive import KnownSecrets, command_without_secrets

    known = KnownSecrets(lambda: secret_values(loaded.config, environ, loaded.withheld))
    enabled = loaded.config.enabled_processes()
    for rank in order_up({name: process.depends_on for name, process in enabled.items()}):
        for name in rank:
            process = enabled[name]
            after = f" after {', '.join(process.depends_on)}" if process.depends_on else ""
            scale = f"{process.scale} (auto)" if isinstance(process.scale, CpuCount) else process.scale
            when = f"schedule {process.schedule}" if process.schedule else f"scale {scale}"
            command = known.masked(" ".join(command_without_secrets(process.command)))
            print(f"{name}: {process.type}, {when}{after}: {command}")
