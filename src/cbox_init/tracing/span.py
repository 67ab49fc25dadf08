"""One span, and which traces are sent."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from msgspec import Struct, field

from cbox_init.tracing.context import TraceContext

if TYPE_CHECKING:
    from collections.abc import Mapping

Value = str | int | float | bool

#: How long an attribute's text may be, and how many a span may have: they come from events, names and errors.
LONGEST_TEXT: Final = 1000
MOST_ATTRIBUTES: Final = 32


class TraceSpan(Struct):
    """Something that takes time. ``parent_id`` is 0 for the first span of a trace.

    ``remote``: the parent is a span of a client of the API. ``error`` says why it failed.
    """

    name: str
    context: TraceContext
    parent_id: int
    start_ns: int
    remote: bool = False
    end_ns: int = 0
    attributes: dict[str, Value] = field(default_factory=dict)
    error: str | None = None

    def describe(self, attributes: Mapping[str, Value | None]) -> None:
        """Add attributes; those that are None or empty are left out."""
        for name, value in attributes.items():
            if value is None or value == "":
                continue
            if name in self.attributes or len(self.attributes) < MOST_ATTRIBUTES:
                self.attributes[name] = value[:LONGEST_TEXT] if isinstance(value, str) else value


class Sampler:
    """Decides which traces are sent: those of a parent that is sent, and ``rate`` of the others.

    The share is taken from the trace's id, as opentelemetry-sdk does it, so that services with the same rate
    send the same traces.
    """

    def __init__(self, rate: float) -> None:
        self._below = round(rate * 2**64)

    def begin(
        self, name: str, parent: TraceContext | None = None, *, remote: bool = False, start_ns: int = 0
    ) -> TraceSpan:
        """A span that begins now, in the trace of ``parent`` or in a trace of its own."""
        span_id = _random_id(8)
        if parent is None:
            trace_id = _random_id(16)
            context = TraceContext(trace_id, span_id, trace_id % 2**64 < self._below)
        else:
            context = parent._replace(span_id=span_id)
        parent_id = parent.span_id if parent is not None else 0
        return TraceSpan(name, context, parent_id, start_ns or time.time_ns(), remote=remote)


def _random_id(size: int) -> int:
    """A number of ``size`` bytes that is not 0. The module `random` would bring 5 MB of OpenSSL."""
    return int.from_bytes(os.urandom(size)) or 1
