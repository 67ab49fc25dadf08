"""Changes: every command that was accepted, and what has become of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cbox_init.api.caller import caller_of, processes_shown_to
from cbox_init.api.change_views import change_entry
from cbox_init.api.commands import CHANGES, WAIT, wait_of
from cbox_init.api.queries import LIMIT, LONGEST_PATTERN, limit_of, matcher_of, pattern_of, shown
from cbox_init.api.replies import BadRequestError, json_response
from cbox_init.api.resource import Operation, Parameter, Reply, Resource, answering, check_process
from cbox_init.api.routes.events import check_matches
from cbox_init.api.schemas_changes import CHANGE_STATUSES, ChangeEntry, ChangeList
from cbox_init.api.waiting import Slices
from cbox_init.config.model.enums import Role
from cbox_init.errors import UnknownChange

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams
    from starlette.requests import Request
    from starlette.responses import Response

    from cbox_init.api.commands import Commands
    from cbox_init.api.context import Context
    from cbox_init.supervisor.changes import Change

_ID: Final = Parameter("id", "Id of a change.", {"type": "string"}, "path")
_PROCESS: Final = Parameter(
    "process",
    "Only those of this process; with *, ? or [ a pattern of names.",
    {"type": "string", "minLength": 1, "maxLength": LONGEST_PATTERN},
)
_STATUS: Final = Parameter("status", "Only those.", {"type": "string", "enum": list(CHANGE_STATUSES)})
_SEEN: Final = Parameter(
    "seen",
    "A version: with wait, answer also when the change has gone on since that one.",
    {"type": "integer", "minimum": 0},
)


def resources(context: Context, commands: Commands) -> tuple[Resource, ...]:
    """``/changes`` and ``/changes/{id}``."""
    supervisor = context.supervisor

    async def list_all(request: Request) -> Response:
        query = request.query_params
        limit, status, name = limit_of(query), _status_of(query), query.get("process")
        matches = None
        if name is not None and not _is_pattern(pattern_of("process", name)):
            check_process(caller_of(request.scope), name)
        elif name is not None:
            matches = matcher_of(name)
        entries: list[ChangeEntry] = []
        slices = Slices()
        for change in supervisor.changes.latest():
            await slices.breathe()  # changes may be many, each of many processes
            if status not in (None, change.status) or not _may_see(request, change):
                continue
            if matches is None and name is not None and name not in change.processes:
                continue
            if matches is not None and not any(map(matches, change.processes)):
                continue
            entries.append(change_entry(supervisor.changes, change))
            if len(entries) == limit:
                break
        if not entries and matches is not None and name is not None:
            allowed = processes_shown_to(request.scope)
            check_matches(name, [one for one in supervisor.config.processes if allowed.match(one)])
        elif not entries and name is not None:
            supervisor.check_known(name)
        return json_response(ChangeList(changes=tuple(entries), count=len(entries), limit=limit))

    async def show(request: Request) -> Response:
        wait_s, seen = wait_of(request.query_params), _seen_of(request.query_params)
        change = _of(request)
        if wait_s is not None:
            await commands.wait(request, change, wait_s, seen)
        return json_response(change_entry(supervisor.changes, change))

    async def abandon(request: Request) -> Response:
        change = _of(request)
        supervisor.abandon(change)
        return json_response(change_entry(supervisor.changes, change))

    def _of(request: Request) -> Change:
        identity = request.path_params["id"]
        change = supervisor.changes[identity]
        if not _may_see(request, change):
            raise UnknownChange(f"there is no change {shown(identity)}")
        return change

    return (
        Resource(
            CHANGES,
            {
                "GET": Operation(
                    answering(list_all),
                    role=Role.VIEWER,
                    name="listChanges",
                    summary="The last commands and what has become of them, newest first",
                    replies={200: Reply("Those under way, and the last 500 that have ended.", ChangeList)},
                    errors=(400, 404),
                    parameters=(_PROCESS, _STATUS, LIMIT),
                    limited=True,
                )
            },
        ),
        Resource(
            f"{CHANGES}/{{id}}",
            {
                "GET": Operation(
                    answering(show),
                    role=Role.VIEWER,
                    name="getChange",
                    summary="One change with its instances",
                    replies={200: Reply("As it is now, or at the end of the wait.", ChangeEntry)},
                    errors=(400, 404),
                    parameters=(_ID, WAIT, _SEEN),
                    limited=True,
                ),
                "DELETE": Operation(
                    answering(abandon),
                    role=Role.OPERATOR,
                    name="abandonChange",
                    summary="Abandon a rollout: the old instances that are left stay",
                    replies={200: Reply("It was aborted.", ChangeEntry)},
                    errors=(404, 409),
                    parameters=(_ID,),
                    limited=True,
                ),
            },
        ),
    )


def _may_see(request: Request, change: Change) -> bool:
    """Whether the caller may see all processes of a change."""
    patterns = processes_shown_to(request.scope)
    return all(map(patterns.match, change.processes))


def _is_pattern(name: str) -> bool:
    return any(sign in name for sign in "*?[")


def _status_of(query: QueryParams) -> str | None:
    status = query.get("status")
    if status is not None and status not in CHANGE_STATUSES:
        raise BadRequestError(f"status must be one of {', '.join(CHANGE_STATUSES)}, not {shown(status)}")
    return status


def _seen_of(query: QueryParams) -> int | None:
    text = query.get("seen")
    if text is None:
        return None
    if not (len(text) <= 15 and text.isascii() and text.isdigit()):
        raise BadRequestError(f"seen must be a version of the change, not {shown(text)}")
    return int(text)
