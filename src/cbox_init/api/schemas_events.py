"""The JSON of events, in a stream and in replies."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from cbox_init.api.schemas import Timestamp  # noqa: TC001  # fields of a Struct

EventId = Annotated[str, Meta(description="The run of the daemon and the number of an event in it.")]


class EventEntry(Struct, frozen=True, kw_only=True):
    """Something that has happened. Without ``process`` it is the daemon's own."""

    number: Annotated[int, Meta(ge=1, description="Events are numbered from 1 in each run of the daemon.")]
    timestamp: Timestamp
    kind: Annotated[str, Meta(description="Such as instance.exited.")]
    process: str | UnsetType = UNSET
    instance: str | UnsetType = UNSET
    change: Annotated[str, Meta(description="The id of the change that it belongs to.")] | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    data: (
        Annotated[dict[str, Any], Meta(description="What else is known: texts, numbers, booleans.")]
        | UnsetType
    ) = UNSET


class MissedEvents(Struct, frozen=True):
    """Events are missing here that the daemon no longer has. Without ``count`` the number is not known.
    ``restarted``: the id is from before a restart of the daemon, whose events follow from the first on.
    """

    count: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    restarted: bool | UnsetType = UNSET


class EventList(Struct, frozen=True, kw_only=True):
    """Events, with the id from which one can go on."""

    count: int
    events: tuple[EventEntry, ...]
    last_event_id: EventId
    process: str | UnsetType = UNSET
    missed: MissedEvents | UnsetType = UNSET
