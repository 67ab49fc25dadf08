"""The schedule of one process: show, pause, resume, trigger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cbox_init.api.commands import accepted
from cbox_init.api.queries import LIMIT, SYNC, flag_of, limit_of
from cbox_init.api.replies import json_response
from cbox_init.api.resource import Operation, Reply, Resource, answering
from cbox_init.api.routes.processes import NAME, PATH
from cbox_init.api.schemas import ScheduleDetail, ScheduleHistory, ScheduleReply, TriggerReply
from cbox_init.api.views import run_entries, schedule_entry
from cbox_init.api.waiting import while_connected
from cbox_init.config.model.enums import Role
from cbox_init.errors import Conflict

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from cbox_init.api.context import Context
    from cbox_init.supervisor.changes import Change

_PATH: Final = f"{PATH}/{{name}}/schedule"

#: How long a client waits for the end of a run at most; the run goes on.
LONGEST_SYNC_S: Final = 300.0


def resources(context: Context) -> tuple[Resource, ...]:
    """``/processes/{name}/schedule``, ``/history``, ``/pause``, ``/resume`` and ``/trigger`` under it."""
    return (
        _look(context),
        _history(context),
        _command("pause", "paused", context.supervisor.pause, "Start no further runs until it is resumed"),
        _command("resume", "resumed", context.supervisor.resume, "Start runs by the schedule again"),
        _trigger(context),
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


def _command(verb: str, status: str, command: Callable[[str], Change], summary: str) -> Resource:
    async def act(request: Request) -> Response:
        name = request.path_params["name"]
        change = command(name)
        return accepted(ScheduleReply(status, name, change.id), change, 200)

    post = Operation(
        answering(act),
        role=Role.OPERATOR,
        name=f"{verb}Schedule",
        summary=summary,
        replies={200: Reply("The command was taken.", ScheduleReply)},
        errors=(404, 409),
        parameters=(NAME,),
    )
    return Resource(f"{_PATH}/{verb}", {"POST": post})


def _trigger(context: Context) -> Resource:
    supervisor = context.supervisor

    async def trigger(request: Request) -> Response:
        name = request.path_params["name"]
        sync = flag_of(request.query_params, "sync")
        change = supervisor.trigger(name)
        if not sync:
            return accepted(ScheduleReply("triggered", name, change.id), change)
        async with while_connected(request, supervisor.changes.ended(change), LONGEST_SYNC_S):
            pass
        if change.exit_code is not None:
            return accepted(TriggerReply("completed", name, change.exit_code, change.id), change, 200)
        if change.over:
            raise Conflict(f"{name}: {change.reason}")
        return accepted(TriggerReply("triggered", name, change=change.id), change)

    post = Operation(
        answering(trigger),
        role=Role.OPERATOR,
        name="triggerSchedule",
        summary="Run now",
        replies={
            202: Reply("The run has started; with sync: it has not finished after 5 minutes.", ScheduleReply),
            200: Reply("With sync: the run has finished.", TriggerReply),
        },
        errors=(400, 404, 409),
        parameters=(NAME, SYNC),
    )
    return Resource(f"{_PATH}/trigger", {"POST": post})
