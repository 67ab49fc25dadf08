"""The history of what an instance uses. It is not collected, so that every valid request gets 503."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cbox_init.api import log_queries, queries
from cbox_init.api.caller import caller_of
from cbox_init.api.replies import BadRequestError, error_response
from cbox_init.api.resource import Operation, Parameter, Resource, answering, check_process
from cbox_init.config.model.enums import Role

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from cbox_init.api.context import Context

_INSTANCE: Final = Parameter(
    "instance", "The id of an instance, such as web-0.", {"type": "string", "minLength": 1}, required=True
)
_PROCESS: Final = Parameter("process", "Its process.", {"type": "string", "minLength": 1}, required=True)
_SINCE: Final = log_queries.SINCE._replace(description="No sample before this time: an hour ago by default.")


def resources(context: Context) -> tuple[Resource, ...]:
    """``/metrics/history``."""

    async def history(request: Request) -> Response:
        query = request.query_params
        for name in ("process", "instance"):
            if not query.get(name):
                raise BadRequestError(f"{name} is required: write ?process=web&instance=web-0")
        check_process(caller_of(request.scope), query["process"])
        context.supervisor.check_known(query["process"])
        queries.limit_of(query)
        log_queries.since_of(query)
        return error_response(503, "resource metrics are not collected in this version")

    get = Operation(
        answering(history),
        role=Role.VIEWER,
        name="getMetricsHistory",
        summary="The history of what an instance uses; not collected in this version",
        replies={},
        errors=(400, 404, 503),
        parameters=(_PROCESS, _INSTANCE, _SINCE, queries.LIMIT),
        limited=True,
    )
    return (Resource("/api/v1/metrics/history", {"GET": get}),)
