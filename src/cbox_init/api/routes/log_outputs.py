"""The outputs of log records, with the numbers written and dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET

from cbox_init.api.caller import processes_shown_to
from cbox_init.api.replies import json_response
from cbox_init.api.resource import Operation, Reply, Resource, answering
from cbox_init.api.schemas import LogOutput, LogOutputs
from cbox_init.config.model.enums import Role

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from cbox_init.api.context import Context


def resources(context: Context) -> tuple[Resource, ...]:
    """``/logs/outputs``."""
    logs = context.logs

    async def outputs(request: Request) -> Response:
        shown = processes_shown_to(request.scope) or None
        found = tuple(
            LogOutput(
                type=one.type,
                target=one.target,
                written=one.written,
                dropped=one.dropped,
                queued_bytes=one.queued_bytes,
                error=UNSET if one.error is None else one.error,
            )
            for one in logs.outputs(shown)
        )
        return json_response(LogOutputs(found, logs.rate_limited(shown)))

    get = Operation(
        answering(outputs),
        role=Role.VIEWER,
        name="getLogOutputs",
        summary="The outputs of log records, with the numbers written and dropped",
        replies={200: Reply("Standard output first.", LogOutputs)},
        limited=True,
    )
    return (Resource("/api/v1/logs/outputs", {"GET": get}),)
