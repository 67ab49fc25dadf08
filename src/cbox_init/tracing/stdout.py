"""Writes spans to the daemon's log, one line for each: ``tracing_exporter: stdout``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbox_init.logs.encode.base import Timestamps

if TYPE_CHECKING:
    from cbox_init.logs.daemon import DaemonLog
    from cbox_init.logs.encode.base import Field
    from cbox_init.tracing.span import TraceSpan


class LogSpans:
    """Takes spans that have ended. Needs no thread and no other package."""

    lost = 0
    waiting = 0

    def __init__(self, log: DaemonLog) -> None:
        self._log = log
        self._times = Timestamps()

    def put(self, span: TraceSpan) -> None:
        """Write a span, whatever the level of the log."""
        context = span.context
        fields: dict[str, Field] = {
            "name": span.name,
            "trace_id": f"{context.trace_id:032x}",
            "span_id": f"{context.span_id:016x}",
            "parent_span_id": f"{span.parent_id:016x}" if span.parent_id else None,
            "start": self._times.microseconds(span.start_ns),
            "duration_ms": round((span.end_ns - span.start_ns) / 1e6, 3),
            "status": "ok" if span.error is None else "error",
            "error": span.error,
            **span.attributes,
        }
        self._log.always("Span", **fields)

    async def close(self, timeout_s: float) -> None:
        """There is nothing to send."""
