"""Whether the container is ready."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbox_init.api.caller import processes_shown_to
from cbox_init.api.replies import json_response
from cbox_init.api.resource import Operation, Reply, Resource, answering
from cbox_init.api.schemas import ProcessReadiness, ReadinessReply
from cbox_init.config.model.enums import Role

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from cbox_init.api.context import Context


def resources(context: Context) -> tuple[Resource, ...]:
    """``/readiness``."""

    async def show(request: Request) -> Response:
        report = context.supervisor.lifecycle.readiness_report()
        shown = processes_shown_to(request.scope)
        return json_response(
            ReadinessReply(
                report.ready,
                tuple(
                    ProcessReadiness(one.name, one.state.value, one.health)
                    for one in report.processes
                    if one.name in shown
                ),
            )
        )

    get = Operation(
        answering(show),
        role=Role.VIEWER,
        name="getReadiness",
        summary="Whether all processes that count for the readiness of the container are ready",
        limited=True,
        replies={200: Reply("The present state.", ReadinessReply)},
    )
    return (Resource("/api/v1/readiness", {"GET": get}),)
