"""Every call of the API: its parameters, what is sent, and what the reply means. Pure.

The methods of Client and AsyncClient are made from these functions, so that the parameters and the
documentation of each stand here once.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, TypedDict, TypeVar, Unpack

import msgspec
from msgspec import UNSET

from cbox_init.api.schemas import (
    ActionReply,
    ChangedProcess,
    DaemonEntry,
    EditReply,
    Health,
    LogList,
    LogOutputs,
    NewProcess,
    OneshotList,
    ProcessDetail,
    ProcessList,
    ReadinessReply,
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
from cbox_init.api.schemas_actions import (
    ActionName,
    ActionRequest,
    ActionsReply,
    InstanceActionReply,
    ShutdownReply,
    SignalRequest,
)
from cbox_init.api.schemas_changes import ChangeEntry, ChangeList
from cbox_init.api.schemas_config import ConfigReply, ValidateReply, ValidateRequest
from cbox_init.api.schemas_events import EventList
from cbox_init.api.schemas_live import UpcomingRuns, Whoami
from cbox_init.api.schemas_metrics import MetricsHistory
from cbox_init.api.schemas_notifications import NotificationList, NotificationTest
from cbox_init.api.schemas_sessions import LoginCode, SessionEnded, SessionReply, SessionRequest
from cbox_init.errors import ClientError, UnknownProcess

if TYPE_CHECKING:
    from collections.abc import Callable

    from cbox_init.api.schemas import ProcessEntry

Reply = TypeVar("Reply")
_Value = str | list[str] | None
Action = Literal["start", "stop", "restart"]
Level = Literal["debug", "info", "warn", "error"]
ChangeStatus = Literal["doing", "done", "failed", "superseded", "aborted"]
Order = Literal["asc", "desc"]
Stream = Literal["stdout", "stderr", "file"]

_BASE = "/api/v1"

LONGEST_SYNC_S = 300.0
"""The longest time that the daemon waits for the end of a run before it answers."""


class StreamFilters(TypedDict, total=False):
    """Which log lines are wanted; a line has to match all of these.

    ``level`` is the minimum level, ``grep`` text that the message contains. ``since`` is a time in RFC 3339,
    Unix seconds, or a duration up to now ("5m"). None does not filter.
    """

    level: Level | None
    stream: Stream | Sequence[Stream] | None
    instance: str | Sequence[str] | None
    since: str | float | None
    grep: str | None
    ignore_case: bool


class LogFilters(StreamFilters, total=False):
    """The same for past lines; ``until`` is a time like ``since``."""

    until: str | float | None


class Call(NamedTuple, Generic[Reply]):
    """One request, the type of its reply, and the time limit of the reply if it is not that of the client.

    ``pick`` takes what the caller wants out of the decoded reply. Of calls with the same ``key``, the daemon
    carries out one.
    """

    method: str
    path: str
    reply: type[Any]
    body: bytes | None = None
    timeout_s: float | None = None
    pick: Callable[[Any], Reply] | None = None
    key: str | None = None

    def headers(self) -> dict[str, str]:
        """The headers of this call, in addition to those of every call."""
        headers = {} if self.key is None else {"Idempotency-Key": self.key}
        return {**headers, "Content-Type": "application/json"} if self.body is not None else headers


def document(method: Callable[..., object], call: Callable[..., object]) -> None:
    """Give a client's method the name, documentation and parameters of its call, for ``help()``."""
    method.__name__ = call.__name__
    method.__doc__ = call.__doc__
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    parameters = [own, *inspect.signature(call).parameters.values()]
    method.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]


# -- the daemon and the list -------------------------------------------------------------------------------


def health() -> Call[Health]:
    """Whether the API answers. Needs no token."""
    return Call("GET", f"{_BASE}/health", Health)


def readiness() -> Call[ReadinessReply]:
    """Whether the container is ready: all processes that count are."""
    return Call("GET", f"{_BASE}/readiness", ReadinessReply)


def openapi() -> Call[dict[str, object]]:
    """The OpenAPI document of the API."""
    return Call("GET", f"{_BASE}/openapi.json", dict[str, object])


def daemon() -> Call[DaemonEntry]:
    """The daemon itself: its version, age, resources, event loop and counts."""
    return Call("GET", f"{_BASE}/daemon", DaemonEntry)


def whoami() -> Call[Whoami]:
    """Who sends the calls of this client, with which role, and for which processes."""
    return Call("GET", f"{_BASE}/whoami", Whoami)


def processes() -> Call[tuple[ProcessEntry, ...]]:
    """All processes with their instances, in the order of the configuration file."""
    return Call("GET", f"{_BASE}/processes", ProcessList, pick=_entries)


