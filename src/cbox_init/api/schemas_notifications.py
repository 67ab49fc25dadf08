"""The replies about notifications, as types (see `cbox_init.api.schemas`)."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from cbox_init.api.schemas import Count, Timestamp  # noqa: TC001  # msgspec reads the annotations


class NotificationEntry(Struct, frozen=True, kw_only=True):
    """One notification that is enabled, with its figures. Neither its address nor its headers are shown."""

    name: str
    type: Annotated[str, Meta(extra_json_schema={"enum": ["webhook", "command"]})]
    template: (
        Annotated[
            str,
            Meta(
                description="The form of the body, of a webhook; custom is a text with placeholders.",
                extra_json_schema={"enum": ["json", "slack", "discord", "ntfy", "pagerduty", "custom"]},
            ),
        ]
        | UnsetType
    ) = UNSET
    events: Annotated[tuple[str, ...], Meta(description="Patterns of kinds, and problems.")]
    processes: Annotated[tuple[str, ...], Meta(description="Patterns of names; none is all.")]
    waiting: Annotated[int, Meta(ge=0, description="Messages that are not sent yet.")]
    sent: Count
    failed: Annotated[int, Meta(ge=0, description="Messages that could not be delivered.")]
    dropped: Annotated[int, Meta(ge=0, description="Events that were dropped, as too many waited.")]
    retries: Annotated[int, Meta(ge=0, description="Tries that failed and were followed by another.")]
    last_sent: Timestamp | UnsetType = UNSET
    last_failed: Timestamp | UnsetType = UNSET
    last_error: Annotated[str, Meta(description="Why the last try failed that did.")] | UnsetType = UNSET


class NotificationList(Struct, frozen=True):
    """The notifications, in the order of the configuration."""

    notifications: tuple[NotificationEntry, ...]


class NotificationTest(Struct, frozen=True):
    """What has become of a test."""

    notification: str
    delivered: bool
    error: Annotated[str, Meta(description="Why it was not delivered.")] | UnsetType = UNSET
