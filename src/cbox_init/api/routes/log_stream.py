"""Lines of processes as they are written, as server-sent events."""

from __future__ import annotations

import asyncio
from functools import cache
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace
from starlette.requests import Request

from cbox_init.api import log_queries, queries
from cbox_init.api.caller import is_still_allowed
from cbox_init.api.log_feed import EventWriter, Feed
from cbox_init.api.replies import BadRequestError
from cbox_init.api.resource import Operation, Parameter, Reply, Resource
from cbox_init.api.waiting import EVENT_STREAM, KEEPALIVE_S, RETRY_MS, SLICE_S, STREAM_HEADERS
from cbox_init.config.model.enums import Role
from cbox_init.logs.past import Position, StartCollector, position_of
from cbox_init.logs.subscription import BACKLOG_BYTES, Missed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.types import Receive, Scope, Send

    from cbox_init.api.context import Context
    from cbox_init.api.waiting import Streams
    from cbox_init.logs.hub import LogHub
    from cbox_init.logs.past import Past
    from cbox_init.logs.ring import NumberedBlock
    from cbox_init.logs.subscription import Subscription

#: Seconds in which lines behind one that was just sent come together. What is written after a silence goes at
#: once; a line a millisecond is twenty sends a second and not a thousand.
_TOGETHER_S: Final = 0.05

#: Memory for lines that were there already and that readers have yet to take, of all of them together. Each
#: has its backlog at least.
_PAST_BYTES: Final = 4 * 1024 * 1024

_PARAMETERS: Final = (
    log_queries.PROCESSES,
    *log_queries.FILTERS,
    Parameter(
        "tail",
        "How many of the last lines come first. None when absent; with since all of them.",
        {"type": "integer", "minimum": 0, "maximum": queries.LARGEST_LIMIT},
    ),
    Parameter(
        "Last-Event-ID",
        "The id of the last event seen: the stream goes on behind it, tail and since have no effect.",
        {"type": "string"},
        where="header",
    ),
    Parameter("last_event_id", "The same, for clients that cannot send the header.", {"type": "string"}),
)


class _Beginning(NamedTuple):
    """Where a stream begins: after a position, with the ``last`` N lines, or (both None) with all."""

    after: Position | None
    last: int | None


def resources(context: Context) -> tuple[Resource, ...]:
    """``/logs/stream``."""
    supervisor, streams = context.supervisor, context.streams
    logs = context.logs
    writer_of_all = cache(lambda: EventWriter(logs.run))

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        processes = log_queries.processes_of(request, supervisor.check_known)
        beginning = _beginning_of(request, logs.run)
        chosen = log_queries.filter_of(request.query_params, processes)
        if beginning.after is not None:
            chosen = replace(chosen, since_ns=None)
        room = max(BACKLOG_BYTES, _PAST_BYTES - logs.unread)
        past = logs.past(chosen.processes)
        writer = writer_of_all()
        with streams.entry(logs.subscribe(chosen), scope) as lines:
            await send({"type": "http.response.start", "status": 200, "headers": STREAM_HEADERS})
            if scope["method"] != "HEAD":
                await _begin(lines, past, beginning, room, streams)
                relay = _Relay(logs, streams, lines, writer, send, lambda: is_still_allowed(scope))
                await relay.run(receive)
        if not streams:
            writer.forget()
        await send({"type": "http.response.body", "body": b""})

    get = Operation(
        stream,
        role=Role.VIEWER,
        name="streamLogs",
        summary="Lines as they are written, as server-sent events",
        replies={
            200: Reply(
                "Until either side ends it. `event: log` with a LogEntry as data; `event: missed` with a "
                "MissedEvent where lines are missing; an `id` with each, from which the stream can be taken "
                f"up again; a comment each {KEEPALIVE_S:.0f} seconds.",
                media=EVENT_STREAM,
            )
        },
        errors=(400, 404),
        parameters=_PARAMETERS,
        limited=True,
    )
    return (Resource("/api/v1/logs/stream", {"GET": get}),)


def _beginning_of(request: Request, run: str) -> _Beginning:
    """Where the request asks to begin; raises BadRequestError."""
    query = request.query_params
    if "until" in query:
        raise BadRequestError("until has no meaning here: a stream has no end; use /logs")
    tail = queries.count_of(query, "tail", least=0)
    seen = request.headers.get("last-event-id") or query.get("last_event_id")
    if seen:
        return _Beginning(position_of(seen, run), None)
    return _Beginning(None, 0 if tail is None and "since" not in query else tail)


async def _begin(lines: Subscription, past: Past, beginning: _Beginning, room: int, streams: Streams) -> None:
    """Put the requested earlier lines in front of the new ones."""
    if beginning.last == 0:
        return
    start = StartCollector(lines.chosen, room=room, after=beginning.after, count=beginning.last)
    entries = past.newest_first()
    more = True
    while more:
        async with streams.turn():
            more = _add_some(start, entries)
    parts = start.parts
    incomplete = start.cut or (beginning.after is not None and past.gone >= beginning.after.number)
    upto = Position(parts[0].entry.number, parts[0].start) if parts else past.end
    lines.begin_with(parts, Missed(None, upto) if incomplete else None)


def _add_some(start: StartCollector, entries: Iterator[NumberedBlock]) -> bool:
    """Add blocks for one slice of time; whether there may be more to add."""
    until = monotonic() + SLICE_S
    for entry in entries:
        if not start.add(entry):
            return False
        if monotonic() >= until:
            return True
    return False


class _Relay:
    """Sends one reader its lines, until the subscription ends, the client disconnects, or may not read on."""

    def __init__(
        self,
        logs: LogHub,
        streams: Streams,
        lines: Subscription,
        writer: EventWriter,
        send: Send,
        allowed: Callable[[], bool],
    ) -> None:
        self._logs = logs
        self._streams = streams
        self._lines = lines
        self._feed = Feed(lines, writer)
        self._send = send
        self._allowed = allowed

    async def run(self, receive: Receive) -> None:
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(self._close_when_gone(receive))
            await self._relay()
            watching.cancel()

    async def _relay(self) -> None:
        chunk = b"retry: %d\n%b" % (RETRY_MS, self._feed.mark(self._logs.position) or b"\n")
        due = monotonic() + KEEPALIVE_S
        while self._allowed():
            if self._feed.pending:
                async with self._streams.turn():
                    chunk += self._feed.chunk()
            elif not chunk and self._lines.ended:
                return
            if monotonic() >= due:
                chunk += b": keepalive\n%b" % (self._feed.mark(self._logs.position) or b"\n")
                due = monotonic() + KEEPALIVE_S
            if chunk:
                await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
                chunk = b""
                if not self._feed.pending:
                    await self._lines.gather(_TOGETHER_S)
            else:
                await self._lines.wait(due - monotonic())

    async def _close_when_gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._lines.close()
