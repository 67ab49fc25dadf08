"""Changes as the replies of the API."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec import UNSET

from cbox_init.api.schemas_changes import ActorEntry, ChangeEntry, ProgressEntry, StepEntry

if TYPE_CHECKING:
    from cbox_init.acting import Actor
    from cbox_init.supervisor.changes import Change, Changes


def change_entry(changes: Changes, change: Change) -> ChangeEntry:
    """One change with its instances."""
    done, total = change.figures
    return ChangeEntry(
        id=change.id,
        kind=change.kind,
        process=change.process,
        processes=change.processes if len(change.processes) > 1 else UNSET,
        status=change.status,
        reason=change.reason or UNSET,
        actor=_actor_entry(change.actor),
        why=change.why or UNSET,
        request_id=change.request_id or UNSET,
        started_at=_rfc3339(change.started_unix),
        ended_at=UNSET if change.ended_unix is None else _rfc3339(change.ended_unix),
        progress=ProgressEntry(done=done, total=total),
        instances=tuple(
            StepEntry(
                id=step.id,
                process=step.process,
                status=step.status,
                state=step.state,
                reason=step.reason or UNSET,
                last_output=step.last_output or UNSET,
            )
            for step in changes.steps(change)
        ),
        exit_code=UNSET if change.exit_code is None else change.exit_code,
        superseded_by=change.superseded_by or UNSET,
        version=change.version,
    )


def _actor_entry(actor: Actor) -> ActorEntry:
    return ActorEntry(type=actor.type, id=actor.id, ip=actor.ip or UNSET, role=actor.role or UNSET)


def _rfc3339(unix: float) -> str:
    return datetime.fromtimestamp(unix, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
