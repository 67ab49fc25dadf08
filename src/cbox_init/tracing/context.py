"""The W3C trace context: which trace a request, a job or a hook belongs to."""

from __future__ import annotations

import re
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

#: The form of `traceparent`. A later version may have more behind the flags.
_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")

#: A list of `key=value`, as far as it matters here: it is handed on, and read by others.
_STATE_MEMBER: Final = re.compile(r"[a-z0-9][a-z0-9_*/@-]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{1,256}")

_LONGEST_PARENT: Final = 256
_LONGEST_STATE: Final = 512
_MOST_MEMBERS: Final = 32
_SAMPLED: Final = 0x01


class TraceContext(NamedTuple):
    """A span as others refer to it: its trace, its id, whether it is sent, and the `tracestate`."""

    trace_id: int
    span_id: int
    sampled: bool
    state: str = ""

    @property
    def traceparent(self) -> str:
        """The value of the header and of TRACEPARENT."""
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-{'01' if self.sampled else '00'}"

    def variables(self) -> dict[str, str]:
        """What a child gets in its environment."""
        variables = {"TRACEPARENT": self.traceparent}
        if self.state:
            variables["TRACESTATE"] = self.state
        return variables


requested: ContextVar[TraceContext | None] = ContextVar("requested", default=None)
"""The span of the client whose request is carried out. What a command starts later does not see it."""


def parse(traceparent: str, tracestate: str = "") -> TraceContext | None:
    """The context of these two headers; None where ``traceparent`` cannot be used.

    A ``tracestate`` that is malformed or too long is left out, as W3C has it.
    """
    if len(traceparent) > _LONGEST_PARENT:
        return None
    found = _TRACEPARENT.fullmatch(traceparent.strip(" \t"))
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more):
        return None
    trace, span = int(trace_id, 16), int(span_id, 16)
    if not trace or not span:
        return None
    return TraceContext(trace, span, bool(int(flags, 16) & _SAMPLED), _usable_state(tracestate))


def from_headers(headers: Iterable[tuple[bytes, bytes]]) -> TraceContext | None:
    """The context that a request was sent with, None without a usable one."""
    parent: str | None = None
    states: list[str] = []
    for name, value in headers:
        if name == b"traceparent":
            if parent is not None:  # two of them: neither counts
                return None
            parent = value.decode("latin-1")
        elif name == b"tracestate":
            states.append(value.decode("latin-1"))
    return None if parent is None else parse(parent, ",".join(states))


def _usable_state(text: str) -> str:
    if len(text) > _LONGEST_STATE:
        return ""
    members = [member for part in text.split(",") if (member := part.strip(" \t"))]
    keys = {member.partition("=")[0] for member in members}
    if len(members) > _MOST_MEMBERS or len(keys) < len(members):
        return ""
    return ",".join(members) if all(map(_STATE_MEMBER.fullmatch, members)) else ""
