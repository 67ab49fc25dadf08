"""The last lines of processes."""

from __future__ import annotations

from asyncio import Semaphore
from itertools import islice
from typing import TYPE_CHECKING, Final, cast

from msgspec import Raw

from cbox_init.api import log_queries, queries
from cbox_init.api.replies import encode, json_response
from cbox_init.api.resource import Operation, Reply, Resource, answering
from cbox_init.api.routes.processes import NAME, PATH
from cbox_init.api.schemas import LogListReply
from cbox_init.api.views import listed_log_entries
from cbox_init.api.waiting import Slices
from cbox_init.config.model.enums import Role

if TYPE_CHECKING:
    from collections.abc import Container

    from starlette.requests import Request
    from starlette.responses import Response

    from cbox_init.api.context import Context
    from cbox_init.api.schemas import ListedLogEntry
    from cbox_init.logs.filter import LogFilter
    from cbox_init.logs.past import Past

#: Replies that are made at the same time: each may be as large as all lines that are kept.
_MADE_AT_ONCE: Final = 1

#: Entries that are encoded at a time.
_PIECE_ENTRIES: Final = 100

_PARAMETERS = (queries.LIMIT, queries.ORDER, *log_queries.FILTERS, log_queries.UNTIL)


def resources(context: Context) -> tuple[Resource, ...]:
    """``/processes/{name}/logs`` and ``/logs``."""
    supervisor = context.supervisor

    making = Semaphore(_MADE_AT_ONCE)

    async def of_process(request: Request) -> Response:
        name = request.path_params["name"]
        supervisor.check_known(name)
        async with making:
            limit, count, logs = await lines(request, frozenset((name,)))
            return json_response(LogListReply(process=name, limit=limit, count=count, logs=logs))

    async def of_all(request: Request) -> Response:
        processes = log_queries.processes_of(request, supervisor.check_known)
        async with making:
            limit, count, logs = await lines(request, processes)
            return json_response(LogListReply(scope="stack", limit=limit, count=count, logs=logs))

    async def lines(
        request: Request, names: Container[str] | None
    ) -> tuple[int, int, tuple[ListedLogEntry, ...]]:
        query = request.query_params
        limit, newest_first = queries.limit_of(query), queries.newest_first(query)
        chosen = log_queries.filter_of(query, names)
        entries = await _latest(context.logs.past(chosen.processes), chosen, limit)
        if not newest_first:
            entries.reverse()
        return limit, len(entries), await _encoded(entries)

    reply = {200: Reply("Newest first by default.", LogListReply)}
    one = Operation(
        answering(of_process),
        role=Role.VIEWER,
        name="getProcessLogs",
        summary="The last lines of a process",
        replies=reply,
        errors=(400, 404),
        parameters=(NAME, *_PARAMETERS),
    )
    stack = Operation(
        answering(of_all),
        role=Role.VIEWER,
        name="getLogs",
        summary="The last lines of several processes, or of all, together",
        replies=reply,
        errors=(400, 404),
        parameters=(log_queries.PROCESSES, *_PARAMETERS),
        limited=True,
    )
    return (
        Resource(f"{PATH}/{{name}}/logs", {"GET": one}),
        Resource("/api/v1/logs", {"GET": stack}),
    )


async def _encoded(entries: list[ListedLogEntry]) -> tuple[ListedLogEntry, ...]:
    """The entries for a reply: of many the JSON of several as one, made in slices."""
    if len(entries) <= _PIECE_ENTRIES:
        return tuple(entries)
    slices = Slices()
    pieces: list[Raw] = []
    for start in range(0, len(entries), _PIECE_ENTRIES):
        pieces.append(Raw(encode(entries[start : start + _PIECE_ENTRIES])[1:-1]))
        await slices.breathe()
    return cast("tuple[ListedLogEntry, ...]", tuple(pieces))


async def _latest(past: Past, chosen: LogFilter, limit: int) -> list[ListedLogEntry]:
    """The last ``limit`` matching lines, newest first."""
    found: list[ListedLogEntry] = []
    slices = Slices()
    for entry in past.newest_first():
        if chosen.may_take(entry.block):
            found += listed_log_entries(islice(chosen.newest_first(entry.block), limit - len(found)))
            if len(found) == limit:
                break
        await slices.breathe()
    return found
