"""Builds the parts of the daemon apart from its listeners, for the daemon and for its tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbox_init.logs.descriptor_writer import DescriptorWriter
from cbox_init.logs.hub import LogHub
from cbox_init.sensitive import KnownSecrets
from cbox_init.supervisor.run_queue import RunQueue
from cbox_init.supervisor.runtime import Runtime
from cbox_init.supervisor.supervisor import Supervisor
from cbox_init.system.reaper import Reaper
from cbox_init.system.spawn import Spawner

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Iterator, Mapping

    from cbox_init.config.load import ConfigSource
    from cbox_init.config.model import Config, LogLevel
    from cbox_init.logs.encode.colours import Colours
    from cbox_init.supervisor.configuration.configuration import Configuration
    from cbox_init.supervisor.lifecycle.service_manager import ServiceManager
    from cbox_init.telemetry.counters import Counters


class DaemonParts:
    """Owns the spawner, the logs and the supervisor. ``runtime`` is what processes use.

    ``configuration`` is loaded when it is first needed.
    """

    def __init__(
        self, config: Config, source: ConfigSource | None, *, logs: LogHub, spawner: Spawner, runtime: Runtime
    ) -> None:
        self.logs = logs
        self.runtime = runtime
        self.supervisor: Supervisor
        self._config = config
        self._source = source
        self._spawner = spawner
        self._configuration: Configuration | None = None

    @property
    def configuration(self) -> Configuration:
        """The configuration in force, with the commands that change it."""
        if self._configuration is None:
            from cbox_init.supervisor.configuration.configuration import Configuration

            self._configuration = Configuration(
                self.supervisor, self._source, logs=self.logs, runtime=self.runtime
            )
        return self._configuration

    def attach(self, loop: AbstractEventLoop) -> None:
        """Use the event loop from now on."""
        self.logs.attach(loop)
        self.runtime.run_queue.attach(loop)
        self.supervisor.attach(loop)
        if self.runtime.audit is not None:
            self.runtime.audit.attach(loop)

    async def abandon_changes(self) -> None:
        """Cancel changes of the configuration that have not been made: the daemon ends."""
        if self._configuration is not None:
            await self._configuration.close()

    def close(self) -> None:
        """Close the spawner, after the logs are closed."""
        self._spawner.close()


def build_daemon(
    config: Config,
    source: ConfigSource | None,
    *,
    environ: Mapping[str, str],
    on_finished: Callable[[int], None],
    stdout: DescriptorWriter | None = None,
    level: LogLevel | None = None,
    colours: Colours | None = None,
    counters: Counters | None = None,
    manager: Callable[[Runtime], ServiceManager | None] | None = None,
    on_started: Callable[[], object] | None = None,
    runtime_class: type[Runtime] = Runtime,
    withheld: frozenset[str] = frozenset(),
) -> DaemonParts:
    """Build the parts for ``config``, which came from ``source``; nothing is started.

    ``environ`` is the environment of children. ``stdout`` writes to standard output by default, and ``level``
    is by default ``global.log_level``. ``counters`` are given when metrics are enabled. ``manager`` makes the
    link to the service manager that started the daemon. ``withheld`` names the variables of ``source`` that
    are secrets of the daemon.
    """
    settings = config.global_
    stdout = stdout or DescriptorWriter()
    logs = LogHub(
        fmt=settings.log_format,
        level=settings.log_level if level is None else level,
        timestamps=settings.log_timestamps,
        stdout=stdout,
        colours=colours,
        overflow=settings.log_overflow,
        outputs=settings.log_outputs,
    )

    def secret() -> Iterator[str]:
        from cbox_init.config.masking import secret_values

        everything = source.environ if source is not None else environ
        return secret_values(config, everything, withheld)

    secrets = KnownSecrets(secret)
    logs.daemon.mask = secrets.masked
    spawner = Spawner()
    audit = None
    if settings.audit_enabled:
        from cbox_init.audit.trail import AuditTrail

        audit = AuditTrail(settings, logs.daemon, secrets)
    runtime = runtime_class(
        run_queue=RunQueue(stdout),
        spawner=spawner,
        reaper=Reaper(),
        log=logs.daemon,
        environ=environ,
        counters=counters,
        audit=audit,
        secrets=secrets,
    )
    runtime.run_queue.on_error = lambda reconciler, error: runtime.defects.report(
        f"{type(reconciler).__name__} failed and is tried again", error
    )
    parts = DaemonParts(config, source, logs=logs, spawner=spawner, runtime=runtime)
    parts.supervisor = Supervisor(
        config,
        logs=logs,
        runtime=runtime,
        on_finished=on_finished,
        manager=manager(runtime) if manager else None,
        on_started=on_started,
    )
    return parts
