"""Events as the body of a record: every text cleaned and cut, so that no client decides what a line is."""

from __future__ import annotations

import json
from math import isfinite
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from cbox_init.audit.chain import LONGEST_BODY
from cbox_init.logs.encode.base import encodable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cbox_init.acting import Actor

Status = Literal["success", "failure", "denied", "attempt"]
"""The outcome of an event; ``attempt``: a later record has the outcome."""

ContextValue = str | int | float | bool | None | dict[str, "ContextValue"] | list["ContextValue"]

#: The most characters of an identifier, and of a message or a value.
LONGEST_ID: Final = 256
_LONGEST_TEXT: Final = 1024
#: The most bytes of the context as JSON. One above it is cut, and says so.
_LARGEST_CONTEXT: Final = 24 * 1024
_MOST_MEMBERS: Final = 100
_DEEPEST: Final = 6


class Target(NamedTuple):
    """What it was done to: ``type`` is ``process``, ``instance``, ``config``, ``api`` or ``system``."""

    type: str
    id: str = ""
    name: str = ""


class AuditEvent(NamedTuple):
    """One event before it has a place in the chain."""

    timestamp: str
    event_type: str
    actor: Actor
    action: str
    resource: Target
    status: Status
    message: str
    context: Mapping[str, ContextValue]

    def body(self) -> bytes:
        """The event as a JSON object in ASCII, of bounded size."""
        members = {
            "timestamp": self.timestamp,
            "event_type": self.event_type,
            "actor": {key: _shown(value) for key, value in self.actor._asdict().items() if value is not None},
            "action": clean(self.action, LONGEST_ID),
            "resource": {key: clean(value, LONGEST_ID) for key, value in self.resource._asdict().items()},
            "status": self.status,
            "message": clean(self.message),
            "context": _bounded(self.context),
        }
        body = _json(members)
        if len(body) > LONGEST_BODY:
            body = _json({**members, "context": {"cut_bytes": len(body)}})
        return body


def clean(text: str, longest: int = _LONGEST_TEXT) -> str:
    """``text`` with at most ``longest`` characters; a cut text ends with how long it was."""
    if len(text) > longest:
        end = f"... ({len(text)} characters)"
        text = text[: longest - len(end)] + end
    return encodable(text)


def _json(value: object) -> bytes:
    # All but ASCII is escaped: what a terminal could take for a command or for another direction of writing.
    return json.dumps(value, separators=(",", ":")).replace("\x7f", "\\u007f").encode()


def _bounded(context: Mapping[str, ContextValue]) -> object:
    given = {key: value for key, value in context.items() if value is not None}
    cleaned = _cleaned(given, _DEEPEST)
    size = len(_json(cleaned))
    if size <= _LARGEST_CONTEXT:
        return cleaned
    # Whatever is short is kept: the request id is.
    short = {
        key: value for key, value in given.items() if len(_json(_cleaned(value, _DEEPEST))) <= LONGEST_ID
    }
    return {**_mapping(short, _DEEPEST), "cut_bytes": size}


def _cleaned(value: object, levels: int) -> object:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return _mapping(value, levels)
    if isinstance(value, list | tuple):
        return _list(value, levels)
    if isinstance(value, float) and not isfinite(value):
        return str(value)  # JSON has no infinity
    return value if isinstance(value, int | float | None) else clean(str(value))


def _mapping(value: Mapping[str, object], levels: int) -> dict[str, object]:
    members = list(value.items())[:_MOST_MEMBERS] if levels else []
    shown = {clean(str(key), LONGEST_ID): _cleaned(member, levels - 1) for key, member in members}
    if len(members) < len(value):
        shown["..."] = f"{len(value) - len(members)} more"
    return shown


def _list(value: Sequence[object], levels: int) -> list[object]:
    members = value[:_MOST_MEMBERS] if levels else []
    shown = [_cleaned(member, levels - 1) for member in members]
    if len(shown) < len(value):
        shown.append(f"... {len(value) - len(shown)} more")
    return shown


def _shown(value: object) -> object:
    return clean(value, LONGEST_ID) if isinstance(value, str) else value
