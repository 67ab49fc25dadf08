"""What the API shows of changes: commands that were accepted, and what has become of them."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from cbox_init.api.schemas import ChangeId, Count, State, Timestamp  # noqa: TC001  # types of members

CHANGE_STATUSES = ("doing", "done", "failed", "superseded", "aborted")
STEP_STATUSES = ("doing", "done", "failed")

ChangeStatusName = Annotated[
    str,
    Meta(
        description="superseded: a later command wants something else. aborted: it was abandoned, or what it "
        "was about is gone.",
        extra_json_schema={"enum": list(CHANGE_STATUSES)},
    ),
]


class ActorEntry(Struct, frozen=True, kw_only=True):
    """Who asked for a change."""

    type: Annotated[
        str,
        Meta(
            description="How it was recognised; system is the daemon itself.",
            extra_json_schema={
                "enum": ["token", "certificate", "socket", "session", "loopback", "anonymous", "system"],
            },
        ),
    ]
    id: Annotated[str, Meta(description="The name of the token, the certificate or the user.")]
    ip: str | UnsetType = UNSET
    role: str | UnsetType = UNSET


class StepEntry(Struct, frozen=True, kw_only=True):
    """How far a change is with one instance."""

    id: str
    process: str
    status: Annotated[str, Meta(extra_json_schema={"enum": list(STEP_STATUSES)})]
    state: State
    reason: str | UnsetType = UNSET
    last_output: (
        Annotated[tuple[str, ...], Meta(description="Its last lines, when it has failed.")] | UnsetType
    ) = UNSET


class ProgressEntry(Struct, frozen=True, kw_only=True):
    """How many instances are as the change wants them, and of how many."""

    done: Count
    total: Count


class ChangeEntry(Struct, frozen=True, kw_only=True):
    """A command that was accepted, and what has become of it."""

    id: ChangeId
    kind: Annotated[str, Meta(description="The command: start, stop, restart, scale, reload, trigger, ….")]
    process: Annotated[str, Meta(description="The name of its process; * for all, and for several.")]
    processes: (
        Annotated[tuple[str, ...], Meta(description="The names, where there are several.")] | UnsetType
    ) = UNSET
    status: ChangeStatusName
    reason: (
        Annotated[
            str,
            Meta(
                description="Why it has failed or was superseded or aborted; before that, what it waits for."
            ),
        ]
        | UnsetType
    ) = UNSET
    actor: ActorEntry
    why: Annotated[str, Meta(description="The reason that was given with the command.")] | UnsetType = UNSET
    request_id: Annotated[str, Meta(description="That of the audit.")] | UnsetType = UNSET
    started_at: Timestamp
    ended_at: Timestamp | UnsetType = UNSET
    progress: ProgressEntry
    instances: Annotated[
        tuple[StepEntry, ...], Meta(description="At most 100, those that have failed first.")
    ]
    exit_code: Annotated[int, Meta(description="Of the run that was triggered.")] | UnsetType = UNSET
    superseded_by: ChangeId | UnsetType = UNSET
    version: Annotated[int, Meta(ge=0, description="Raised by every step; for the parameter seen.")]


class ChangeList(Struct, frozen=True, kw_only=True):
    """Changes, newest first."""

    changes: tuple[ChangeEntry, ...]
    count: Count
    limit: Count
