"""The last lines that processes wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET

from cbox_init.api import queries
from cbox_init.api.replies import json_response
from cbox_init.api.resource import Operation, Reply, Resource, answering
from cbox_init.api.routes.processes import NAME, PATH
from cbox_init.api.schemas import LogList
from cbox_init.api.views import log_entries

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from cbox_init.api.context import Context

_PARAMETERS = (queries.LIMIT, queries.ORDER, queries.LEVEL)


def resources(context: Context) -> tuple[Resource, ...]:
    """``/processes/{name}/logs`` and ``/logs``."""
    supervisor = context.supervisor

    def reply(request: Request, process: str | None) -> Response:
        query = request.query_params
        limit = queries.limit_of(query)
        records = supervisor.logs.records(
            process, limit=limit, newest_first=queries.newest_first(query), min_level=queries.level_of(query)
        )
        logs = log_entries(records)
        return json_response(
            LogList(
                process=UNSET if process is None else process,
                scope="stack" if process is None else UNSET,
                limit=limit,
                count=len(logs),
                logs=logs,
            )
        )

    async def of_process(request: Request) -> Response:
        name = request.path_params["name"]
        supervisor.status(name)
        return reply(request, name)

    async def of_all(request: Request) -> Response:
        return reply(request, None)

    lines = {200: Reply("Newest first, unless asked otherwise.", LogList)}
    one = Operation(
        answering(of_process),
        name="getProcessLogs",
        summary="The last lines of a process",
        replies=lines,
        errors=(400, 404),
        parameters=(NAME, *_PARAMETERS),
    )
    stack = Operation(
        answering(of_all),
        name="getLogs",
        summary="The last lines of all processes together",
        replies=lines,
        errors=(400,),
        parameters=_PARAMETERS,
    )
    return (
        Resource(f"{PATH}/{{name}}/logs", {"GET": one}),
        Resource("/api/v1/logs", {"GET": stack}),
    )
