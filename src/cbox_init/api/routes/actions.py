"""Commands to one process, to one instance, and to several processes.

They are answered at once; the work continues after the reply.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import UnsetType

from cbox_init.api.bodies import read_body
from cbox_init.api.caller import caller_of
from cbox_init.api.commands import KEY, WAIT, WAITED, Accepted
from cbox_init.api.replies import InvalidBodyError
from cbox_init.api.resource import Operation, Parameter, Reply, Resource, answering, check_process
from cbox_init.api.routes.processes import NAME, PATH
from cbox_init.api.schemas import ActionReply
from cbox_init.api.schemas_actions import ActionRequest, ActionsReply, InstanceActionReply, SignalRequest
from cbox_init.config.model.enums import Role
from cbox_init.config.rules import signal_name, signal_number
from cbox_init.core.selection import is_name, select

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from cbox_init.api.caller import Caller
    from cbox_init.api.commands import Commands
    from cbox_init.api.context import Context
    from cbox_init.supervisor.actions import Actions
    from cbox_init.supervisor.changes import Change
    from cbox_init.supervisor.supervisor import Supervisor

_ID: Final = Parameter("id", "Id of an instance, such as web-0.", {"type": "string"}, "path")
#: Patterns in one request: each is compared with every name.
_MOST_PATTERNS: Final = 20
_TAKEN: Final = "The command was taken."


def resources(context: Context, commands: Commands) -> tuple[Resource, ...]:
    """The commands of ``/processes/{name}`` and ``/instances/{id}``, and ``/actions``."""
    supervisor = context.supervisor
    return (
        _action(
            commands, "restart", supervisor.restart, "Replace its instances, as its rollout is configured"
        ),
        _action(commands, "stop", supervisor.stop, "Stop its instances"),
        _action(commands, "start", supervisor.start, "Start the instances that do not run"),
        _signal(commands, supervisor),
        _instance_action(
            commands,
            supervisor,
            "restart",
            lambda actions, identity: actions.restart_instance(identity),
            "Replace one instance, or start it again where it is down",
        ),
        _instance_action(
            commands,
            supervisor,
            "stop",
            lambda actions, identity: actions.stop_instance(identity),
            "Stop one instance; it stays down until it, or its process, is started or restarted",
        ),
        _instance_signal(commands, supervisor),
        _actions(commands, supervisor),
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
        replies={202: Reply(_TAKEN, ActionReply), 200: WAITED},
        errors=(400, 404, 409, 422),
        parameters=(NAME, WAIT, KEY),
    )
    return Resource(f"{PATH}/{{name}}/{verb}", {"POST": post})


def _signal(commands: Commands, supervisor: Supervisor) -> Resource:
    async def act(request: Request) -> Response:
        name = request.path_params["name"]
        supervisor.check_known(name)  # an unknown name is reported before an invalid body
        wanted = await read_body(request, SignalRequest)
        signum = _signum(wanted.signal)

        async def accept() -> Accepted:
            change = supervisor.actions.signal(name, signum, group=wanted.to == "group")
            return Accepted(ActionReply(f"{signal_name(signum)} sent", name, change.id), change)

        return await commands.carry_out(request, accept, await request.body())

    post = Operation(
        answering(act),
        role=Role.OPERATOR,
        name="signalProcess",
        summary="Send a signal to its instances that run",
        replies={202: Reply("The signal was sent.", ActionReply), 200: WAITED},
        errors=(400, 404, 408, 409, 413, 422),
        parameters=(NAME, WAIT, KEY),
        body=SignalRequest,
    )
    return Resource(f"{PATH}/{{name}}/signal", {"POST": post})


def _instance_action(
    commands: Commands,
    supervisor: Supervisor,
    verb: str,
    command: Callable[[Actions, str], Change],
    summary: str,
) -> Resource:
    async def act(request: Request) -> Response:
        identity = _permitted(supervisor, request)

        async def accept() -> Accepted:
            change = command(supervisor.actions, identity)
            reply = InstanceActionReply(f"{verb} initiated", change.process, identity, change.id)
            return Accepted(reply, change)

        return await commands.carry_out(request, accept)

    post = Operation(
        answering(act),
        role=Role.OPERATOR,
        name=f"{verb}Instance",
        summary=summary,
        replies={202: Reply(_TAKEN, InstanceActionReply), 200: WAITED},
        errors=(400, 404, 409, 422),
        parameters=(_ID, WAIT, KEY),
        limited=True,
    )
    return Resource(f"/api/v1/instances/{{id}}/{verb}", {"POST": post})


def _instance_signal(commands: Commands, supervisor: Supervisor) -> Resource:
    async def act(request: Request) -> Response:
        identity = _permitted(supervisor, request)
        wanted = await read_body(request, SignalRequest)
        signum = _signum(wanted.signal)

        async def accept() -> Accepted:
            change = supervisor.actions.signal_instance(identity, signum, group=wanted.to == "group")
            message = f"{signal_name(signum)} sent"
            return Accepted(InstanceActionReply(message, change.process, identity, change.id), change)

        return await commands.carry_out(request, accept, await request.body())

    post = Operation(
        answering(act),
        role=Role.OPERATOR,
        name="signalInstance",
        summary="Send a signal to one instance",
        replies={202: Reply("The signal was sent.", InstanceActionReply), 200: WAITED},
        errors=(400, 404, 408, 409, 413, 422),
        parameters=(_ID, WAIT, KEY),
        limited=True,
        body=SignalRequest,
    )
    return Resource("/api/v1/instances/{id}/signal", {"POST": post})


def _actions(commands: Commands, supervisor: Supervisor) -> Resource:
    async def act(request: Request) -> Response:
        wanted = await read_body(request, ActionRequest)
        names = _chosen(supervisor, wanted.processes, caller_of(request.scope))
        command, check = _command(supervisor, wanted)

        async def accept() -> Accepted:
            change = supervisor.actions.begin(wanted.action, names, command, check=check)
            return Accepted(ActionsReply(f"{wanted.action} initiated", names, change.id), change)

        return await commands.carry_out(request, accept, await request.body())

    post = Operation(
        answering(act),
        role=Role.OPERATOR,
        name="actOnProcesses",
        summary="Give a command to several processes, as one change in the order of dependencies",
        replies={202: Reply(_TAKEN, ActionsReply), 200: WAITED},
        errors=(400, 404, 408, 409, 413, 422),
        parameters=(WAIT, KEY),
        body=ActionRequest,
        limited=True,
    )
    return Resource("/api/v1/actions", {"POST": post})


def _command(
    supervisor: Supervisor, wanted: ActionRequest
) -> tuple[Callable[[str, Change], object], Callable[[str], object] | None]:
    """What gives the command to one process, and what checks first whether that can take it.

    Raises InvalidBodyError.
    """
    given = {
        "signal": not isinstance(wanted.signal, UnsetType),
        "scale": not isinstance(wanted.scale, UnsetType),
    }
    for name, there in given.items():
        if there != (wanted.action == name):
            raise InvalidBodyError(
                f"{name} is for the action {name} alone" if there else f"the action {name} needs {name}"
            )
    match wanted.action:
        case "start":
            return lambda name, change: supervisor.start(name, change=change), None
        case "stop":
            return lambda name, change: supervisor.stop(name, change=change), None
        case "restart":
            return lambda name, change: supervisor.restart(name, change=change), None
        case "scale":
            assert not isinstance(wanted.scale, UnsetType)  # checked above
            count = int(wanted.scale)
            return (
                lambda name, change: supervisor.scale(name, count, change=change),
                lambda name: supervisor.check_scale(name, count),
            )
    signum, group = _signum(str(wanted.signal)), wanted.to == "group"
    actions = supervisor.actions
    return (
        lambda name, change: actions.signal(name, signum, group=group, change=change),
        lambda name: actions.check_signal(name, group=group),
    )


def _chosen(supervisor: Supervisor, selectors: Sequence[str], caller: Caller | None) -> tuple[str, ...]:
    """The processes that are selected. Raises ForbiddenError for a plain name that the caller may not use."""
    groups = {process.name: process.config.groups for process in supervisor.each_managed()}
    patterns = sum(not is_name(selector, groups) for selector in selectors)
    if patterns > _MOST_PATTERNS:
        raise InvalidBodyError(
            f"processes has {patterns} patterns and groups, expected {_MOST_PATTERNS} at most"
        )
    for selector in selectors:
        if is_name(selector, groups):
            check_process(caller, selector)
    return select(selectors, groups, permitted=lambda name: caller is None or caller.processes.match(name))


def _permitted(supervisor: Supervisor, request: Request) -> str:
    """The id of the path. Raises UnknownInstance, or ForbiddenError for a process of others."""
    identity: str = request.path_params["id"]
    process, _ = supervisor.actions.find(identity)
    check_process(caller_of(request.scope), process)
    return identity


def _signum(text: str) -> int:
    """The number of a signal. Raises InvalidBodyError."""
    try:
        return signal_number(text)
    except ValueError:
        from difflib import get_close_matches
        from signal import Signals

        names = [one.name.removeprefix("SIG") for one in Signals]
        near = get_close_matches(text.upper().removeprefix("SIG"), names, n=1)
        hint = f"did you mean {near[0]}?" if near else "write HUP, USR1, TERM, or a number"
        raise InvalidBodyError(f"{text!r} is no signal: {hint}") from None