def status(name: str) -> Call[ProcessEntry]:
    """One process with its instances. Raises UnknownProcess."""

    def pick(found: ProcessList) -> ProcessEntry:
        for entry in found.processes:
            if entry.name == name:
                return entry
        raise UnknownProcess(name)

    return Call("GET", f"{_BASE}/processes", ProcessList, pick=pick)


def process(name: str) -> Call[ProcessDetail]:
    """The configuration of one process, with secrets masked."""
    return Call("GET", _path(name), ProcessDetail)


# -- commands ----------------------------------------------------------------------------------------------


def start(name: str, *, key: str | None = None) -> Call[ActionReply]:
    """Start a process. Returns when the daemon has accepted it; ``change`` waits until it is done.

    Of calls with the same ``key``, chosen by the caller, the daemon carries out one.
    """
    return Call("POST", f"{_path(name)}/start", ActionReply, key=key)


def stop(name: str, *, key: str | None = None) -> Call[ActionReply]:
    """Stop all instances of a process. Returns, and uses ``key``, as ``start``."""
    return Call("POST", f"{_path(name)}/stop", ActionReply, key=key)


def restart(name: str, *, key: str | None = None) -> Call[ActionReply]:
    """Replace all instances of a process. Returns, and uses ``key``, as ``start``."""
    return Call("POST", f"{_path(name)}/restart", ActionReply, key=key)


def signal(
    name: str, signal: str, *, to: Literal["main", "group"] = "main", key: str | None = None
) -> Call[ActionReply]:
    """Send a signal ("HUP") to the main processes of all instances, or to their process groups."""
    body = msgspec.json.encode(SignalRequest(signal=signal, to=to))
    return Call("POST", f"{_path(name)}/signal", ActionReply, body, key=key)


def stop_instance(identity: str, *, key: str | None = None) -> Call[InstanceActionReply]:
    """Stop one instance ("web-0"). It stays down until it, or its process, is started or restarted."""
    return Call("POST", f"{_instance(identity)}/stop", InstanceActionReply, key=key)


def restart_instance(identity: str, *, key: str | None = None) -> Call[InstanceActionReply]:
    """Replace one instance ("web-0"), or start it again where it is down."""
    return Call("POST", f"{_instance(identity)}/restart", InstanceActionReply, key=key)


def signal_instance(
    identity: str, signal: str, *, to: Literal["main", "group"] = "main", key: str | None = None
) -> Call[InstanceActionReply]:
    """Send a signal to one instance ("web-0")."""
    body = msgspec.json.encode(SignalRequest(signal=signal, to=to))
    return Call("POST", f"{_instance(identity)}/signal", InstanceActionReply, body, key=key)


def act(
    action: ActionName,
    processes: Sequence[str],
    *,
    signal: str | None = None,
    to: Literal["main", "group"] = "main",
    scale: int | None = None,
    key: str | None = None,
) -> Call[ActionsReply]:
    """Give a command to several processes: names, patterns ("queue-*"), groups ("@workers") or "all".

    It is one change, in the order of dependencies. ``signal`` and ``to`` are for the action signal, ``scale``
    for the action scale.
    """
    body = ActionRequest(
        action=action,
        processes=tuple(processes),
        signal=UNSET if signal is None else signal,
        to=to,
        scale=UNSET if scale is None else scale,
    )
    return Call("POST", f"{_BASE}/actions", ActionsReply, msgspec.json.encode(body), key=key)


def scale(name: str, count: int, *, key: str | None = None) -> Call[ScaleReply]:
    """Set the number of instances. Returns, and uses ``key``, as ``start``."""
    body = msgspec.json.encode(ScaleRequest(scale=count))
    return Call("POST", f"{_path(name)}/scale", ScaleReply, body, key=key)


def change(identity: str, *, wait_s: float | None = None, seen: int | None = None) -> Call[ChangeEntry]:
    """One change: what a command has begun, and how far that is. The reply to the command has its id.

    With ``wait_s`` (at most 3600) it returns when the change has ended, or after that time; with ``seen``,
    the ``version`` of an entry, also when the change has gone on since.
    """
    query = _query(wait=None if wait_s is None else f"{wait_s:.3f}", seen=None if seen is None else str(seen))
    timeout_s = None if wait_s is None else wait_s + 10.0
    return Call("GET", f"{_BASE}/changes/{_segment(identity)}{query}", ChangeEntry, timeout_s=timeout_s)


