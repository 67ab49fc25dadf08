"""The history of what an instance uses."""

from __future__ import annotations

import re
import time
from asyncio import Semaphore
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from starlette.responses import Response

from cbox_init.api import log_queries, queries
from cbox_init.api.caller import caller_of
from cbox_init.api.replies import BadRequestError, error_response, json_response
from cbox_init.api.resource import Operation, Parameter, Reply, Resource, answering, check_process
from cbox_init.api.schemas_metrics import MetricsHistory
from cbox_init.config.model.enums import Role
from cbox_init.supervisor.instance.launch import instance_id
from cbox_init.telemetry.history import Ring

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams
    from starlette.requests import Request

    from cbox_init.api.context import Context

#: Replies that are made at the same time: each may take a few megabytes.
_MADE_AT_ONCE: Final = 1

_SINCE_BY_DEFAULT_S: Final = 3600.0
_LATEST_S: Final = 253_402_300_799  # the year 9999, the last that RFC 3339 has

_STEP: Final = re.compile(r"([1-9][0-9]{0,5})(ms|s|m|h|d|)", re.ASCII)
_STEP_MS: Final = {"ms": 1, "": 1000, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_FORMATS: Final = ("json", "csv")
_CSV: Final = "text/csv"

_INSTANCE: Final = Parameter(
    "instance", "The id of an instance, such as web-0.", {"type": "string", "minLength": 1}, required=True
)
_PROCESS: Final = Parameter("process", "Its process.", {"type": "string", "minLength": 1}, required=True)
_SINCE: Final = log_queries.SINCE._replace(description="No sample before this time: an hour ago by default.")
_LIMIT: Final = queries.LIMIT._replace(description="Maximum number of entries; the newest are selected.")
_STEP_PARAMETER: Final = Parameter(
    "step",
    "Entries are averages over this time, in seconds or with a unit such as 5m, with the largest values.",
    {"type": "string", "pattern": f"^{_STEP.pattern}$"},
)
_FORMAT: Final = Parameter(
    "format", "Media type of the reply.", {"type": "string", "enum": list(_FORMATS), "default": "json"}
)


def resources(context: Context) -> tuple[Resource, ...]:
    """``/metrics/history``."""
    supervisor = context.supervisor
    making = Semaphore(_MADE_AT_ONCE)

    async def history(request: Request) -> Response:
        query = request.query_params
        for name in ("process", "instance"):
            if not query.get(name):
                raise BadRequestError(f"{name} is required: write ?process=web&instance=web-0")
        process, instance = query["process"], query["instance"]
        check_process(caller_of(request.scope), process)
        supervisor.check_known(process)
        limit, step_ms, form = queries.limit_of(query), _step_of(query), _format_of(query)
        since_ns = log_queries.since_of(query)
        since = time.time() - _SINCE_BY_DEFAULT_S if since_ns is None else since_ns / 1e9
        since = min(max(since, 0.0), _LATEST_S)
        resources = supervisor.resources
        if resources is None:
            return error_response(
                503, "resource metrics are not collected: global.resource_metrics_enabled is false"
            )
        ring = resources.history.ring(process, instance)
        if ring is None:
            status = supervisor.status(process)
            configured = (instance_id(process, index) for index in range(max(1, status.desired_scale)))
            if instance not in {*(one.id for one in status.instances), *configured}:
                return error_response(404, f"no instance {queries.shown(instance)} of {process} is known")
            ring = Ring(0)
        from cbox_init.api.resource_history import Selection, csv, entries

        selection = Selection(since, limit, step_ms)
        async with making:
            if form == "csv":
                body = await csv(ring, selection, resources.memory_bytes)
                return Response(body, media_type=_CSV)
            count, data = await entries(ring, selection, resources.memory_bytes)
            return json_response(
                MetricsHistory(
                    process=process,
                    instance=instance,
                    since=_rfc_3339(since),
                    limit=limit,
                    samples=count,
                    data=data,
                )
            )

    get = Operation(
        answering(history),
        role=Role.VIEWER,
        name="getMetricsHistory",
        summary="The history of what an instance uses",
        replies={200: Reply("Oldest first.", MetricsHistory, also=_CSV)},
        errors=(400, 404, 503),
        parameters=(_PROCESS, _INSTANCE, _SINCE, _LIMIT, _STEP_PARAMETER, _FORMAT),
        limited=True,
    )
    return (Resource("/api/v1/metrics/history", {"GET": get}),)


def _step_of(query: QueryParams) -> int | None:
    """The parameter ``step`` in milliseconds; raises BadRequestError."""
    text = query.get("step")
    if text is None:
        return None
    if (found := _STEP.fullmatch(text)) is None:
        raise BadRequestError(f"step must be seconds or a time such as 5m, not {queries.shown(text)}")
    return int(found[1]) * _STEP_MS[found[2]]


def _format_of(query: QueryParams) -> str:
    """The parameter ``format``; raises BadRequestError."""
    text = query.get("format", _FORMATS[0])
    if text not in _FORMATS:
        raise BadRequestError(f"format must be json or csv, not {queries.shown(text)}")
    return text


def _rfc_3339(unix: float) -> str:
    """A time with the milliseconds that it has."""
    whole, ms = divmod(round(unix * 1000), 1000)
    text = datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{ms:03d}Z" if ms else f"{text}Z"
