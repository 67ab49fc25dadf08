"""Gives spans to opentelemetry-sdk and its OTLP exporters. Imported in the thread that sends them.

The SDK's own queue, threads, sampling and end at the interpreter's exit are not used: `sender` has them, with
the daemon's limits. All that the SDK logs becomes the reason of a failed export.
"""

from __future__ import annotations

import logging
import os
import socket
from typing import TYPE_CHECKING, Final

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from cbox_init import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cbox_init.config.tracing_target import TracingTarget
    from cbox_init.tracing.span import TraceSpan

#: How long one export may take, with the tries that the SDK makes, in seconds.
EXPORT_TIMEOUT_S: Final = 10.0

_LOGGERS: Final = ("opentelemetry", "grpc", "requests", "urllib3")
_LONGEST_REASON: Final = 500


class SdkExporter:
    """Sends spans to one collector."""

    def __init__(
        self, target: TracingTarget, service_name: str, *, timeout_s: float = EXPORT_TIMEOUT_S
    ) -> None:
        self._reason = _FirstMessage()
        self._exporter = (
            _grpc(target, timeout_s) if target.grpc else _http(target, timeout_s, self._reason.note)
        )
        _listen_to_libraries(self._reason)
        self._ids = _GivenIds()
        self._ended = _Ended()
        provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=Resource.create(
                {
                    "service.name": service_name,
                    "service.version": __version__,
                    "host.name": socket.gethostname(),
                    "process.pid": os.getpid(),
                }
            ),
            shutdown_on_exit=False,
            id_generator=self._ids,
        )
        provider.add_span_processor(self._ended)
        self._tracer = provider.get_tracer("cbox-init", __version__)

    def export(self, spans: Sequence[TraceSpan]) -> str | None:
        """Send these; gives the reason when that failed."""
        self._reason.text = ""
        ready = [self._readable(span) for span in spans]
        if self._exporter.export(ready) is SpanExportResult.SUCCESS:
            return None
        return self._reason.text or "the collector did not take them"

    def close(self) -> None:
        """Release the connection; an export under way fails."""
        self._exporter.shutdown()

    def _readable(self, span: TraceSpan) -> ReadableSpan:
        self._ids.trace_id, self._ids.span_id = span.context.trace_id, span.context.span_id
        context = None
        if span.parent_id:
            state = trace.TraceState.from_header([span.context.state]) if span.context.state else None
            parent = trace.SpanContext(
                span.context.trace_id,
                span.parent_id,
                is_remote=span.remote,
                trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED),
                trace_state=state,
            )
            context = trace.set_span_in_context(trace.NonRecordingSpan(parent))
        made = self._tracer.start_span(
            span.name,
            context=context if context is not None else trace.set_span_in_context(trace.INVALID_SPAN),
            kind=trace.SpanKind.SERVER if span.remote else trace.SpanKind.INTERNAL,
            attributes=span.attributes,
            start_time=span.start_ns,
        )
        if span.error is not None:
            made.set_status(trace.Status(trace.StatusCode.ERROR, span.error))
        made.end(max(span.start_ns, span.end_ns))
        return self._ended.take()


class _GivenIds(IdGenerator):
    """Gives the ids that the recorder has made: jobs and hooks have had them since."""

    trace_id = 0
    span_id = 0

    def generate_span_id(self) -> int:
        return self.span_id

    def generate_trace_id(self) -> int:
        return self.trace_id


class _Ended(SpanProcessor):
    """Keeps the span that has just ended."""

    _span: ReadableSpan | None = None

    def on_end(self, span: ReadableSpan) -> None:
        self._span = span

    def take(self) -> ReadableSpan:
        """That span."""
        span, self._span = self._span, None
        if span is None:
            raise RuntimeError("the SDK records no spans; is OTEL_SDK_DISABLED set?")
        return span


class _FirstMessage(logging.Handler):
    """Keeps the first warning of the SDK about an export; the others say that it has tried again."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.note(record.getMessage())
        except (TypeError, ValueError):  # arguments that do not fit the message
            self.note(str(record.msg))

    def note(self, text: str) -> None:
        """Keep this, unless there was a message before."""
        self.text = self.text or text[:_LONGEST_REASON]


def _listen_to_libraries(handler: logging.Handler) -> None:
    """Give the messages of the libraries to ``handler`` alone."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.propagate = False
        logger.setLevel(logging.WARNING)
    for name, logger_or_place in list(logging.root.manager.loggerDict.items()):
        if name.startswith("opentelemetry.") and isinstance(logger_or_place, logging.Logger):
            logger_or_place.filters.clear()  # the SDK leaves out what it has said in the last 20 s


def _grpc(target: TracingTarget, timeout_s: float) -> SpanExporter:
    # Its C library writes to standard error, and handles fork(2), unless the environment says otherwise
    # before it is loaded. Not `os.environ`, which other threads read.
    os.putenv("GRPC_VERBOSITY", "NONE")
    os.putenv("GRPC_ENABLE_FORK_SUPPORT", "0")
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter(endpoint=target.endpoint, insecure=not target.tls, timeout=timeout_s)


def _http(target: TracingTarget, timeout_s: float, note: Callable[[str], None]) -> SpanExporter:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from requests import RequestException, Response, Session

    class HeadsOnly(Session):
        """Reads no more of a response than its head: a body may be of any length."""

        def request(self, *args: object, **kwargs: object) -> Response:
            # `verify` here, else REQUESTS_CA_BUNDLE replaces OTEL_EXPORTER_OTLP_CERTIFICATE.
            given = {**kwargs, "stream": True, "verify": self.verify}
            try:
                response = super().request(*args, **given)  # type: ignore[arg-type]
            except RequestException as error:
                note(str(error))
                raise
            response.close()
            return response

    return OTLPSpanExporter(endpoint=target.endpoint, timeout=timeout_s, session=HeadsOnly())
