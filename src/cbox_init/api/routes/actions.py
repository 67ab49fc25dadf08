"""Commands to one process. They are answered at once; the work continues after the reply."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbox_init.api.commands import KEY, WAIT, WAITED, Accepted
from cbox_init.api.resource import Operation, Reply, Resource, answering
from cbox_init.api.routes.processes import NAME, PATH
from cbox_init.api.schemas import ActionReply
from cbox_init.config.model.enums import Role

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from cbox_init.api.commands import Commands
    from cbox_init.api.context import Context
    from cbox_init.supervisor.changes import Change


def resources(context: Context, commands: Commands) -> tuple[Resource, ...]:
    """``/processes/{name}/restart``, ``/stop`` and ``/start``."""
    supervisor = context.supervisor
    return (
        _action(
            commands, "restart", supervisor.restart, "Replace its instances, as its rollout is configured"
        ),
        _action(commands, "stop", supervisor.stop, "Stop its instances"),
        _action(commands, "start", supervisor.start, "Start the instances that do not run"),
    )


def _action(commands: Commands, verb: str, command: Callable[[str], Change], summary: str) -> Resource:
    async def act(request: Request) -> Response:
        name = request.path_params["name"]

        async def accept() -> Accepted:
            change = command(name)
            return Accepted(ActionReply(f"{verb} initiated", name, change.id), change)

        return await commands.carry_out(request, accept)

    post = Operation(
        answering(act),
        role=Role.OPERATOR,
        name=f"{verb}Process",
        summary=summary,
        replies={202: Reply("The command was taken.", ActionReply), 200: WAITED},
        errors=(400, 404, 409, 422),
        parameters=(NAME, WAIT, KEY),
    )
    return Resource(f"{PATH}/{{name}}/{verb}", {"POST": post})
