"""The daemon itself, and its shutdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbox_init.api.caller import actor_of
from cbox_init.api.replies import json_response
from cbox_init.api.resource import Operation, Reply, Resource, answering
from cbox_init.api.schemas import DaemonEntry
from cbox_init.api.schemas_actions import ShutdownReply
from cbox_init.api.views import daemon_entry
from cbox_init.config.model.enums import Role
from cbox_init.system.own_figures import read_own_figures

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from cbox_init.api.context import Context


def resources(context: Context) -> tuple[Resource, ...]:
    """``/daemon`` and ``/shutdown``."""

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

    async def shut_down(request: Request) -> Response:
        actor = actor_of(request.scope)
        context.supervisor.shutdown(f"asked for by {actor.id} through the API")
        return json_response(ShutdownReply("shutting_down", "shutdown initiated"), 202)

    post = Operation(
        answering(shut_down),
        role=Role.ADMIN,
        name="shutDown",
        summary="End the daemon, as SIGTERM does: all processes are stopped in order",
        replies={202: Reply("The shutdown has begun, now or before.", ShutdownReply)},
    )
    return (Resource("/api/v1/daemon", {"GET": get}), Resource("/api/v1/shutdown", {"POST": post}))
