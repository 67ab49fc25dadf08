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

#: The entries of a reply take no more memory than this, in bytes, apart from a single one.
MOST_BYTES: Final = 8 * 1024 * 1024

#: Entries that are made or encoded at a time, and characters of their messages, about.
_PIECE_ENTRIES: Final = 100
_PIECE_CHARACTERS: Final = 64 * 1024

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
        return limit, *await _encoded(entries, newest_first=newest_first)

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


async def _encoded(
    entries: list[ListedLogEntry], *, newest_first: bool
) -> tuple[int, tuple[ListedLogEntry, ...]]:
    """The entries, which are newest first, in the order of a reply; their number, and the JSON of several
    as one, made in slices. The oldest are left out of a reply that would be too large.
    """
    slices = Slices()
    pieces: list[Raw] = []
    piece: list[ListedLogEntry] = []
    count = size = characters = 0
    for number, entry in enumerate(entries, 1):
        piece.append(entry)
        characters += len(entry.message)
        if characters < _PIECE_CHARACTERS and len(piece) < _PIECE_ENTRIES and number < len(entries):
            continue
        data = encode(piece if newest_first else piece[::-1])[1:-1]
        size += len(data)
        if size > MOST_BYTES and pieces:
            break
        pieces.append(Raw(data))
        count += len(piece)
        piece, characters = [], 0
        await slices.breathe()
    if not newest_first:
        pieces.reverse()
    return count, cast("tuple[ListedLogEntry, ...]", tuple(pieces))


async def _latest(past: Past, chosen: LogFilter, limit: int) -> list[ListedLogEntry]:
    """The last ``limit`` matching lines, newest first; no more than fit into a reply."""
    found: list[ListedLogEntry] = []
    characters = 0
    slices = Slices()
    for entry in past.newest_first():
        if chosen.may_take(entry.block):
            records = chosen.newest_first(entry.block)
            while piece := listed_log_entries(islice(records, min(_PIECE_ENTRIES, limit - len(found)))):
                found += piece
                characters += sum([len(one.message) for one in piece])
                await slices.breathe()
            if len(found) == limit or characters > MOST_BYTES:
                break
        await slices.breathe()
    return found
