"""The history of oneshots."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbox_init.api.caller import caller_of, processes_shown_to
from cbox_init.api.queries import LIMIT, PROCESS, limit_of
from cbox_init.api.replies import json_response
from cbox_init.api.resource import Operation, Reply, Resource, answering, check_process
from cbox_init.api.schemas import OneshotList
from cbox_init.api.views import oneshot_entries
from cbox_init.config.model.enums import Role

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from cbox_init.api.context import Context


def resources(context: Context) -> tuple[Resource, ...]:
    """``/oneshot/history``."""

    async def history(request: Request) -> Response:
        limit = limit_of(request.query_params)
        name = request.query_params.get("process")
        if name is not None:
            check_process(caller_of(request.scope), name)
        shown = processes_shown_to(request.scope)
        entries = oneshot_entries(context.supervisor.executions(limit, name, shown))
        return json_response(OneshotList(executions=entries, count=len(entries), limit=limit))

    get = Operation(
        answering(history),
        role=Role.VIEWER,
        name="getOneshotHistory",
        summary="The last executions of oneshots, newest first",
        replies={200: Reply("At most oneshot_history_max_entries are kept.", OneshotList)},
        errors=(400, 404),
        parameters=(LIMIT, PROCESS),
        limited=True,
    )
    return (Resource("/api/v1/oneshot/history", {"GET": get}),)
