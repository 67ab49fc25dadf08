"""Every reply and every body of the API, as types.

The routes encode these, the client decodes them, and the OpenAPI document is made from them. A member that
may be absent is UNSET then. Texts of a fixed choice are plain ``str`` here: a client must not fail at a word
that a newer daemon adds; the document names today's words.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import UNSET, Meta, Raw, Struct, UnsetType, field

STATES = ("starting", "running", "stopping", "stopped", "failed", "completed", "scheduled", "paused")
SCHEDULE_STATES = ("idle", "executing", "paused")
HEALTH_STATES = ("starting", "healthy", "unhealthy")
AUTOSCALE_METRICS = ("cpu", "memory", "command", "http")
ROLLOUT_STATES = ("progressing", "failed", "rolled_back")
NOTIFY_STATES = ("starting", "ready", "reloading", "stopping")
TRIGGERS = ("startup", "reload", "manual", "restart", "schedule")
LEVELS = ("debug", "info", "warn", "error")

State = Annotated[
    str,
    Meta(
        description="A restart that waits for its time is starting, with next_restart_at. "
        "A scheduled process is scheduled, running or paused.",
        extra_json_schema={"enum": list(STATES)},
    ),
]
ProcessTypeName = Annotated[
    str,
    Meta(
        extra_json_schema={"enum": ["longrun", "oneshot", "scheduled"]},
        description="What kind of process it is.",
    ),
]
ScheduleState = Annotated[str, Meta(extra_json_schema={"enum": list(SCHEDULE_STATES)})]
SuccessRate = Annotated[
    float, Meta(ge=0, le=100, description="Of the runs that are over, in percent; 0 when there is none.")
]
Nanoseconds = Annotated[int, Meta(ge=0, description="Nanoseconds.")]
LevelName = Annotated[str, Meta(extra_json_schema={"enum": list(LEVELS)})]
UnixSeconds = Annotated[int, Meta(ge=0, description="Unix seconds; 0 when it has never been.")]
Percent = Annotated[float, Meta(ge=0)]
Bytes = Annotated[int, Meta(ge=0)]
Count = Annotated[int, Meta(ge=0)]
Int32 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
#: Clients whose only numbers are floating-point ones, such as JavaScript's and Lua's, may write 2.0 for 2.
WholeNumber = Int32 | Annotated[float, Meta(ge=-(2**31), le=2**31 - 1, multiple_of=1.0)]
Timestamp = Annotated[str, Meta(description="RFC 3339 in UTC.", extra_json_schema={"format": "date-time"})]
JsonValue = Annotated[object, Meta(description="Any JSON value.")]


class Health(Struct, frozen=True):
    """The API answers."""

    status: Annotated[str, Meta(extra_json_schema={"const": "healthy"})]


class ErrorReply(Struct, frozen=True):
    """Why a request failed. ``details`` has one entry for each problem, with a hint how to fix it."""

    error: str
    details: tuple[str, ...] | UnsetType = UNSET


class HealthEntry(Struct, frozen=True, kw_only=True):
    """What the health checks of an instance have shown since its start, and what it says itself."""

    status: Annotated[
        str,
        Meta(
            description="starting until the first thresholds are reached, and with type: notify READY=1.",
            extra_json_schema={"enum": list(HEALTH_STATES)},
        ),
    ]
    ready: Annotated[
        bool,
        Meta(
            description="True when its mode is liveness, or it is healthy; "
            "with type: notify only while it says so."
        ),
    ]
    consecutive_failures: Count
    overdue: (
        Annotated[bool, Meta(description="True when it has not become healthy in process_start_timeout.")]
        | UnsetType
    ) = UNSET
    last_check: Annotated[float, Meta(ge=0, description="Unix seconds of its end.")] | UnsetType = UNSET
    last_result: Annotated[str, Meta(extra_json_schema={"enum": ["success", "failure"]})] | UnsetType = UNSET
    latency_ms: Annotated[float, Meta(ge=0, description="How long the last check took.")] | UnsetType = UNSET
    reason: Annotated[str, Meta(description="Why the last check failed.")] | UnsetType = UNSET
    not_checked: (
        Annotated[
            str,
            Meta(
                description="Why the latest check could not be run: no process, thread, descriptor, memory. "
                "It counts as neither success nor failure."
            ),
        ]
        | UnsetType
    ) = UNSET
    notified: (
        Annotated[
            str,
            Meta(
                description="With type: notify: what it has said last of its readiness.",
                extra_json_schema={"enum": list(NOTIFY_STATES)},
            ),
        ]
        | UnsetType
    ) = UNSET
    status_text: Annotated[str, Meta(description="The STATUS= that it has sent last.")] | UnsetType = UNSET


class InstanceEntry(Struct, frozen=True, kw_only=True):
    """One instance of a process, or one run of a schedule. ``pid`` is 0 when it is not alive."""

    id: Annotated[str, Meta(description="NAME-INDEX, with the index from 0; of a run NAME-run-N, from 1.")]
    state: State
    pid: Annotated[int, Meta(ge=0, description="0 when it is not alive.")]
    started_at: UnixSeconds
    restart_count: Count
    cpu_percent: Annotated[float, Meta(ge=0, description="Of one CPU.")]
    memory_rss_bytes: Bytes
    memory_percent: Annotated[float, Meta(ge=0, description="Of the memory that the container may use.")]
    next_restart_at: Annotated[float, Meta(description="Unix seconds.")] | UnsetType = UNSET
    exit_code: Annotated[int, Meta(description="Of its last end.")] | UnsetType = UNSET
    reason: Annotated[str, Meta(description="Why it does not run, or is not healthy.")] | UnsetType = UNSET
    last_output: (
        Annotated[tuple[str, ...], Meta(description="Of one that has failed: its last lines, oldest first.")]
        | UnsetType
    ) = UNSET
    restart_reasons: (
        Annotated[dict[str, Count], Meta(description="The restarts, counted by their reason.")] | UnsetType
    ) = UNSET
    health: HealthEntry | UnsetType = UNSET


class RolloutEntry(Struct, frozen=True, kw_only=True):
    """A restart, or a change of the configuration, that replaces the instances of a process."""

    state: Annotated[
        str,
        Meta(
            description="failed: it has stopped, and the old instances that are left stay. rolled_back: the "
            "former configuration is in force again.",
            extra_json_schema={"enum": list(ROLLOUT_STATES)},
        ),
    ]
    updated: Annotated[int, Meta(ge=0, description="New instances that are ready.")]
    total: Annotated[int, Meta(ge=0, description="Instances that are to be new.")]
    instance: Annotated[str, Meta(description="The new instance that it has stopped at.")] | UnsetType = UNSET
    reason: Annotated[str, Meta(description="Why it has stopped.")] | UnsetType = UNSET


class AutoscaleEntry(Struct, frozen=True, kw_only=True):
    """What autoscaling measured and decided last."""

    metric: Annotated[str, Meta(extra_json_schema={"enum": list(AUTOSCALE_METRICS)})]
    target: Annotated[float, Meta(gt=0, description="Percent of a CPU, bytes, or what the metric counts.")]
    min: Annotated[int, Meta(ge=0)]
    max: Annotated[int, Meta(ge=1)]
    value: (
        Annotated[
            float,
            Meta(ge=0, description="Of one instance for cpu and memory, else of all together."),
        ]
        | UnsetType
    ) = UNSET
    measured_at: Annotated[int, Meta(description="Unix seconds.")] | UnsetType = UNSET
    reason: Annotated[str, Meta(description="Of the last change of the scale.")] | UnsetType = UNSET
    error: Annotated[str, Meta(description="Why the last measurement failed.")] | UnsetType = UNSET
    errors: Annotated[int, Meta(ge=0, description="Measurements that failed.")] = 0


class ProcessEntry(Struct, frozen=True, kw_only=True):
    """One process. ``scale`` counts the instances that exist now; the figures are sums over them.

    A scheduled process has a scale of 0, the runs under way as its instances, and the members from
    ``schedule`` on: ``next_run`` unless it is paused, ``last_run`` and ``last_exit_code`` when it has run.
    """

    name: str
    type: ProcessTypeName
    state: State
    scale: Count
    desired_scale: Count
    max_scale: Annotated[int, Meta(ge=0, description="The most instances that it may have; 0 is no limit.")]
    cpu_percent: Percent
    memory_rss_bytes: Bytes
    memory_percent: Percent
    instances: tuple[InstanceEntry, ...]
    wanted: Annotated[bool, Meta(description="False when it was stopped, or has a desired_scale of 0.")]
    depends_on: (
        Annotated[tuple[str, ...], Meta(description="The processes that it waits for at its start.")]
        | UnsetType
    ) = UNSET
    waiting_for: (
        Annotated[tuple[str, ...], Meta(description="Dependencies that are not ready.")] | UnsetType
    ) = UNSET
    reason: Annotated[str, Meta(description="Why it is not as it should be.")] | UnsetType = UNSET
    rollout: RolloutEntry | UnsetType = UNSET
    autoscale: AutoscaleEntry | UnsetType = UNSET
    groups: Annotated[tuple[str, ...], Meta(description="Of the file; absent without any.")] | UnsetType = (
        UNSET
    )
    schedule: str | UnsetType = UNSET
    schedule_state: ScheduleState | UnsetType = UNSET
    next_run: UnixSeconds | UnsetType = UNSET
    last_run: UnixSeconds | UnsetType = UNSET
    run_count: Count | UnsetType = UNSET
    success_rate: SuccessRate | UnsetType = UNSET
    last_exit_code: int | UnsetType = UNSET


class ProcessList(Struct, frozen=True):
    """All processes, in the order of the file."""

    processes: tuple[ProcessEntry, ...]


class ProcessDetail(Struct, frozen=True):
    """The configuration of a process, by the keys of the file; secrets are ``***``."""

    process: str
    config: dict[str, JsonValue]


ChangeId = Annotated[str, Meta(description="What `/changes/{id}` shows, and the header Location.")]


class ActionReply(Struct, frozen=True):
    """A command was taken; the work goes on behind the reply."""

    message: str
    process: str
    change: ChangeId | UnsetType = UNSET


class ScaleReply(Struct, frozen=True):
    """A scale was taken; the work goes on behind the reply."""

    message: str
    process: str
    scale: Count
    change: ChangeId | UnsetType = UNSET


class ScaledReply(Struct, frozen=True, kw_only=True):
    """The older form of a scale is done. It holds ``desired`` or ``delta``, as the request did."""

    status: Annotated[str, Meta(extra_json_schema={"const": "scaled"})]
    process: str
    desired: Count | UnsetType = UNSET
    delta: int | UnsetType = UNSET
    change: ChangeId | UnsetType = UNSET


_COUNT: Final = {"minimum": 0}
"""Of what is refused with a reason of its own; msgspec would refuse it without one."""


class ScaleRequest(Struct, frozen=True, kw_only=True):
    """Exactly one of the three: ``scale`` answers at once, the older two when it is done."""

    scale: (
        Annotated[WholeNumber, Meta(description="Instances to have; 2.0 is 2.", extra_json_schema=_COUNT)]
        | UnsetType
    ) = UNSET
    desired: (
        Annotated[WholeNumber, Meta(description="Instances to have.", extra_json_schema=_COUNT)] | UnsetType
    ) = UNSET
    delta: Annotated[WholeNumber, Meta(description="Instances to have more; not below 0.")] | UnsetType = (
        UNSET
    )


class ScheduleStats(Struct, frozen=True, kw_only=True):
    """What the runs of a schedule add up to since the daemon started. A time is null when it has not been."""

    total_executions: Annotated[int, Meta(ge=0, description="Also those under way.")]
    success_count: Count
    failure_count: Count
    running_count: Count
    success_rate: SuccessRate
    average_duration: Nanoseconds
    last_execution_time: Timestamp | None
    last_success_time: Timestamp | None
    last_failure_time: Timestamp | None


class ScheduleEntry(Struct, frozen=True, kw_only=True):
    """A schedule. ``next_run`` is null when it is paused, ``last_run`` when it has not run."""

    name: str
    schedule: str
    timezone: str
    state: ScheduleState
    last_run: Timestamp | None
    next_run: Timestamp | None
    current_execution_id: Annotated[str | None, Meta(description="The latest run that is under way.")]
    stats: ScheduleStats


class ScheduleDetail(Struct, frozen=True):
    """The schedule of one process."""

    process: str
    schedule: ScheduleEntry


class RunEntry(Struct, frozen=True, kw_only=True):
    """One run that is over. ``error`` is empty when it was a success."""

    id: Annotated[str, Meta(description="NAME-run-N, with N from 1 since the daemon started.")]
    start_time: Timestamp
    end_time: Timestamp
    exit_code: int
    success: bool
    error: str
    triggered: Annotated[str, Meta(extra_json_schema={"enum": ["schedule", "manual"]})]


class ScheduleHistory(Struct, frozen=True, kw_only=True):
    """The last runs of one process that are over, newest first."""

    process: str
    limit: Annotated[int, Meta(ge=1, le=10_000)]
    count: Count
    history: tuple[RunEntry, ...]


class OneshotEntry(Struct, frozen=True, kw_only=True):
    """One execution of a oneshot. What is known at its end is null while it runs."""

    id: Annotated[int, Meta(ge=1, description="Executions are counted from 1 since the daemon started.")]
    process_name: str
    instance_id: Annotated[str, Meta(description="NAME-0; of a run of a schedule NAME-run-N.")]
    started_at: Timestamp
    finished_at: Timestamp | None
    exit_code: Annotated[int | None, Meta(description="128 + N for signal N.")]
    success: bool | None
    error: Annotated[str, Meta(description="Why it was no success; empty when it was, and while it runs.")]
    duration: Annotated[str | None, Meta(description="In Go's notation, such as 1m2.5s.")]
    duration_ms: Annotated[int, Meta(ge=0)] | None
    trigger_type: Annotated[str, Meta(extra_json_schema={"enum": list(TRIGGERS)})]


class OneshotList(Struct, frozen=True, kw_only=True):
    """The last executions of oneshots, those that run among them, newest first."""

    executions: tuple[OneshotEntry, ...]
    count: Count
    limit: Annotated[int, Meta(ge=1, le=10_000)]


class ScheduleReply(Struct, frozen=True):
    """A command to a schedule was taken."""

    status: Annotated[str, Meta(extra_json_schema={"enum": ["paused", "resumed", "triggered"]})]
    process: str
    change: ChangeId | UnsetType = UNSET


class TriggerReply(Struct, frozen=True):
    """The run that was triggered is over (``completed``), or goes on although 5 minutes are over."""

    status: Annotated[str, Meta(extra_json_schema={"enum": ["completed", "triggered"]})]
    process: str
    exit_code: int | UnsetType = UNSET
    change: ChangeId | UnsetType = UNSET


_PROCESS: Final = {
    "properties": {
        "command": {
            "anyOf": [
                {"type": ["string", "number", "boolean"], "minLength": 1},
                {"type": "array", "items": {"type": ["string", "number", "boolean"]}, "minItems": 1},
            ]
        }
    },
    "required": ["command"],
}


class NewProcess(Struct, frozen=True):
    """A process to add: its name, and its keys as in the file."""

    name: str
    process: Annotated[dict[str, JsonValue], Meta(extra_json_schema=_PROCESS)]


class ChangedProcess(Struct, frozen=True):
    """The whole configuration of a process, keys as in the file; ``***`` stands for what is there."""

    process: Annotated[dict[str, JsonValue], Meta(extra_json_schema=_PROCESS)]


class EditReply(Struct, frozen=True):
    """The configuration of a process was created, updated or removed."""

    status: Annotated[str, Meta(extra_json_schema={"enum": ["created", "updated", "removed"]})]
    process: str
    message: str
    change: ChangeId | UnsetType = UNSET


class ReloadReply(Struct, frozen=True, kw_only=True):
    """What the file changed; with ``dry_run`` what it would change. Every process is in one of the lists."""

    status: Annotated[str, Meta(extra_json_schema={"enum": ["reloaded", "dry_run"]})]
    message: str
    added: Annotated[tuple[str, ...], Meta(description="Started, unless configured otherwise.")]
    changed: Annotated[tuple[str, ...], Meta(description="Instances replaced, one after another.")]
    adjusted: Annotated[tuple[str, ...], Meta(description="Scale, limits or rules; nothing restarted.")]
    removed: Annotated[tuple[str, ...], Meta(description="Stopped and forgotten.")]
    kept: Annotated[tuple[str, ...], Meta(description="As they were.")]
    needs_restart: Annotated[
        tuple[str, ...], Meta(description="Keys that keep their old value until the daemon is restarted.")
    ]
    warnings: Annotated[tuple[str, ...], Meta(description="Warnings and suggestions about the file.")]
    change: ChangeId | UnsetType = UNSET
    diff: (
        Annotated[str, Meta(description="With dry_run: from what is in force to the file; see ConfigReply.")]
        | UnsetType
    ) = UNSET
    changed_keys: (
        Annotated[
            dict[str, tuple[str, ...]],
            Meta(description="With dry_run: the keys that differ, of each process that stays."),
        ]
        | UnsetType
    ) = UNSET


class SavedReply(Struct, frozen=True):
    """What was changed through the API is in the file; with ``dry_run`` it would be."""

    status: Annotated[str, Meta(extra_json_schema={"enum": ["saved", "dry_run"]})]
    message: str
    diff: (
        Annotated[str, Meta(description="With dry_run: what would change in the file; see ConfigReply.")]
        | UnsetType
    ) = UNSET


class LoopVitals(Struct, frozen=True, kw_only=True):
    """How long the turns of the event loop took in the last minute: the most that anybody waited in each."""

    lag_p50_ms: Annotated[float, Meta(ge=0, description="Half of the turns took at most this long.")]
    lag_p99_ms: Annotated[float, Meta(ge=0, description="99 of 100 turns took at most this long.")]
    lag_max_ms: Annotated[float, Meta(ge=0, description="The longest.")]
    turns: Count


class CountsVitals(Struct, frozen=True, kw_only=True):
    """How many there are. ``instances`` are those that are shown, ``restarts`` the sum of theirs."""

    processes: Count
    instances: Annotated[int, Meta(ge=0, description="Also runs of schedules that are under way.")]
    running: Count
    failed: Annotated[int, Meta(ge=0, description="Instances that were given up.")]
    restarts: Count
    scheduled: Annotated[int, Meta(ge=0, description="Processes that have a schedule.")]
    runs: Annotated[int, Meta(ge=0, description="Runs of schedules since the start.")]


class LogVitals(Struct, frozen=True, kw_only=True):
    """The log with all its outputs. While standard output is ``backed_up`` nothing is started."""

    queued_bytes: Annotated[int, Meta(ge=0, description="That wait to be written.")]
    written_records: Annotated[int, Meta(ge=0, description="Since the start.")]
    dropped_records: Annotated[int, Meta(ge=0, description="Since the start.")]
    backed_up: bool
    subscribers: Annotated[int, Meta(ge=0, description="Streams of log lines that are followed.")]
    unread_bytes: Annotated[int, Meta(ge=0, description="That they have not taken yet.")]


class ApiVitals(Struct, frozen=True, kw_only=True):
    """Requests and connections of the API."""

    requests: Annotated[int, Meta(ge=0, description="That were answered before this one.")]
    connections: Annotated[int, Meta(ge=0, description="That are open.")]


class DaemonEntry(Struct, frozen=True, kw_only=True):
    """The daemon itself. What the kernel does not tell is 0; ``config`` is null when there is no file."""

    version: str
    python_version: str
    pid: int
    config: str | None
    started_at: UnixSeconds
    uptime_seconds: Annotated[float, Meta(ge=0)]
    cpu_seconds: Annotated[float, Meta(ge=0, description="That all its threads have used.")]
    memory_rss_bytes: Bytes
    memory_peak_bytes: Bytes
    threads: Count
    file_descriptors: Annotated[int, Meta(ge=0, description="That are open.")]
    max_file_descriptors: Annotated[int, Meta(ge=-1, description="That may be open; -1 is no limit.")]
    loop: LoopVitals
    counts: CountsVitals
    log: LogVitals
    api: ApiVitals


class ProcessReadiness(Struct, frozen=True):
    """Whether one process is ready in the sense of its dependents."""

    name: str
    state: State
    health: Annotated[str, Meta(extra_json_schema={"enum": ["healthy", "unhealthy"]})]


class ReadinessReply(Struct, frozen=True):
    """Whether the container is ready; ``processes`` are those that count, in the order of the file."""

    ready: bool
    processes: tuple[ProcessReadiness, ...]


class LogEntry(Struct, frozen=True, kw_only=True):
    """One record of a process. ``partial`` marks a part, which the next record of the instance continues."""

    timestamp: Timestamp
    process: str
    instance: str
    stream: Annotated[str, Meta(description="stdout, stderr or file.")]
    level: LevelName
    message: str
    partial: bool | UnsetType = UNSET
    fields: (
        Annotated[
            Raw, Meta(description="Members of a line that was JSON.", extra_json_schema={"type": "object"})
        ]
        | UnsetType
    ) = UNSET


class ListedLogEntry(LogEntry, frozen=True, kw_only=True, rename="pascal"):
    """A record in a list. It has some members by other names too, which older clients read."""

    process_name: str
    instance_id: str = field(name="InstanceID")
    stream_: str = field(name="Stream")
    level_: LevelName = field(name="Level")
    message_: str = field(name="Message")
    timestamp_: Timestamp = field(name="Timestamp")


class LogList(Struct, frozen=True, kw_only=True):
    """The last lines of one process, or (``scope`` is ``stack``) of all of them."""

    process: str | UnsetType = UNSET
    scope: Annotated[str, Meta(extra_json_schema={"const": "stack"})] | UnsetType = UNSET
    limit: Annotated[int, Meta(ge=1, le=10_000)]
    count: Count
    logs: tuple[LogEntry, ...]


class LogListReply(LogList, frozen=True, kw_only=True):
    """A `LogList` as it is sent."""

    logs: tuple[ListedLogEntry, ...]


class LogOutput(Struct, frozen=True, kw_only=True):
    """What has become of the records that were sent to one place."""

    type: Annotated[str, Meta(extra_json_schema={"enum": ["stdout", "stderr", "file", "syslog", "otlp"]})]
    target: Annotated[str, Meta(description="A path or an address.")]
    written: Annotated[int, Meta(ge=0, description="Records.")]
    dropped: Annotated[int, Meta(ge=0, description="Records that are nowhere: there was no room, or no use.")]
    queued_bytes: Annotated[int, Meta(ge=0, description="Bytes that wait to be written.")]
    error: Annotated[str, Meta(description="What is wrong at the moment.")] | UnsetType = UNSET


class LogOutputs(Struct, frozen=True):
    """Where records go; standard output is the first. ``rate_limited`` is by process."""

    outputs: tuple[LogOutput, ...]
    rate_limited: Annotated[
        dict[str, int],
        Meta(description="Records that logging.rate_limit has held back, of each process that has one."),
    ]


class MissedEvent(Struct, frozen=True):
    """In a stream: ``count`` lines are missing here. Without ``count`` the number is not known."""

    count: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
