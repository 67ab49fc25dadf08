"""The tracing of one daemon: where its spans go to, as its configuration says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from cbox_init.config.tracing_target import target_of
from cbox_init.errors import UnknownChange
from cbox_init.tracing.extra import INSTALL, missing_package
from cbox_init.tracing.recorder import Recorder
from cbox_init.tracing.sender import Exporter, MissingExtra, SpanSender
from cbox_init.tracing.span import Sampler

if TYPE_CHECKING:
    from asyncio import Task
    from collections.abc import Callable

    from cbox_init.config.model import GlobalConfig
    from cbox_init.config.tracing_target import TracingTarget
    from cbox_init.supervisor.changes import Change
    from cbox_init.supervisor.instance.launch import Work
    from cbox_init.supervisor.runtime import Runtime
    from cbox_init.supervisor.supervisor import Supervisor
    from cbox_init.tracing.span import TraceSpan

#: How long the end, or another collector, waits until the last spans are sent, in seconds.
FLUSH_S: Final = 2.0


class Output(Protocol):
    """Takes spans that have ended."""

    def put(self, span: TraceSpan) -> None: ...

    async def close(self, timeout_s: float) -> None: ...


class Tracing:
    """Records spans from its construction on, until ``close``; all calls are made in the event loop.

    ``at_start``: the daemon has yet to start its processes.
    """

    def __init__(self, supervisor: Supervisor, runtime: Runtime, *, at_start: bool) -> None:
        self._supervisor = supervisor
        self._runtime = runtime
        self._settings = settings = supervisor.config.global_
        self._output: Output | None = None
        self._closing: set[Task[None]] = set()
        self._leave: Callable[[], None] | None = None
        self.recorder = Recorder(
            Sampler(settings.tracing_sample_rate),
            self._put,
            scale_of=lambda name: supervisor.table[name].desired.scale if name in supervisor.table else 0,
            change_of=self._change_of,
            count=lambda: len(supervisor.table),
        )
        if settings.tracing_enabled:
            self._begin()
            if at_start:
                self.recorder.begin_start()

    def reconfigure(self) -> None:
        """Use the configuration in force, after a reload: another collector gets the spans from now on."""
        before, settings = self._settings, self._supervisor.config.global_
        if _keys(before) == _keys(settings):
            return
        self._settings = settings
        self.recorder.sampler = Sampler(settings.tracing_sample_rate)
        if _destination(before) == _destination(settings):
            return
        if not settings.tracing_enabled:
            self._end()
        if self._output is not None:
            self._close_later(self._output)
            self._output = None
        if settings.tracing_enabled:
            self._begin()

    async def close(self) -> None:
        """End all spans and send them, within ``FLUSH_S``."""
        self._end()
        output, self._output = self._output, None
        if output is not None:
            await output.close(FLUSH_S)
        if self._closing:
            from asyncio import wait

            await wait(self._closing, timeout=FLUSH_S)

    def _begin(self) -> None:
        self._output = self._make_output()
        if self._leave is None:
            self._leave = self._runtime.events.listen(self.recorder.heard)
            self._runtime.job_variables = self._variables

    def _end(self) -> None:
        if self._leave is not None:
            self._leave()
            self._leave = None
        self._runtime.job_variables = None
        with self._runtime.defects.contain("spans could not be ended"):
            self.recorder.finish()

    def _variables(self, work: Work, process: str, name: str) -> dict[str, str]:
        with self._runtime.defects.contain("the trace of a job could not be begun"):
            return self.recorder.variables(work, process, name)
        return {}

    def _change_of(self, identity: str) -> Change | None:
        try:
            return self._supervisor.changes[identity]
        except UnknownChange:
            return None

    def _put(self, span: TraceSpan) -> None:
        if self._output is not None:
            self._output.put(span)

    def _make_output(self) -> Output:
        settings, log = self._settings, self._runtime.log
        target = target_of(settings)  # it was checked with the configuration
        if target is None:
            from cbox_init.tracing.stdout import LogSpans

            return LogSpans(log)
        service, package = settings.tracing_service_name, missing_package(grpc=target.grpc)
        missing = None if package is None else f"{package} is not installed: {INSTALL}"
        return SpanSender(lambda: _exporter(target, service), log, target.endpoint, missing=missing)

    def _close_later(self, output: Output) -> None:
        from asyncio import get_running_loop

        task = get_running_loop().create_task(output.close(FLUSH_S))
        self._closing.add(task)
        task.add_done_callback(self._closed)

    def _closed(self, task: Task[None]) -> None:
        self._closing.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._runtime.defects.report("spans could not be sent at the end", error)


def _exporter(target: TracingTarget, service_name: str) -> Exporter:
    """What sends spans; called in the thread that does. Raises MissingExtra."""
    from cbox_init.imports import whole

    try:
        with whole():
            from cbox_init.tracing.sdk import SdkExporter

            return SdkExporter(target, service_name)
    except ImportError as error:
        raise MissingExtra(f"{error}: {INSTALL}") from error


def _keys(settings: GlobalConfig) -> tuple[object, ...]:
    return (*_destination(settings), settings.tracing_sample_rate)


def _destination(settings: GlobalConfig) -> tuple[object, ...]:
    return (
        settings.tracing_enabled,
        settings.tracing_exporter,
        settings.tracing_endpoint,
        settings.tracing_use_tls,
        settings.tracing_service_name,
    )
