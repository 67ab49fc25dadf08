"""The schedule of one process: show, pause, resume, trigger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cbox_init.api.commands import KEY, WAIT, Accepted, accepted_response, wait_of
from cbox_init.api.queries import LIMIT, SYNC, flag_of, limit_of
from cbox_init.api.replies import json_response
from cbox_init.api.resource import Operation, Reply, Resource, answering
from cbox_init.api.routes.processes import NAME, PATH
from cbox_init.api.schemas import ScheduleDetail, ScheduleHistory, ScheduleReply, TriggerReply
from cbox_init.api.schemas_changes import ChangeEntry
from cbox_init.api.views import run_entries, schedule_entry
from cbox_init.config.model.enums import Role
from cbox_init.errors import Conflict

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from cbox_init.api.commands import Commands
    from cbox_init.api.context import Context
    from cbox_init.supervisor.changes import Change

_PATH: Final = f"{PATH}/{{name}}/schedule"

#: How long a client waits for the end of a run at most; the run goes on.
LONGEST_SYNC_S: Final = 300.0


def resources(context: Context, commands: Commands) -> tuple[Resource, ...]:
    """``/processes/{name}/schedule``, ``/history``, ``/pause``, ``/resume`` and ``/trigger`` under it."""
    supervisor = context.supervisor
    return (
        _look(context),
        _history(context),
        _command(commands, "pause", "paused", supervisor.pause, "Start no further runs until it is resumed"),
        _command(commands, "resume", "resumed", supervisor.resume, "Start runs by the schedule again"),
        _trigger(context, commands),
    )


def _look(context: Context) -> Resource:
    async def look(request: Request) -> Response:
        name = request.path_params["name"]
        schedule = context.supervisor.schedule(name).status().schedule
        assert schedule is not None, "a scheduled process has a schedule"
        return json_response(ScheduleDetail(name, schedule_entry(name, schedule)))

    get = Operation(
        answering(look),
        role=Role.VIEWER,
        name="getSchedule",
        summary="A schedule with its figures",
        replies={200: Reply("The present state.", ScheduleDetail)},
        errors=(404,),
        parameters=(NAME,),
    )
    return Resource(_PATH, {"GET": get})


def _history(context: Context) -> Resource:
    async def history(request: Request) -> Response:
        name = request.path_params["name"]
        limit = limit_of(request.query_params)
        runs = run_entries(context.supervisor.schedule(name).history(limit))
        return json_response(ScheduleHistory(process=name, limit=limit, count=len(runs), history=runs))

    get = Operation(
        answering(history),
        role=Role.VIEWER,
        name="getScheduleHistory",
        summary="The last finished runs, newest first",
        replies={200: Reply("At most schedule_history_size are kept.", ScheduleHistory)},
        errors=(400, 404),
        parameters=(NAME, LIMIT),
    )
    return Resource(f"{_PATH}/history", {"GET": get})


def _command(
    commands: Commands, verb: str, status: str, command: Callable[[str], Change], summary: str
) -> Resource:
    async def act(request: Request) -> Response:
        name = request.path_params["name"]

        async def accept() -> Accepted:
            change = command(name)
            return Accepted(ScheduleReply(status, name, change.id), change, 200)

        return await commands.carry_out(request, accept)

    post = Operation(
        answering(act),
        role=Role.OPERATOR,
        name=f"{verb}Schedule",
        summary=summary,
        replies={
            200: Reply("The command was taken; with wait its change.", ScheduleReply, others=(ChangeEntry,)),
        },
        errors=(400, 404, 409, 422),
        parameters=(NAME, WAIT, KEY),
    )
    return Resource(f"{_PATH}/{verb}", {"POST": post})


def _trigger(context: Context, commands: Commands) -> Resource:
    supervisor = context.supervisor

    async def trigger(request: Request) -> Response:
        name = request.path_params["name"]
        sync = flag_of(request.query_params, "sync")
        wait_s = wait_of(request.query_params)

        async def accept() -> Accepted:
            change = supervisor.trigger(name)
            return Accepted(ScheduleReply("triggered", name, change.id), change)

        accepted = await commands.accept(request, accept)
        if not sync:
            return await commands.answer(request, accepted, wait_s)
        change = accepted.change
        await commands.wait(request, change, LONGEST_SYNC_S)
        if change.exit_code is not None:
            reply = TriggerReply("completed", name, change.exit_code, change.id)
            return accepted_response(reply, change, 200)
        if change.over:
            raise Conflict(f"{name}: {change.reason}")
        return accepted_response(TriggerReply("triggered", name, change=change.id), change)

    post = Operation(
        answering(trigger),
        role=Role.OPERATOR,
        name="triggerSchedule",
        summary="Run now",
        replies={
            202: Reply("The run has started; with sync or wait: it has not finished in time.", ScheduleReply),
            200: Reply("With sync or wait: the run has finished.", TriggerReply, others=(ChangeEntry,)),
        },
        errors=(400, 404, 409, 422),
        parameters=(NAME, SYNC, WAIT, KEY),
    )
    return Resource(f"{_PATH}/trigger", {"POST": post})