def changes(
    *, process: str | None = None, status: ChangeStatus | None = None, limit: int = 100
) -> Call[ChangeList]:
    """The last ``limit`` (1 to 10000) changes, newest first; ``process`` may be a pattern of names."""
    query = _query(limit=str(limit), process=process, status=status)
    return Call("GET", f"{_BASE}/changes{query}", ChangeList)


def abandon_change(identity: str) -> Call[ChangeEntry]:
    """Abandon a rollout: no more instances are replaced, the old ones that are left stay."""
    return Call("DELETE", f"{_BASE}/changes/{_segment(identity)}", ChangeEntry)


def scale_by(
    name: str, delta: int, *, timeout_s: float = 120.0, settles: bool = True, key: str | None = None
) -> Call[ScaledReply]:
    """Add ``delta`` instances, or remove them when it is negative. Returns when it is done.

    The number does not go below 0. The daemon adds to its own number, so the deltas of two callers at the
    same time add up. After ``timeout_s`` DaemonUnreachable is raised, but the command remains in effect.
    Without ``settles`` it returns as ``start`` does.
    """
    body = msgspec.json.encode(ScaleRequest(delta=delta))
    query = "" if settles else "?wait=0"
    return Call("POST", f"{_path(name)}/scale{query}", ScaledReply, body, timeout_s, key=key)


# -- schedules and oneshots --------------------------------------------------------------------------------


def schedule(name: str) -> Call[ScheduleDetail]:
    """The schedule of a process with its statistics."""
    return Call("GET", f"{_path(name)}/schedule", ScheduleDetail)


def schedule_history(name: str, *, limit: int = 100) -> Call[ScheduleHistory]:
    """The last ``limit`` (1 to 10000) finished runs of a scheduled process, newest first."""
    return Call("GET", f"{_path(name)}/schedule/history{_query(limit=str(limit))}", ScheduleHistory)


def upcoming_runs(
    *, from_: str | float | None = None, until: str | float | None = None, limit: int = 100
) -> Call[UpcomingRuns]:
    """The next runs of all schedules, the earliest first, at most ``limit`` (1 to 1000) of each process.

    They are from ``from_``, by default now, until ``until``, by default 7 days later: RFC 3339, Unix seconds,
    or a duration from now on such as "36h".
    """
    query = _query(
        **{"from": None if from_ is None else str(from_)},
        until=None if until is None else str(until),
        limit=str(limit),
    )
    return Call("GET", f"{_BASE}/schedules/upcoming{query}", UpcomingRuns)


def oneshot_history(name: str | None = None, *, limit: int = 100) -> Call[OneshotList]:
    """The last ``limit`` (1 to 10000) executions of one oneshot, or of all, newest first."""
    query = _query(limit=str(limit), process=name)
    return Call("GET", f"{_BASE}/oneshot/history{query}", OneshotList)


def metrics_history(
    process: str,
    instance: str,
    *,
    since: str | float | None = None,
    limit: int = 100,
    step: str | int | None = None,
) -> Call[MetricsHistory]:
    """The last ``limit`` (1 to 10000) samples of what an instance has used, oldest first.

    ``since`` is RFC 3339, Unix seconds, or a duration such as "5m" that has passed since; by default "1h".
    With ``step``, seconds or a text such as "5m", they are averages over that time.

    An ApiError with status 503 says that nothing is collected.
    """
    query = _query(
        process=process,
        instance=instance,
        since=None if since is None else str(since),
        limit=str(limit),
        step=None if step is None else str(step),
    )
    return Call("GET", f"{_BASE}/metrics/history{query}", MetricsHistory)


def pause(name: str) -> Call[ScheduleReply]:
    """Start no more runs of a scheduled process until it is resumed."""
    return Call("POST", f"{_path(name)}/schedule/pause", ScheduleReply)


def resume(name: str) -> Call[ScheduleReply]:
    """Start runs of a scheduled process at its times again."""
    return Call("POST", f"{_path(name)}/schedule/resume", ScheduleReply)


def trigger(name: str, *, key: str | None = None) -> Call[ScheduleReply]:
    """Run a scheduled process now. Returns, and uses ``key``, as ``start``."""
    return Call("POST", f"{_path(name)}/schedule/trigger", ScheduleReply, key=key)


def trigger_and_wait(name: str) -> Call[TriggerReply]:
    """Run a scheduled process now, and wait for its end, for at most 5 minutes.

    After that ``status`` is "triggered" and there is no ``exit_code``; the run continues.
    """
    path = f"{_path(name)}/schedule/trigger?sync=true"
    return Call("POST", path, TriggerReply, timeout_s=LONGEST_SYNC_S + 10.0)


