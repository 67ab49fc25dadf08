"""The next runs of all schedules, as for a calendar."""

from __future__ import annotations

from heapq import heapify, heappop, heapreplace
from typing import TYPE_CHECKING, Final

from cbox_init.api import queries
from cbox_init.api.caller import processes_shown_to
from cbox_init.api.log_queries import MOMENTS, moment_ns
from cbox_init.api.replies import BadRequestError, json_response
from cbox_init.api.resource import Operation, Parameter, Reply, Resource, answering
from cbox_init.api.schemas_live import UpcomingRun, UpcomingRuns
from cbox_init.api.waiting import Slices
from cbox_init.config.model.enums import Role

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.datastructures import QueryParams
    from starlette.requests import Request
    from starlette.responses import Response

    from cbox_init.api.context import Context

#: Runs of one process in a reply at most, and of all together: 5,000 take half a second, in slices.
LARGEST_LIMIT: Final = 1000
MOST_RUNS: Final = 5000

#: The time between from and until, in seconds.
DEFAULT_SPAN_S: Final = 7 * 86_400
LONGEST_SPAN_S: Final = 366 * 86_400

#: How far from lies in the future at most, in seconds.
_FARTHEST_S: Final = 10 * 366 * 86_400

_MOMENT: Final = "RFC 3339, Unix seconds, or a duration such as 36h from now on."


def resources(context: Context) -> tuple[Resource, ...]:
    """``/schedules/upcoming``."""

    async def upcoming(request: Request) -> Response:
        query, now = request.query_params, context.parts.runtime.unix()
        begin = _moment_of(query, "from", now)
        begin = now if begin is None else begin
        if begin > now + _FARTHEST_S:
            raise BadRequestError("from must be at most 10 years from now")
        until = _moment_of(query, "until", now)
        until = begin + DEFAULT_SPAN_S if until is None else until
        if not 0 < until - begin <= LONGEST_SPAN_S:
            raise BadRequestError("until must be later than from, by at most 366 days")
        limit = queries.count_of(query, "limit", least=1, most=LARGEST_LIMIT) or queries.DEFAULT_LIMIT
        shown = processes_shown_to(request.scope)
        slices = Slices()
        heap: list[tuple[float, int, str, Iterator[float]]] = []
        for number, process in enumerate(context.supervisor.each_managed()):
            if process.schedule is not None and shown.match(process.name):
                times = process.schedule.upcoming(max(begin, now) - 0.001)
                if (first := next(times, None)) is not None and first <= until:
                    heap.append((first, number, process.name, times))
                await slices.breathe()
        heapify(heap)
        runs: list[UpcomingRun] = []
        counts: dict[str, int] = {}
        more = []
        while heap and len(runs) < MOST_RUNS:
            at, number, name, times = heap[0]
            counts[name] = counts.get(name, 0) + 1
            runs.append(UpcomingRun(name, int(at)))
            following = next(times, None)
            if following is None or following > until:
                heappop(heap)
            elif counts[name] >= limit:
                heappop(heap)
                more.append(name)
            else:
                heapreplace(heap, (following, number, name, times))
            await slices.breathe()
        more.extend(name for _, _, name, _ in heap)
        return json_response(
            UpcomingRuns(
                time=round(now, 3),
                from_=int(begin),
                until=int(until),
                runs=tuple(runs),
                truncated=bool(more),
                more=tuple(sorted(more)),
            )
        )

    get = Operation(
        answering(upcoming),
        role=Role.VIEWER,
        name="getUpcomingRuns",
        summary="The next runs of all schedules, the earliest first",
        replies={200: Reply("Those of paused schedules are not among them.", UpcomingRuns)},
        errors=(400,),
        parameters=(
            Parameter("from", f"No run before this time, by default now: {_MOMENT}", MOMENTS),
            Parameter(
                "until",
                f"No run after this time, by default 7 days after from, and 366 at most: {_MOMENT}",
                MOMENTS,
            ),
            Parameter(
                "limit",
                f"Maximum number of runs of each process; of all together {MOST_RUNS}.",
                {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": LARGEST_LIMIT,
                    "default": queries.DEFAULT_LIMIT,
                },
            ),
        ),
        limited=True,
    )
    return (Resource("/api/v1/schedules/upcoming", {"GET": get}),)


def _moment_of(query: QueryParams, name: str, now: float) -> float | None:
    """The parameter ``name`` as Unix time; a duration counts from ``now`` on. Raises BadRequestError."""
    text = query.get(name)
    if text is None:
        return None
    now_ns = int(now * 1e9)
    try:
        at_ns = moment_ns(text, now_ns)
    except (ValueError, OverflowError):
        raise BadRequestError(
            f"{name} must be a time such as 2026-11-24T09:08:03Z, Unix seconds, or a duration such as 36h, "
            f"not {queries.shown(text)}"
        ) from None
    if text.strip()[-1:].lower() not in "0123456789z":
        at_ns = 2 * now_ns - at_ns
    return at_ns / 1e9
