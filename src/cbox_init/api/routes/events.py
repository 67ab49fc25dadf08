"""What happens, as server-sent events or one reply after another; and the history of one process."""

from __future__ import annotations

import asyncio
from functools import cache
from time import monotonic
from typing import TYPE_CHECKING, Final

from msgspec import UNSET
from starlette.requests import Request

from cbox_init.api import queries
from cbox_init.api.caller import caller_of, is_still_allowed, processes_shown_to
from cbox_init.api.log_queries import since_of
from cbox_init.api.replies import BadRequestError, json_response
from cbox_init.api.resource import Operation, Parameter, Reply, Resource, answering, check_process
from cbox_init.api.routes.processes import NAME, PATH
from cbox_init.api.schemas_events import EventList
from cbox_init.api.waiting import EVENT_STREAM, KEEPALIVE_S, RETRY_MS, STREAM_HEADERS, while_connected
from cbox_init.config.model.enums import Role
from cbox_init.config.scalars import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from cbox_init.api.context import Context
    from cbox_init.api.event_feed import EventFeed, EventFilter, EventReader
    from cbox_init.api.waiting import Streams
    from cbox_init.supervisor.events import Events
    from cbox_init.supervisor.supervisor import Supervisor

#: The longest time that a request may wait for an event, in seconds.
LONGEST_WAIT_S: Final = 60.0

#: Names and patterns of one filter at most.
MOST_PATTERNS: Final = 50

#: Known words that are compared with a wrong one, and that are shown where none is near.
_COMPARED: Final = 1000
_SHOWN: Final = 8

_GLOB: Final = frozenset("*?[")
_PATTERNS: Final = {
    "type": "array",
    "items": {"type": "string", "minLength": 1, "maxLength": queries.LONGEST_PATTERN},
    "maxItems": MOST_PATTERNS,
}
KINDS: Final = Parameter(
    "kind",
    "A kind such as instance.exited, or a pattern such as instance.*; can be given more than once. All when "
    "absent.",
    _PATTERNS,
)
_PARAMETERS: Final = (
    Parameter(
        "process",
        "A process, or a pattern such as queue-*; can be given more than once. All, and the daemon's own "
        "events, when absent.",
        _PATTERNS,
    ),
    KINDS,
    Parameter(
        "since",
        "The id of the last event seen: those after it follow. Or a time: RFC 3339, Unix seconds, or a "
        "duration such as 5m that has passed since.",
        {"type": "string", "minLength": 1},
    ),
    Parameter(
        "tail",
        "How many of the last events come first. None when absent.",
        {"type": "integer", "minimum": 0, "maximum": queries.LARGEST_LIMIT},
    ),
    Parameter(
        "wait",
        "Answer with JSON instead of a stream: as soon as there is an event, or after this time without one; "
        f"0 answers at once. A duration of at most {LONGEST_WAIT_S:.0f} s.",
        {"type": "string", "minLength": 1},
    ),
    Parameter("limit", "With wait: maximum number of events.", queries.LIMIT.schema),
    Parameter(
        "Last-Event-ID", "The id of the last event seen, as since.", {"type": "string"}, where="header"
    ),
    Parameter("last_event_id", "The same, for clients that cannot send the header.", {"type": "string"}),
)


