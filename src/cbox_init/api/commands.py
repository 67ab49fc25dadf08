"""The replies to commands: at once with the change that was begun, or when that has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cbox_init.api.replies import json_response

if TYPE_CHECKING:
    from msgspec import Struct
    from starlette.responses import Response

    from cbox_init.supervisor.changes import Change

CHANGES: Final = "/api/v1/changes"


def accepted(reply: Struct, change: Change, status: int = 202) -> Response:
    """The reply to a command that was accepted; ``Location`` is where its change is shown."""
    return json_response(reply, status, {"location": f"{CHANGES}/{change.id}"})