# -- the configuration -------------------------------------------------------------------------------------


def add_process(name: str, process: Mapping[str, object]) -> Call[EditReply]:
    """Add a process with these keys, as in the file. By default it is started.

    An ApiError with status 422 has every problem in ``details``.
    """
    body = msgspec.json.encode(NewProcess(name, dict(process)))
    return Call("POST", f"{_BASE}/processes", EditReply, body)


def update_process(name: str, process: Mapping[str, object]) -> Call[EditReply]:
    """Replace all keys of a process with these. Only this process is restarted, and only if it has to be."""
    return Call("PUT", _path(name), EditReply, msgspec.json.encode(ChangedProcess(dict(process))))


def remove_process(name: str, *, timeout_s: float = 120.0) -> Call[EditReply]:
    """Stop and remove a process. Returns when all its instances have ended."""
    return Call("DELETE", _path(name), EditReply, timeout_s=timeout_s)


def reload_config(*, dry_run: bool = False, timeout_s: float = 60.0) -> Call[ReloadReply]:
    """Read the configuration file again and apply what differs; with ``dry_run`` only say what that would be.

    An ApiError with status 422 has every problem of the file in ``details``; nothing has changed then.
    """
    query = _query(dry_run="true" if dry_run else None)
    return Call("POST", f"{_BASE}/config/reload{query}", ReloadReply, timeout_s=timeout_s)


def save_config(*, dry_run: bool = False, timeout_s: float = 60.0) -> Call[SavedReply]:
    """Write what was changed through the API to the file; with ``dry_run`` only say what would change."""
    query = _query(dry_run="true" if dry_run else None)
    return Call("POST", f"{_BASE}/config/save{query}", SavedReply, timeout_s=timeout_s)


def config(*, timeout_s: float = 60.0) -> Call[ConfigReply]:
    """The configuration in force, secrets masked, and how the file differs from it."""
    return Call("GET", f"{_BASE}/config", ConfigReply, timeout_s=timeout_s)


def validate_process(
    name: str, process: Mapping[str, object], *, timeout_s: float = 60.0
) -> Call[ValidateReply]:
    """Check a process, new or not, as adding or updating it would. Nothing is changed."""
    return _validate(ValidateRequest(name=name, process=dict(process)), timeout_s)


def validate_config(content: str | Mapping[str, object], *, timeout_s: float = 60.0) -> Call[ValidateReply]:
    """Check a whole configuration: the text of a file, or the same as JSON. Nothing is changed."""
    if isinstance(content, str):
        return _validate(ValidateRequest(yaml=content), timeout_s)
    return _validate(ValidateRequest(config=dict(content)), timeout_s)


def login_code(*, role: str | None = None) -> Call[LoginCode]:
    """A one-time code with which somebody else begins a session as this caller, with ``role`` at most."""
    return Call("POST", f"{_BASE}/sessions/codes{_query(role=role)}", LoginCode)


def begin_session(code: str) -> Call[SessionReply]:
    """Exchange a login code for the token of a session. An ApiError with status 401: it counts no more."""
    return Call("POST", f"{_BASE}/sessions", SessionReply, msgspec.json.encode(SessionRequest(code)))


def end_session() -> Call[SessionEnded]:
    """End the session whose token this client sends."""
    return Call("DELETE", f"{_BASE}/sessions/current", SessionEnded)


def _validate(body: ValidateRequest, timeout_s: float) -> Call[ValidateReply]:
    path = f"{_BASE}/config/validate"
    return Call("POST", path, ValidateReply, msgspec.json.encode(body), timeout_s=timeout_s)


def shutdown() -> Call[ShutdownReply]:
    """End the daemon as SIGTERM does: all processes are stopped in order. Returns when that has begun."""
    return Call("POST", f"{_BASE}/shutdown", ShutdownReply)


# -- logs --------------------------------------------------------------------------------------------------


def logs(
    *names: str, limit: int = 100, order: Order = "desc", **filters: Unpack[LogFilters]
) -> Call[LogList]:
    """The last ``limit`` (1 to 10000) log lines of the named processes together, or of all.

    ``order`` is newest first ("desc") or oldest first ("asc"). The filters are ``level``, ``stream``,
    ``instance``, ``since``, ``until``, ``grep`` and ``ignore_case``, as for the API.
    """
    base = _path(names[0]) if len(names) == 1 else _BASE
    several = list(names) if len(names) > 1 else None
    query = _query(limit=str(limit), order=order, process=several, **_values(filters))
    return Call("GET", f"{base}/logs{query}", LogList)


