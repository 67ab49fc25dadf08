"""The processes: what they are and what they are configured to be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cbox_init.api.process_list import ProcessListBody
from cbox_init.api.replies import json_response, send_body
from cbox_init.api.resource import Operation, Parameter, Reply, Resource, answering
from cbox_init.api.schemas import ProcessDetail, ProcessList
from cbox_init.config.masking import masked

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from cbox_init.api.context import Context

PATH: Final = "/api/v1/processes"
NAME: Final = Parameter("name", "Name of a process.", {"type": "string"}, "path")


def resources(context: Context) -> tuple[Resource, ...]:
    """``/processes`` and ``/processes/{name}``."""
    supervisor = context.supervisor
    body = ProcessListBody(supervisor, context.figures)

    async def list_all(scope: Scope, receive: Receive, send: Send) -> None:
        await send_body(send, body.current())

    async def get_one(request: Request) -> Response:
        name = request.path_params["name"]
        return json_response(ProcessDetail(name, masked(supervisor.process_config(name))))

    return (
        Resource(
            PATH,
            {
                "GET": Operation(
                    list_all,
                    name="listProcesses",
                    summary="All processes with their instances, in the order of the file",
                    replies={200: Reply("As they are now.", ProcessList)},
                )
            },
        ),
        Resource(
            PATH + "/{name}",
            {
                "GET": Operation(
                    answering(get_one),
                    name="getProcess",
                    summary="The configuration of a process, secrets masked",
                    replies={200: Reply("As it is in force.", ProcessDetail)},
                    errors=(404,),
                    parameters=(NAME,),
                )
            },
        ),
    )
