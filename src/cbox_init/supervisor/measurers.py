"""What measures the instances of one process while they run: its health checks and its autoscaling."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cbox_init.config.model import ProcessConfig
    from cbox_init.config.settings import ProcessSettings
    from cbox_init.core.health import CheckResult
    from cbox_init.core.instance import Instance
    from cbox_init.logs.process import ProcessLog
    from cbox_init.supervisor.autoscale.autoscaler import Autoscaler, Measurable
    from cbox_init.supervisor.health.monitor import HealthMonitor
    from cbox_init.supervisor.managed import Host
    from cbox_init.supervisor.runtime import Runtime
    from cbox_init.supervisor.status import AutoscaleStatus


class Measurers:
    """The health monitor and the autoscaler of a process, where its configuration has them.

    ``measurable`` gives what autoscaling decides on, None while it decides nothing. ``on_checked`` is called
    with the result of each health check, ``on_shown`` when the status of autoscaling has changed. Instances
    that are to be replaced keep the health checks that they were started under.
    """

    def __init__(
        self,
        name: str,
        settings: ProcessSettings,
        *,
        runtime: Runtime,
        log: ProcessLog,
        host: Host,
        measurable: Callable[[], Measurable | None],
        on_checked: Callable[[int, int, CheckResult], None],
        on_shown: Callable[[], None],
    ) -> None:
        self._name = name
        self._runtime = runtime
        self._log = log
        self._host = host
        self._measurable = measurable
        self._on_checked = on_checked
        self._on_shown = on_shown
        self._monitor = self._make_monitor(settings)
        self._outgoing: list[tuple[int, HealthMonitor | None]] = []
        self._autoscaler = self._make_autoscaler(settings.process)

    @property
    def autoscale(self) -> AutoscaleStatus | None:
        """The status of its autoscaling, None when it has none."""
        return None if self._autoscaler is None else self._autoscaler.status

    def follow(self, observed: Mapping[int, Instance]) -> None:
        """Check the instances that run from now on, and no others."""
        for generation, monitor in tuple(self._outgoing):
            older = {i: one for i, one in observed.items() if one.generation < generation}
            observed = {i: one for i, one in observed.items() if i not in older}
            if monitor is not None:
                monitor.follow(older)
            if not any(one.alive for one in older.values()):
                self._outgoing.remove((generation, monitor))
                if monitor is not None:
                    monitor.close()
        if self._monitor is not None:
            self._monitor.follow(observed)

    def change_checks(self, settings: ProcessSettings, *, before: int, after: int) -> None:
        """Use other health checks, but the old ones for instances that are to be replaced: those of a
        generation below ``after``, if it is above ``before``.
        """
        if after > before:
            self._outgoing.append((after, self._monitor))
        elif self._monitor is not None:
            self._monitor.close()
        self._monitor = self._make_monitor(settings)

    def change_autoscale(self, process: ProcessConfig) -> None:
        """Measure the load as ``process`` says; what was measured before is forgotten."""
        if self._autoscaler is not None:
            self._autoscaler.close()
        self._autoscaler = self._make_autoscaler(process)

    def scaled(self, count: int) -> None:
        """The scale was set by a command."""
        if self._autoscaler is not None:
            self._autoscaler.scaled(count)

    def close(self) -> None:
        """Check and measure no more."""
        for _, monitor in (*self._outgoing, (0, self._monitor)):
            if monitor is not None:
                monitor.close()
        if self._autoscaler is not None:
            self._autoscaler.close()

    def release(self) -> None:
        """Check and measure no more, and leave the monitors and the process: each would keep the other."""
        self.close()
        self._outgoing.clear()
        self._monitor = self._autoscaler = None
        self._measurable = lambda: None
        self._on_checked = lambda index, generation, result: None
        self._on_shown = lambda: None

    def _make_monitor(self, settings: ProcessSettings) -> HealthMonitor | None:
        rules = settings.health_rules
        if rules is None or not rules.checked:
            return None
        from cbox_init.supervisor.health.monitor import HealthMonitor

        return HealthMonitor(
            self._name,
            settings.process,
            rules=rules,
            runtime=self._runtime,
            redacted=self._log.redacted,
            on_result=self._on_checked,
        )

    def _make_autoscaler(self, process: ProcessConfig) -> Autoscaler | None:
        if process.autoscale is None or not process.autoscales:
            return None
        from cbox_init.supervisor.autoscale.autoscaler import Autoscaler

        return Autoscaler(
            self._name,
            process,
            process.autoscale,
            runtime=self._runtime,
            measurable=self._measurable,
            scale=lambda count, reason: self._host.autoscaled(self._name, count, reason),
            changed=self._on_shown,
            redacted=self._log.redacted,
        )
