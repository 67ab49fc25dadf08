"""The JSON of the live state in a stream, of who sends a request, and of the next runs of schedules."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType, field

from cbox_init.api.schemas import (
    ApiVitals,
    Bytes,
    Count,
    CountsVitals,
    DaemonEntry,
    LogVitals,
    LoopVitals,
    Percent,
    ProcessEntry,
    UnixSeconds,
)

ServerTime = Annotated[
    float,
    Meta(ge=0, description="The time on the clock of the daemon, in Unix seconds with milliseconds."),
]
InstanceFigures = tuple[str, Percent, Bytes, Percent]
"""The id of an instance, its ``cpu_percent``, ``memory_rss_bytes`` and ``memory_percent``."""


class LiveSnapshot(Struct, frozen=True, kw_only=True):
    """Everything, as the first message. A later one takes the place of all that was sent before."""

    time: ServerTime
    daemon: DaemonEntry
    processes: Annotated[tuple[ProcessEntry, ...], Meta(description="In the order of the file.")]


class LiveProcesses(Struct, frozen=True, kw_only=True):
    """What has changed: each entry takes the place of the one with its name, or is new."""

    time: ServerTime
    processes: tuple[ProcessEntry, ...]
    removed: Annotated[tuple[str, ...], Meta(description="Names of processes that are no more.")]
    order: (
        Annotated[
            tuple[str, ...],
            Meta(
                description="All names in their order, when it has changed. Without it new processes come "
                "last."
            ),
        ]
        | UnsetType
    ) = UNSET


class LiveDaemon(Struct, frozen=True, kw_only=True):
    """What has changed in the DaemonEntry of the snapshot, with the same names, and ``cpu_percent``."""

    uptime_seconds: Annotated[float, Meta(ge=0)]
    cpu_percent: Annotated[float, Meta(ge=0, description="Of one CPU, since the last figures.")]
    cpu_seconds: Annotated[float, Meta(ge=0, description="That all its threads have used.")]
    memory_rss_bytes: Bytes
    memory_peak_bytes: Bytes
    threads: Count
    file_descriptors: Count
    loop: LoopVitals
    counts: CountsVitals
    log: LogVitals
    api: ApiVitals


class LiveFigures(Struct, frozen=True, kw_only=True):
    """What the daemon and the instances use."""

    time: ServerTime
    daemon: LiveDaemon
    instances: Annotated[
        tuple[InstanceFigures, ...],
        Meta(
            description="Of each instance that is alive: its id, cpu_percent, memory_rss_bytes and "
            "memory_percent. One that is not here uses nothing."
        ),
    ]


class Whoami(Struct, frozen=True, kw_only=True):
    """Who sends this request, and what this caller may do."""

    name: Annotated[
        str,
        Meta(
            description="The name of the token (api_auth for that one), the subject of the certificate, "
            "`uid:1000` on the Unix socket, else the kind."
        ),
    ]
    kind: Annotated[
        str,
        Meta(
            description="How the caller was recognised.",
            extra_json_schema={
                "enum": ["token", "certificate", "socket", "session", "loopback", "anonymous"]
            },
        ),
    ]
    role: Annotated[str, Meta(extra_json_schema={"enum": ["viewer", "operator", "admin"]})]
    processes: Annotated[
        tuple[str, ...],
        Meta(description="Patterns of the names that the caller may see and command; none: all."),
    ]
    time: ServerTime
    expires_at: (
        Annotated[float, Meta(description="When the token or the certificate expires, in Unix seconds.")]
        | UnsetType
    ) = UNSET


class UpcomingRun(Struct, frozen=True):
    """A time at which a schedule starts a run."""

    process: str
    time: UnixSeconds


class UpcomingRuns(Struct, frozen=True, kw_only=True):
    """The next runs of all schedules that are not paused, the earliest first."""

    time: ServerTime
    from_: Annotated[UnixSeconds, Meta(description="No run before this time is here.")] = field(name="from")
    until: Annotated[UnixSeconds, Meta(description="No run after this time is here.")]
    runs: tuple[UpcomingRun, ...]
    truncated: Annotated[bool, Meta(description="Whether there are more runs until then.")]
    more: Annotated[tuple[str, ...], Meta(description="The processes that have more runs until then.")]
