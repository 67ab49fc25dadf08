"""The number of instances of a process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, UnsetType

from cbox_init.api.bodies import read_body
from cbox_init.api.commands import KEY, WAIT, Accepted, wait_of
from cbox_init.api.replies import InvalidBodyError
from cbox_init.api.resource import Operation, Reply, Resource, answering
from cbox_init.api.routes.processes import NAME, PATH
from cbox_init.api.schemas import ScaledReply, ScaleReply, ScaleRequest
from cbox_init.api.schemas_changes import ChangeEntry
from cbox_init.api.waiting import while_connected
from cbox_init.config.model.enums import Role
from cbox_init.errors import Conflict

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from cbox_init.api.commands import Commands
    from cbox_init.api.context import Context
    from cbox_init.supervisor.supervisor import Supervisor

_ONE_OF_THREE = Annotated[
    ScaleRequest,
    Meta(extra_json_schema={"oneOf": [{"required": [name]} for name in ("scale", "desired", "delta")]}),
]


def resources(context: Context, commands: Commands) -> tuple[Resource, ...]:
    """``/processes/{name}/scale``."""
    supervisor = context.supervisor

    async def scale(request: Request) -> Response:
        name = request.path_params["name"]
        supervisor.check_known(name)  # an unknown name is reported before an invalid body
        wait_s = wait_of(request.query_params)
        wanted = await read_body(request, ScaleRequest)

        async def accept() -> Accepted:
            match (wanted.scale, wanted.desired, wanted.delta):
                case (int() | float() as count, UnsetType(), UnsetType()):
                    count = int(count)
                    change = supervisor.scale(name, count)
                    return Accepted(ScaleReply("scale initiated", name, count, change.id), change)
                case (UnsetType(), int() | float() as count, UnsetType()):
                    count = int(count)
                    change = supervisor.scale(name, count)
                    done = ScaledReply(status="scaled", process=name, desired=count, change=change.id)
                case (UnsetType(), UnsetType(), int() | float() as delta):
                    delta = int(delta)
                    change = supervisor.scale_by(name, delta)
                    done = ScaledReply(status="scaled", process=name, delta=delta, change=change.id)
                case _:
                    raise InvalidBodyError
            return Accepted(done, change, 200 if wait_s is None else 202)

        accepted = await commands.accept(request, accept, await request.body())
        if wait_s is None and accepted.status == 200:
            await _until_settled(supervisor, name, request)
        return await commands.answer(request, accepted, wait_s)

    post = Operation(
        answering(scale),
        role=Role.OPERATOR,
        name="scaleProcess",
        summary="Change the number of instances",
        replies={
            202: Reply("The command was taken.", ScaleReply, others=(ScaledReply,)),
            200: Reply(
                "To the older forms, desired and delta: the instances have settled. With wait: the change "
                "has ended, well or not; its status says how.",
                ScaledReply,
                others=(ChangeEntry,),
            ),
        },
        errors=(400, 404, 408, 409, 413, 422),
        parameters=(NAME, WAIT, KEY),
        body=_ONE_OF_THREE,
    )
    return (Resource(f"{PATH}/{{name}}/scale", {"POST": post}),)


async def _until_settled(supervisor: Supervisor, name: str, request: Request) -> None:
    """Wait until the instances have settled, or the client has disconnected."""
    async with while_connected(request, supervisor.settled(name)) as settled:
        if settled.cancelled():
            raise Conflict(f"{name} was not scaled: the daemon is shutting down")
