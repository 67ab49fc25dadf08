"""The daemon itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbox_init.api.replies import json_response
from cbox_init.api.resource import Operation, Reply, Resource, answering
from cbox_init.api.schemas import DaemonEntry
from cbox_init.api.views import daemon_entry
from cbox_init.config.model.enums import Role
from cbox_init.system.own_figures import read_own_figures

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from cbox_init.api.context import Context


def resources(context: Context) -> tuple[Resource, ...]:
    """``/daemon``."""

    async def show(request: Request) -> Response:
        return json_response(
            daemon_entry(
                context.vitals,
                read_own_figures(),
                context.supervisor.counts(),
                context.logs.figures,
                context.traffic,
            )
        )

    get = Operation(
        answering(show),
        role=Role.VIEWER,
        name="getDaemon",
        summary="The daemon itself: version, age, resource usage, event loop latency",
        replies={200: Reply("The present state.", DaemonEntry)},
    )
    return (Resource("/api/v1/daemon", {"GET": get}),)
