"""The present state for those who watch it, as server-sent events; and who the caller is."""

from __future__ import annotations

import asyncio
from functools import cache
from math import isinf
from time import monotonic
from typing import TYPE_CHECKING, Final

from msgspec import UNSET
from starlette.requests import Request

from cbox_init.api import queries
from cbox_init.api.caller import caller_of, is_still_allowed, processes_shown_to
from cbox_init.api.replies import ForbiddenError, json_response
from cbox_init.api.resource import Operation, Parameter, Reply, Resource, answering
from cbox_init.api.schemas_live import LiveFigures, LiveProcesses, LiveSnapshot, Whoami
from cbox_init.api.waiting import EVENT_STREAM, KEEPALIVE_S, RETRY_MS, STREAM_HEADERS
from cbox_init.config.model.enums import Role

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from cbox_init.api.context import Context
    from cbox_init.api.live_feed import LiveFeed, LiveReader
    from cbox_init.api.process_list import ProcessListBody
    from cbox_init.api.waiting import Streams

#: Seconds between the figures of a reader.
DEFAULT_INTERVAL: Final = 2
LONGEST_INTERVAL: Final = 60


def resources(context: Context, body: ProcessListBody) -> tuple[Resource, ...]:
    """``/live`` and ``/whoami``."""
    streams = context.streams

    @cache
    def feed() -> LiveFeed:
        from cbox_init.api.live_feed import LiveFeed

        return LiveFeed(context, body)

    async def live(scope: Scope, receive: Receive, send: Send) -> None:
        from cbox_init.api.live_feed import LiveReader

        request = Request(scope)
        interval = queries.count_of(request.query_params, "interval", least=1, most=LONGEST_INTERVAL)
        shown = processes_shown_to(scope)
        if scope["method"] == "HEAD":
            await send({"type": "http.response.start", "status": 200, "headers": STREAM_HEADERS})
            await send({"type": "http.response.body", "body": b""})
            return
        with streams.entry(LiveReader(feed(), shown, interval or DEFAULT_INTERVAL), scope) as reader:
            await send({"type": "http.response.start", "status": 200, "headers": STREAM_HEADERS})
            async with asyncio.TaskGroup() as tasks:
                watching = tasks.create_task(reader.close_when_gone(receive))
                await _send_all(reader, streams, send, lambda: is_still_allowed(scope))
                watching.cancel()
        await send({"type": "http.response.body", "body": b""})

    async def whoami(request: Request) -> Response:
        caller = caller_of(request.scope)
        if caller is None or caller.role is None:  # refused before
            raise ForbiddenError("this needs a role")
        return json_response(
            Whoami(
                name=caller.name,
                kind=caller.kind,
                role=caller.role,
                processes=caller.processes.patterns,
                time=round(context.parts.runtime.unix(), 3),
                expires_at=UNSET if isinf(caller.expires) else caller.expires,
            )
        )

    get = Operation(
        live,
        role=Role.VIEWER,
        name="streamLive",
        summary="The state of the daemon and its processes, and how it changes, as server-sent events",
        replies={
            200: Reply(
                "Until either side ends it. First `event: snapshot` with a LiveSnapshot as data; then "
                "`event: processes` with LiveProcesses when something has changed, at most two each second, "
                "and `event: figures` with LiveFigures each interval. A later snapshot takes the place of "
                f"everything before it. A comment each {KEEPALIVE_S:.0f} seconds.",
                LiveSnapshot,
                media=EVENT_STREAM,
                others=(LiveProcesses, LiveFigures),
            )
        },
        errors=(400,),
        parameters=(
            Parameter(
                "interval",
                "Seconds between two messages with figures.",
                {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": LONGEST_INTERVAL,
                    "default": DEFAULT_INTERVAL,
                },
            ),
        ),
        limited=True,
    )
    who = Operation(
        answering(whoami),
        role=Role.VIEWER,
        name="whoami",
        summary="Who the caller is, and what it may do",
        replies={200: Reply("As the request was recognised.", Whoami)},
    )
    return (Resource("/api/v1/live", {"GET": get}), Resource("/api/v1/whoami", {"GET": who}))


async def _send_all(reader: LiveReader, streams: Streams, send: Send, allowed: Callable[[], bool]) -> None:
    """Send one reader its messages until the daemon ends them, the client disconnects, or may not read on."""
    chunk = b"retry: %d\n\n" % RETRY_MS
    due = monotonic() + KEEPALIVE_S
    while True:
        late = monotonic() >= due
        if (reader.pending or late) and not allowed():
            return
        if reader.pending:
            if reader.begins:
                chunk += await reader.snapshot()
            async with streams.turn():
                chunk += reader.chunk()
        elif not chunk and reader.ended:
            return
        if late:
            chunk += b": keepalive\n\n"
            due = monotonic() + KEEPALIVE_S
        if chunk:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            chunk = b""
        else:
            await reader.wait(due - monotonic())
