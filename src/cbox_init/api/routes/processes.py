"""The processes: their state, and their configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from cbox_init.api.bodies import read_body
from cbox_init.api.caller import processes_shown_to
from cbox_init.api.commands import KEY, WAIT, WAITED, Accepted
from cbox_init.api.replies import json_response, send_body
from cbox_init.api.resource import Operation, Parameter, Reply, Resource, answering
from cbox_init.api.schemas import ChangedProcess, EditReply, NewProcess, ProcessDetail, ProcessList
from cbox_init.api.schemas_changes import ChangeEntry
from cbox_init.config.masking import masked
from cbox_init.config.model.enums import Role

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from cbox_init.api.commands import Commands
    from cbox_init.api.context import Context
    from cbox_init.api.process_list import ProcessListBody
    from cbox_init.config.raw import Raw
    from cbox_init.supervisor.changes import Change

PATH: Final = "/api/v1/processes"
_WAITED: Final = {200: WAITED, 202: Reply("With wait: it is in force, and not done in time.", EditReply)}
NAME: Final = Parameter("name", "Name of a process.", {"type": "string"}, "path")


def resources(context: Context, commands: Commands, body: ProcessListBody) -> tuple[Resource, ...]:
    """``/processes`` and ``/processes/{name}``; ``body`` is that of the list."""
    supervisor = context.supervisor

    async def list_all(scope: Scope, receive: Receive, send: Send) -> None:
        await send_body(send, await body.current(processes_shown_to(scope)))

    async def get_one(request: Request) -> Response:
        name = request.path_params["name"]
        return json_response(ProcessDetail(name, masked(supervisor.process_config(name), context.secrets)))

    async def add(request: Request) -> Response:
        given = await read_body(request, NewProcess)

        async def accept() -> Accepted:
            change = await context.configuration.add(given.name, _raw(given.process))
            return _edited("created", given.name, change, 201)

        return await commands.carry_out(request, accept, await request.body())

    async def update(request: Request) -> Response:
        name = request.path_params["name"]
        context.configuration.check_known(name)  # reported before an invalid body
        given = await read_body(request, ChangedProcess)

        async def accept() -> Accepted:
            change = await context.configuration.update(name, _raw(given.process))
            return _edited("updated", name, change)

        return await commands.carry_out(request, accept, await request.body())

    async def remove(request: Request) -> Response:
        name = request.path_params["name"]

        async def accept() -> Accepted:
            return _edited("removed", name, await context.configuration.remove(name))

        return await commands.carry_out(request, accept)

    return (
        Resource(
            PATH,
            {
                "POST": Operation(
                    answering(add),
                    role=Role.ADMIN,
                    name="addProcess",
                    summary="Add a process, and start it unless initial_state says otherwise",
                    replies={201: Reply("It was added.", EditReply), **_WAITED},
                    errors=(400, 408, 409, 422),
                    parameters=(WAIT, KEY),
                    body=NewProcess,
                ),
                "GET": Operation(
                    list_all,
                    role=Role.VIEWER,
                    name="listProcesses",
                    summary="All processes with their instances, in the order of the file",
                    replies={200: Reply("The present state.", ProcessList)},
                    limited=True,
                ),
            },
        ),
        Resource(
            PATH + "/{name}",
            {
                "GET": Operation(
                    answering(get_one),
                    role=Role.ADMIN,
                    name="getProcess",
                    summary="The configuration of a process, secrets masked",
                    replies={200: Reply("The configuration in force.", ProcessDetail)},
                    configuration=True,
                    errors=(404,),
                    parameters=(NAME,),
                ),
                "PUT": Operation(
                    answering(update),
                    role=Role.ADMIN,
                    name="updateProcess",
                    summary="Replace the configuration of a process, and restart it alone if necessary",
                    replies={**_WAITED, 200: Reply("It is in force.", EditReply, others=(ChangeEntry,))},
                    errors=(400, 404, 408, 409, 422),
                    parameters=(NAME, WAIT, KEY),
                    body=ChangedProcess,
                ),
                "DELETE": Operation(
                    answering(remove),
                    role=Role.ADMIN,
                    name="removeProcess",
                    summary="Stop and remove a process",
                    replies={**_WAITED, 200: Reply("It was removed.", EditReply, others=(ChangeEntry,))},
                    errors=(400, 404, 409, 422),
                    parameters=(NAME, WAIT, KEY),
                ),
            },
        ),
    )


def _raw(members: dict[str, object]) -> dict[str, Raw]:
    """JSON members as the type that the configuration is converted from."""
    return cast("dict[str, Raw]", members)


def _edited(status: str, name: str, change: Change, code: int = 200) -> Accepted:
    return Accepted(EditReply(status, name, f"process {name} {status}", change.id), change, code)