def log_outputs() -> Call[LogOutputs]:
    """The outputs of log records, standard output first, with their counts of written and dropped records."""
    return Call("GET", f"{_BASE}/logs/outputs", LogOutputs)


def log_stream(
    names: Sequence[str], tail: int | None, last_event_id: str | None, filters: StreamFilters
) -> str:
    """The path of the stream of log events; ``follow`` of the clients reads it."""
    query = _query(
        process=list(names),
        tail=None if tail is None else str(tail),
        last_event_id=last_event_id,
        **_values(filters),
    )
    return f"{_BASE}/logs/stream{query}"


# -- notifications -----------------------------------------------------------------------------------------


def notifications() -> Call[NotificationList]:
    """The notifications that are enabled, with the numbers sent, failed and dropped."""
    return Call("GET", f"{_BASE}/notifications", NotificationList)


def test_notification(name: str, *, timeout_s: float = 620.0) -> Call[NotificationTest]:
    """Send a message that says that it is a test, and wait until it has arrived or cannot be delivered."""
    return Call(
        "POST",
        f"{_BASE}/notifications/{_named(name, 'notification')}/test",
        NotificationTest,
        timeout_s=timeout_s,
    )


def process_events(
    name: str,
    limit: int = 100,
    order: Order = "desc",
    kind: str | Sequence[str] = (),
    since: str | float | None = None,
) -> Call[EventList]:
    """The last ``limit`` (1 to 10000) events of a process, of these kinds (such as "instance.*"), or of all.

    ``order`` is newest first ("desc") or oldest first ("asc"); ``since`` is a time as for ``logs``.
    """
    kinds = [kind] if isinstance(kind, str) else list(kind)
    at = None if since is None else str(since)
    query = _query(limit=str(limit), order=order, kind=kinds, since=at)
    return Call("GET", f"{_path(name)}/events{query}", EventList)


def next_events(
    *names: str,
    wait_s: float = 0.0,
    tail: int | None = None,
    limit: int = 100,
    kind: str | Sequence[str] = (),
    since: str | float | None = None,
) -> Call[EventList]:
    """Events of the named processes (also patterns such as "queue-*"), or of all and the daemon.

    The oldest come first. ``since`` is the ``last_event_id`` of a reply, or a time as for ``logs``; without
    it all that are kept come, or the last ``tail``. When there is none, the daemon waits for one for
    ``wait_s`` (0 to 60) seconds.
    """
    kinds = [kind] if isinstance(kind, str) else list(kind)
    query = _query(
        process=list(names),
        kind=kinds,
        wait=f"{round(wait_s * 1000)}ms",
        limit=str(limit),
        tail=None if tail is None else str(tail),
        since=None if since is None else str(since),
    )
    return Call("GET", f"{_BASE}/events{query}", EventList, timeout_s=wait_s + 10.0)


def event_stream(
    names: Sequence[str],
    tail: int | None,
    since: str | float | None,
    kind: str | Sequence[str],
    last_event_id: str | None,
) -> str:
    """The path of the stream of events; ``events`` of the clients reads it."""
    query = _query(
        process=list(names),
        kind=[kind] if isinstance(kind, str) else list(kind),
        tail=None if tail is None else str(tail),
        since=None if since is None else str(since),
        last_event_id=last_event_id,
    )
    return f"{_BASE}/events{query}"


def live_stream(interval_s: int) -> str:
    """The path of the stream of the live state; ``live`` of the clients reads it."""
    return f"{_BASE}/live{_query(interval=str(interval_s))}"


def _entries(found: ProcessList) -> tuple[ProcessEntry, ...]:
    return found.processes


def _path(name: str) -> str:
    return f"{_BASE}/processes/{_named(name, 'process')}"


def _instance(identity: str) -> str:
    return f"{_BASE}/instances/{_named(identity, 'instance')}"


def _named(name: str, what: str) -> str:
    """The part of a path that names something."""
    if not name:
        raise ClientError(f"the name of a {what} is empty")
    try:
        return _segment(name)
    except UnicodeEncodeError:
        raise ClientError(f"{name!r} is not the name of a {what}: it is not valid UTF-8") from None


def _segment(text: str) -> str:
    """A part of a path."""
    from urllib.parse import quote

    if text in (".", ".."):  # unquoted they would be steps in the path
        return text.replace(".", "%2E")
    return quote(text, safe="")


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
    from urllib.parse import urlencode

    given = {key: value for key, value in values.items() if value}
    try:
        return f"?{urlencode(given, doseq=True)}" if given else ""
    except UnicodeEncodeError as error:
        raise ClientError(f"{error.object!r} cannot be sent: it is not valid UTF-8") from None
