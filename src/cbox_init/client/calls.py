"""Every call of the API as a value: what is sent, and the type of the reply. Pure; both clients use it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Generic, Literal, NamedTuple, TypedDict, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from cbox_init.api.schemas import (
    ActionReply,
    ChangedProcess,
    DaemonEntry,
    EditReply,
    Health,
    LogList,
    LogOutputs,
    NewProcess,
    OneshotHistory,
    ProcessDetail,
    ProcessList,
    ReloadReply,
    SavedReply,
    ScaledReply,
    ScaleReply,
    ScaleRequest,
    ScheduleDetail,
    ScheduleHistory,
    ScheduleReply,
    TriggerReply,
)
from cbox_init.errors import ClientError, UnknownProcess

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cbox_init.api.schemas import ProcessEntry

Reply = TypeVar("Reply")
_Value = str | list[str] | None
Action = Literal["start", "stop", "restart"]
ScheduleAction = Literal["pause", "resume", "trigger"]
Level = Literal["debug", "info", "warn", "error"]
Order = Literal["asc", "desc"]
Stream = Literal["stdout", "stderr", "file"]

_BASE = "/api/v1"

#: How long the daemon waits at most for the end of a run before it answers.
LONGEST_SYNC_S = 300.0


class StreamFilters(TypedDict, total=False):
    """What lines must be like; a line has to meet all of it.

    ``level`` is the least level, ``grep`` text that the message contains. ``since`` is a time in RFC 3339,
    Unix seconds, or a duration that has passed since ("5m"). None asks for nothing.
    """

    level: Level | None
    stream: Stream | Sequence[Stream] | None
    instance: str | Sequence[str] | None
    since: str | float | None
    grep: str | None
    ignore_case: bool


class LogFilters(StreamFilters, total=False):
    """The same for lines that are there; ``until`` is a time like ``since``."""

    until: str | float | None


class Call(NamedTuple, Generic[Reply]):
    """One request and the type that its reply decodes to."""

    method: str
    path: str
    reply: type[Reply]
    body: bytes | None = None

    def headers(self) -> dict[str, str]:
        """The headers of this call beside those of every call."""
        return {"Content-Type": "application/json"} if self.body is not None else {}


def health() -> Call[Health]:
    return Call("GET", f"{_BASE}/health", Health)


def daemon() -> Call[DaemonEntry]:
    return Call("GET", f"{_BASE}/daemon", DaemonEntry)


def processes() -> Call[ProcessList]:
    return Call("GET", f"{_BASE}/processes", ProcessList)


def process(name: str) -> Call[ProcessDetail]:
    return Call("GET", _path(name), ProcessDetail)


def act(name: str, action: Action) -> Call[ActionReply]:
    return Call("POST", f"{_path(name)}/{action}", ActionReply)


def scale(name: str, count: int) -> Call[ScaleReply]:
    return Call("POST", f"{_path(name)}/scale", ScaleReply, msgspec.json.encode(ScaleRequest(scale=count)))


def scale_by(name: str, delta: int) -> Call[ScaledReply]:
    return Call("POST", f"{_path(name)}/scale", ScaledReply, msgspec.json.encode(ScaleRequest(delta=delta)))


def schedule(name: str) -> Call[ScheduleDetail]:
    return Call("GET", f"{_path(name)}/schedule", ScheduleDetail)


def schedule_history(name: str, limit: int) -> Call[ScheduleHistory]:
    return Call("GET", f"{_path(name)}/schedule/history{_query(limit=str(limit))}", ScheduleHistory)


def oneshot_history(name: str | None, limit: int) -> Call[OneshotHistory]:
    query = _query(limit=str(limit), process=name)
    return Call("GET", f"{_BASE}/oneshot/history{query}", OneshotHistory)


def act_on_schedule(name: str, action: ScheduleAction) -> Call[ScheduleReply]:
    return Call("POST", f"{_path(name)}/schedule/{action}", ScheduleReply)


def trigger_and_wait(name: str) -> Call[TriggerReply]:
    return Call("POST", f"{_path(name)}/schedule/trigger?sync=true", TriggerReply)


def add_process(name: str, process: Mapping[str, object]) -> Call[EditReply]:
    body = msgspec.json.encode(NewProcess(name, dict(process)))
    return Call("POST", f"{_BASE}/processes", EditReply, body)


def update_process(name: str, process: Mapping[str, object]) -> Call[EditReply]:
    return Call("PUT", _path(name), EditReply, msgspec.json.encode(ChangedProcess(dict(process))))


def remove_process(name: str) -> Call[EditReply]:
    return Call("DELETE", _path(name), EditReply)


def reload_config(dry_run: bool) -> Call[ReloadReply]:
    query = _query(dry_run="true" if dry_run else None)
    return Call("POST", f"{_BASE}/config/reload{query}", ReloadReply)


def save_config() -> Call[SavedReply]:
    return Call("POST", f"{_BASE}/config/save", SavedReply)


def logs(names: Sequence[str], limit: int, order: Order, filters: LogFilters) -> Call[LogList]:
    base = _path(names[0]) if len(names) == 1 else _BASE
    several = list(names) if len(names) > 1 else None
    query = _query(limit=str(limit), order=order, process=several, **_values(filters))
    return Call("GET", f"{base}/logs{query}", LogList)


def log_outputs() -> Call[LogOutputs]:
    return Call("GET", f"{_BASE}/logs/outputs", LogOutputs)


def log_stream(
    names: Sequence[str], tail: int | None, last_event_id: str | None, filters: StreamFilters
) -> str:
    """The path of the stream of events; it is read with ``stream.LogEvents``."""
    query = _query(
        process=list(names),
        tail=None if tail is None else str(tail),
        last_event_id=last_event_id,
        **_values(filters),
    )
    return f"{_BASE}/logs/stream{query}"


def openapi() -> Call[dict[str, object]]:
    return Call("GET", f"{_BASE}/openapi.json", dict[str, object])


def entry_of(name: str, entries: Iterable[ProcessEntry]) -> ProcessEntry:
    """The entry of one process; raises UnknownProcess."""
    for entry in entries:
        if entry.name == name:
            return entry
    raise UnknownProcess(name)


def _path(name: str) -> str:
    if not name:
        raise ClientError("the name of a process is empty")
    try:
        segment = quote(name, safe="")
    except UnicodeEncodeError:
        raise ClientError(f"{name!r} is the name of no process: it is no text in UTF-8") from None
    if name in (".", ".."):  # dots of their own would be taken for steps in the path
        segment = name.replace(".", "%2E")
    return f"{_BASE}/processes/{segment}"


def _values(filters: StreamFilters) -> dict[str, _Value]:
    return {name: _value(value) for name, value in filters.items()}


def _value(value: object) -> _Value:
    if isinstance(value, bool):
        return "true" if value else None
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float | int):
        return f"{value:.6f}"
    assert isinstance(value, Iterable)
    return [str(one) for one in value]


def _query(**values: _Value) -> str:
    given = {key: value for key, value in values.items() if value}
    try:
        return f"?{urlencode(given, doseq=True)}" if given else ""
    except UnicodeEncodeError as error:
        raise ClientError(f"{error.object!r} cannot be sent: it is no text in UTF-8") from None
