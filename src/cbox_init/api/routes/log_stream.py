"""Lines of processes as they come: server-sent events."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from starlette.requests import Request

from cbox_init.api import queries
from cbox_init.api.replies import encode
from cbox_init.api.resource import Operation, Reply, Resource
from cbox_init.api.schemas import MissedEvent
from cbox_init.api.views import log_entries
from cbox_init.logs.subscription import Missed

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from cbox_init.api.context import Context
    from cbox_init.logs.record import Record
    from cbox_init.logs.subscription import Subscription

#: Seconds between two comments that tell both sides, and what is between them, that the stream lives.
KEEPALIVE_S: Final = 15.0

#: Events that are sent before others get their turn of the event loop.
_EVENTS_A_TURN: Final = 64

_MEDIA: Final = "text/event-stream"
_HEADERS: Final = (
    (b"content-type", _MEDIA.encode()),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)


def resources(context: Context) -> tuple[Resource, ...]:
    """``/logs/stream``."""
    supervisor = context.supervisor

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        query = Request(scope).query_params
        names = query.getlist("process")
        for name in names:
            supervisor.status(name)
        level = queries.level_of(query)
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        if scope["method"] != "HEAD":
            with context.streams.entry(supervisor.logs.subscribe(names or None, level)) as lines:
                await _relay(lines, receive, send)
        await send({"type": "http.response.body", "body": b""})

    get = Operation(
        stream,
        name="streamLogs",
        summary="Lines as they come, as server-sent events",
        replies={
            200: Reply(
                "Until either side ends it. `event: log` with a LogEntry as data; `event: missed` with a "
                f"MissedEvent where the reader was too slow; a comment each {KEEPALIVE_S:.0f} seconds.",
                media=_MEDIA,
            )
        },
        errors=(400, 404),
        parameters=(queries.PROCESSES, queries.LEVEL),
    )
    return (Resource("/api/v1/logs/stream", {"GET": get}),)


async def _relay(lines: Subscription, receive: Receive, send: Send) -> None:
    """Send lines until the subscription is closed, here or elsewhere; the end of the client closes it."""
    async with asyncio.TaskGroup() as tasks:
        others = (
            tasks.create_task(_close_when_gone(receive, lines)),
            tasks.create_task(_keep_alive(send)),
        )
        sent = 0
        async for item in lines:
            await _send_chunk(send, _event(item))
            sent += 1
            if sent % _EVENTS_A_TURN == 0:
                await asyncio.sleep(0)
        for task in others:
            task.cancel()


async def _close_when_gone(receive: Receive, lines: Subscription) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    lines.close()


async def _keep_alive(send: Send) -> None:
    while True:
        await asyncio.sleep(KEEPALIVE_S)
        await _send_chunk(send, b": keepalive\n\n")


async def _send_chunk(send: Send, chunk: bytes) -> None:
    await send({"type": "http.response.body", "body": chunk, "more_body": True})


def _event(item: Record | Missed) -> bytes:
    if isinstance(item, Missed):
        return b"event: missed\ndata: %b\n\n" % encode(MissedEvent(item.count))
    return b"event: log\ndata: %b\n\n" % encode(log_entries((item,))[0])