def resources(context: Context) -> tuple[Resource, ...]:
    """``/events`` and ``/processes/{name}/events``."""
    supervisor, streams = context.supervisor, context.streams

    @cache
    def feed() -> EventFeed:
        from cbox_init.api.event_feed import EventFeed

        return EventFeed(context.parts.runtime.events, context.logs.run)

    async def all_events(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        chosen = _filter_of(request, supervisor, feed().events)
        wait_s = _wait_of(request)
        limit = queries.limit_of(request.query_params)
        if wait_s is not None:
            with streams.entry(_reader_of(request, feed(), chosen, everything=True), request.scope) as reader:
                response = await _reply(request, reader, wait_s, limit)
            await response(scope, receive, send)
            return
        with streams.entry(_reader_of(request, feed(), chosen, everything=False), scope) as reader:
            await send({"type": "http.response.start", "status": 200, "headers": STREAM_HEADERS})
            if scope["method"] != "HEAD":
                await _relay(reader, streams, receive, send, lambda: is_still_allowed(scope))
        await send({"type": "http.response.body", "body": b""})

    async def of_process(request: Request) -> Response:
        from cbox_init.api.event_feed import entries, id_of

        name = request.path_params["name"]
        events = feed().events
        found = events.history(name)
        if not found:
            supervisor.check_known(name)
        query = request.query_params
        kinds, limit = kinds_of(query.getlist("kind")), queries.limit_of(query)
        newest_first = queries.newest_first(query)
        since_ns = since_of(query)
        shown = [
            event
            for event in found
            if (kinds is None or event.kind in kinds) and (since_ns is None or event.unix >= since_ns / 1e9)
        ][-limit:]
        listed = entries(reversed(shown) if newest_first else shown)
        reply = EventList(
            process=name, count=len(listed), events=listed, last_event_id=id_of(events.last, feed().run)
        )
        return json_response(reply)

    get = Operation(
        all_events,
        role=Role.VIEWER,
        name="streamEvents",
        summary="What happens, as server-sent events; with wait as JSON",
        replies={
            200: Reply(
                "Until either side ends it. Each message has an EventEntry as data; `event: missed` with "
                "MissedEvents where events are missing; an `id` with each, from which the stream can be "
                f"resumed; a comment each {KEEPALIVE_S:.0f} seconds. With `wait` an EventList, oldest first.",
                EventList,
                also=EVENT_STREAM,
            )
        },
        errors=(400, 404),
        parameters=_PARAMETERS,
        limited=True,
    )
    history = Operation(
        answering(of_process),
        role=Role.VIEWER,
        name="getProcessEvents",
        summary="The last events of a process",
        replies={200: Reply("Newest first by default.", EventList)},
        errors=(400, 404),
        parameters=(
            NAME,
            KINDS,
            Parameter("since", "No event before this time.", {"type": "string", "minLength": 1}),
            queries.LIMIT,
            queries.ORDER,
        ),
    )
    return (
        Resource("/api/v1/events", {"GET": get}),
        Resource(f"{PATH}/{{name}}/events", {"GET": history}),
    )


def kinds_of(patterns: Iterable[str]) -> frozenset[str] | None:
    """The kinds of events that kinds and patterns of them stand for; None without any, for all kinds. Raises
    BadRequestError for one that stands for none."""
    from cbox_init.supervisor.events import KINDS as ALL

    patterns = _checked("kind", patterns)
    if not patterns:
        return None
    found: set[str] = set()
    for pattern in patterns:
        matching = set(filter(queries.matcher_of(pattern), ALL))
        if not matching:
            known = [*ALL, *dict.fromkeys(f"{kind.partition('.')[0]}.*" for kind in ALL)]
            raise BadRequestError(f"kind: there is no {queries.shown(pattern)}{_hint(pattern, known)}")
        found |= matching
    return frozenset(found)


def _filter_of(request: Request, supervisor: Supervisor, events: Events) -> EventFilter:
    """The filter of a request; raises BadRequestError, ForbiddenError and UnknownProcess."""
    from cbox_init.api.event_feed import EventFilter

    query = request.query_params
    patterns = _checked("process", query.getlist("process"))
    allowed, caller = processes_shown_to(request.scope), caller_of(request.scope)
    kept = [name for name in events.processes() if name]
    for pattern in patterns:
        if _GLOB.isdisjoint(pattern):
            check_process(caller, pattern)
            if pattern not in kept:
                supervisor.check_known(pattern)
        else:
            check_matches(
                pattern, [name for name in (*supervisor.config.processes, *kept) if allowed.match(name)]
            )
    return EventFilter(patterns, kinds_of(query.getlist("kind")), allowed)


def check_matches(pattern: str, names: list[str]) -> None:
    """Raise BadRequestError when a pattern matches none of ``names``."""
    if not any(map(queries.matcher_of(pattern), names)):
        raise BadRequestError(f"process: no process matches {queries.shown(pattern)}{_hint(pattern, names)}")


def _checked(name: str, patterns: Iterable[str]) -> tuple[str, ...]:
    """The patterns without repetitions; raises BadRequestError for too many, and for one that is too long."""
    found = tuple(dict.fromkeys(patterns))
    if len(found) > MOST_PATTERNS:
        raise BadRequestError(f"{name} is given {len(found)} times, at most {MOST_PATTERNS} are allowed")
    return tuple(queries.pattern_of(name, pattern) for pattern in found)


def _hint(text: str, known: Iterable[str]) -> str:
    """The nearest known word, or else what there is, for the end of a message."""
    from difflib import get_close_matches

    words = list(dict.fromkeys(known))
    nearest = get_close_matches(text, words[:_COMPARED], n=1, cutoff=0.5)
    if nearest:
        return f"; did you mean {nearest[0]}?"
    more = ", ..." if len(words) > _SHOWN else ""
    return f"; there are {', '.join(words[:_SHOWN])}{more}" if words else ""


def _wait_of(request: Request) -> float | None:
    text = request.query_params.get("wait")
    if text is None:
        return None
    try:
        seconds = (
            float(text) if text.isascii() and text.isdigit() and len(text) < 10 else parse_duration(text)
        )
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST_WAIT_S:
        raise BadRequestError(
            f"wait must be a duration from 0 to {LONGEST_WAIT_S:.0f}s such as 30s, not {queries.shown(text)}"
        )
    return seconds


def _reader_of(request: Request, feed: EventFeed, chosen: EventFilter, *, everything: bool) -> EventReader:
    """A reader that begins where the request says; raises BadRequestError. ``everything``: it begins with all
    events that are kept where the request does not say."""
    from cbox_init.api.event_feed import EventReader, number_of

    query = request.query_params
    header = request.headers.get("last-event-id")
    seen = header or query.get("last_event_id") or query.get("since")
    tail = queries.count_of(query, "tail", least=0)
    if not seen:
        if everything and tail is None:
            tail = queries.LARGEST_LIMIT
        return EventReader(feed, chosen, last=tail)
    place = number_of(seen)
    if place is None and not header and "last_event_id" not in query:
        since_ns = since_of(query)
        return EventReader(feed, chosen, since=(since_ns or 0) / 1e9, last=tail)
    if place is None or place[0] != feed.run:
        return EventReader(feed, chosen, after=0, restarted=True)
    if place[1] > feed.events.last:
        raise BadRequestError(
            f"there is no event {queries.shown(seen)} yet: the latest is {feed.run}-{feed.events.last}"
        )
    return EventReader(feed, chosen, after=place[1])


async def _reply(request: Request, reader: EventReader, wait_s: float, limit: int) -> Response:
    """The next events as JSON, when there are any or the time is up."""
    from cbox_init.api.event_feed import entries

    until = monotonic() + wait_s
    batch = reader.take(limit)

    async def wait() -> None:
        nonlocal batch
        while not batch.events and batch.missed is None and not reader.ended and monotonic() < until:
            await reader.wait(until - monotonic())
            batch = reader.take(limit)

    if not batch.events and batch.missed is None and wait_s > 0:
        async with while_connected(request, wait()) as task:
            if task.done():
                task.result()
    listed = entries(batch.events)
    return json_response(
        EventList(
            count=len(listed),
            events=listed,
            last_event_id=reader.id,
            missed=UNSET if batch.missed is None else batch.missed,
        )
    )


async def _relay(
    reader: EventReader, streams: Streams, receive: Receive, send: Send, allowed: Callable[[], bool]
) -> None:
    """Send one reader its events until the daemon ends them, the client disconnects, or may not read on."""
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(reader.close_when_gone(receive))
        await _send_all(reader, streams, send, allowed)
        watching.cancel()


async def _send_all(reader: EventReader, streams: Streams, send: Send, allowed: Callable[[], bool]) -> None:
    marked = reader.id
    chunk = b"retry: %d\nid: %b\n\n" % (RETRY_MS, marked.encode())
    due = monotonic() + KEEPALIVE_S
    while True:
        late = monotonic() >= due
        if (reader.pending or late) and not allowed():
            return
        if reader.pending:
            data = reader.take_cached()
            if data is None:
                async with streams.turn():
                    data = reader.chunk()
            if data:
                marked = reader.id
            chunk += data
        elif not chunk and reader.ended:
            return
        if late:
            mark = b"" if reader.id == marked else b"id: %b\n" % reader.id.encode()
            chunk += b": keepalive\n%b\n" % mark
            marked, due = reader.id, monotonic() + KEEPALIVE_S
        if chunk:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            chunk = b""
        else:
            await reader.wait(due - monotonic())
