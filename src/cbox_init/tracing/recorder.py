"""Makes spans of the daemon's events: which begin, which end, and which is whose parent.

The daemon's events are all it knows; the supervisor has no code for tracing but for the variables of jobs and
hooks. Everything here takes microseconds in the event loop. Spans that are not sent are recorded too, since
jobs and hooks get their context.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Final, NamedTuple

from cbox_init.tracing.context import TraceContext, requested

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cbox_init.supervisor.changes import Change
    from cbox_init.supervisor.events import Event
    from cbox_init.supervisor.instance.launch import Work
    from cbox_init.tracing.span import Sampler, TraceSpan, Value

#: How many spans may be open, and how many changes are remembered that spans may still belong to.
MOST_OPEN: Final = 4096
_MOST_CHANGES: Final = 1024

_Key = tuple[str, str]

#: Stands for every process.
_ALL: Final = "*"

_START: Final = ("daemon", "start")
_SHUTDOWN: Final = ("daemon", "shutdown")

_TITLES: Final[Mapping[Work, str]] = {"instance": "instance.start", "run": "schedule.run", "hook": "hook"}

#: The moments of hooks of the stack that belong to its start, and to its end.
_AT_START: Final = ("pre_start", "post_start")


class _Change(NamedTuple):
    """A change under way: its span, when it began, and the processes that it is about."""

    kind: str
    start_ns: int
    context: TraceContext
    processes: frozenset[str]


class Recorder:
    """Records what the daemon does as spans; each is given to ``put`` when it has ended.

    ``scale_of`` gives how many instances a process should have, ``change_of`` the change of an id, and
    ``count`` the number of processes.
    """

    def __init__(
        self,
        sampler: Sampler,
        put: Callable[[TraceSpan], object],
        *,
        scale_of: Callable[[str], int],
        change_of: Callable[[str], Change | None],
        count: Callable[[], int],
    ) -> None:
        self.sampler = sampler
        self.dropped = 0
        self._put = put
        self._scale_of = scale_of
        self._change_of = change_of
        self._count = count
        self._open: OrderedDict[_Key, TraceSpan] = OrderedDict()
        self._changes: OrderedDict[str, _Change] = OrderedDict()
        self._failures: dict[str, str] = {}
        """Why the last instance of a process that starts has failed."""
        self._first: set[_Key] = set()
        """The processes whose start belongs to that of the daemon, and goes on."""
        self._failed_first: list[str] = []
        self._starting: dict[str, set[_Key]] = {}
        """The instances of a process that are not ready yet."""
        self._up: set[str] = set()
        """The processes that run, though not all of their instances are ready."""
        self._fresh: TraceSpan | None = None
        """The start of a process that has just begun, and may be a part of the change that begins next: a
        command comes first, and its change is announced when it was accepted."""
        self._run_for: deque[TraceContext] = deque(maxlen=_MOST_CHANGES)
        self._started_in: TraceContext | None = None
        self._handlers: Mapping[str, Callable[[Event], None]] = {
            "daemon.ready": self._start_over,
            "daemon.stopping": self._stopping,
            "change.started": self._change_started,
            "change.ended": self._change_ended,
            "process.state": self._process_state,
            "process.timeout": self._process_timeout,
            "instance.started": self._instance_started,
            "instance.start_failed": self._instance_start_failed,
            "instance.ready": self._instance_ready,
            "instance.exited": self._instance_exited,
            "instance.given_up": self._given_up,
            "instance.health": self._instance_health,
            "schedule.run_started": self._run_started,
            "schedule.run_ended": self._run_ended,
            "hook.started": self._hook_started,
            "hook.ended": self._hook_ended,
        }

    # -- what calls it ---------------------------------------------------------------------------------

    def begin_start(self) -> None:
        """The daemon starts its processes from now on."""
        span = self._begin(_START, "process_manager.start", None, {"process.count": self._count()})
        self._started_in = span.context

    def heard(self, event: Event) -> None:
        """Take in an event, in the event loop."""
        if (handler := self._handlers.get(event.kind)) is not None:
            handler(event)

    def variables(self, work: Work, process: str, name: str) -> dict[str, str]:
        """TRACEPARENT and TRACESTATE for a job or a hook that is about to start, which begins its span."""
        key = (work, name)
        span = self._open.get(key)
        if span is None:
            span = self._begin_work(work, process, name, time.time_ns())
        return span.context.variables()

    def finish(self) -> None:
        """End every span: the daemon ends, or tracing is turned off."""
        now = time.time_ns()
        shutdown = self._open.pop(_SHUTDOWN, None)
        for span in list(self._open.values()):
            span.describe({"unfinished": True})
            self._hand_over(span, now)
        for kept in (self._open, self._changes, self._first, self._failed_first, self._starting, self._up):
            kept.clear()
        if shutdown is not None:
            self._hand_over(shutdown, now)

    # -- the daemon ------------------------------------------------------------------------------------

    def _start_over(self, event: Event) -> None:
        self._end(_START, event)

    def _stopping(self, event: Event) -> None:
        self._end(_START, event, error=f"it is stopped before it was done: {event.reason}")
        if _SHUTDOWN not in self._open:
            self._begin(
                _SHUTDOWN,
                "process_manager.shutdown",
                None,
                {"process.count": self._count(), "shutdown.reason": event.reason},
                start_ns=_ns(event),
            )

    # -- changes ---------------------------------------------------------------------------------------

    def _change_started(self, event: Event) -> None:
        change = self._change_of(event.change)
        # The context of a request is also that of what it has set going, such as the run queue.
        parent = requested.get() if change is None or change.actor.type != "system" else None
        kind = str(event.data.get("command", "command"))
        names = change.processes if change is not None else (event.process or _ALL,)
        span = self._begin(
            ("change", event.change),
            f"change.{kind}",
            parent,
            {
                "change.id": event.change,
                "change.kind": kind,
                "change.processes": ", ".join(names),
                "change.actor": event.data.get("actor"),
                "change.reason": event.reason,
            },
            start_ns=_ns(event),
            remote=parent is not None,
        )
        self._changes[event.change] = _Change(kind, span.start_ns, span.context, frozenset(names))
        if len(self._changes) > _MOST_CHANGES:
            self._changes.popitem(last=False)
        if self._fresh is not None and self._fresh.attributes["process.name"] in names:
            _adopt(span, self._fresh)
            self._changes[event.change] = self._changes[event.change]._replace(start_ns=span.start_ns)

    def _change_ended(self, event: Event) -> None:
        status = str(event.data.get("status", ""))
        span = self._open.get(("change", event.change))
        if span is not None:
            span.describe({"change.status": status, "change.reason": event.reason})
        self._changes.pop(event.change, None)
        failed = status in ("failed", "aborted")
        self._end(("change", event.change), event, error=(event.reason or status) if failed else None)

    # -- processes and instances -----------------------------------------------------------------------

    def _process_state(self, event: Event) -> None:
        state, before = event.data.get("state"), event.data.get("before")
        key = ("process", event.process)
        if state == "starting" and before not in ("running", "stopping"):
            if key not in self._open:
                if _START in self._open:
                    self._first.add(key)
                self._fresh = self._begin(
                    key,
                    "process_manager.start_process",
                    self._parent_of(event.process, event) or self._context(_START),
                    {"process.name": event.process, "process.scale": self._scale_of(event.process)},
                    start_ns=_ns(event),
                )
        elif state == "failed":
            self._end_process(event, self._failures.get(event.process, "it has failed"))
        elif state == "running" and self._starting.get(event.process):
            self._up.add(event.process)  # ended by the last instance that gets ready
        elif state != "starting":
            self._end_process(event)

    def _process_timeout(self, event: Event) -> None:
        self._end_process(event, event.reason or "its dependencies were not ready in time")

    def _end_process(self, event: Event, error: str | None = None) -> None:
        key = ("process", event.process)
        self._up.discard(event.process)
        self._failures.pop(event.process, None)
        span = self._open.get(key)
        if span is None:
            return
        span.describe({"error": error})
        self._end(key, event, error=error)
        if error is not None and key in self._first:
            self._failed_first.append(f"{event.process}: {error}")
        self._first.discard(key)
        if self._failed_first and not self._first:  # `daemon.ready` does not come
            self._end(_START, event, error="; ".join(self._failed_first))

    def _given_up(self, event: Event) -> None:
        if ("process", event.process) in self._open:
            self._failures[event.process] = event.reason

    def _instance_started(self, event: Event) -> None:
        if ("run", event.instance) in self._open:  # it is a run of a schedule, which has a span
            return
        key = ("instance", event.instance)
        job = self._open.get(key)  # a oneshot: it lasts until it has ended
        span = job or self._begin_work("instance", event.process, event.instance, _ns(event), event)
        span.describe(
            {"process.pid": event.data.get("pid"), "restart_count": event.data.get("restart_count") or None}
        )
        if job is None and event.data.get("ready"):  # nothing checks it
            self._end_instance(event)

    def _instance_start_failed(self, event: Event) -> None:
        if ("run", event.instance) not in self._open and ("instance", event.instance) not in self._open:
            self._begin_work("instance", event.process, event.instance, _ns(event), event)
        self._end_instance(event, event.reason or "it could not be started")
        self._given_up(event)

    def _instance_ready(self, event: Event) -> None:
        self._end_instance(event)

    def _end_instance(self, event: Event, error: str | None = None) -> None:
        key = ("instance", event.instance)
        self._end(key, event, error=error)
        starting = self._starting.get(event.process)
        if starting is None:
            return
        starting.discard(key)
        if not starting:
            del self._starting[event.process]
            if event.process in self._up and error is None:
                self._end_process(event)

    def _instance_exited(self, event: Event) -> None:
        key = ("instance", event.instance)
        span = self._open.get(key)
        if span is None:
            return
        code = event.data.get("exit_code")
        span.describe({"process.exit.code": code})
        done = code == 0 or event.data.get("requested")
        self._end_instance(event, None if done else event.reason or f"exit code {code}")

    def _instance_health(self, event: Event) -> None:
        """A check that has changed something: a span of the length of the check, where that is known."""
        took = event.data.get("latency_s")
        end_ns = _ns(event)
        start_ns = end_ns - int(took * 1e9) if isinstance(took, float | int) else end_ns
        state = event.data.get("state")
        span = self.sampler.begin("health_check", self._parent_of(event.process, event), start_ns=start_ns)
        span.describe(
            {
                "process.name": event.process,
                "instance.id": event.instance,
                "health_check.before": event.data.get("before"),
                "health_check.state": state,
                "health_check.failures": event.data.get("failures"),
            }
        )
        if state == "unhealthy":
            span.error = event.reason or "unhealthy"
        self._hand_over(span, end_ns)

    # -- jobs and hooks --------------------------------------------------------------------------------

    def _run_started(self, event: Event) -> None:
        key = ("run", event.instance)
        span = self._open.get(key) or self._begin_work(
            "run", event.process, event.instance, _ns(event), event
        )
        span.describe({"run.manual": event.data.get("manual"), "schedule": event.data.get("schedule")})

    def _run_ended(self, event: Event) -> None:
        span = self._open.get(("run", event.instance))
        code = event.data.get("exit_code")
        if span is not None:
            span.describe({"process.exit.code": code})
        error = event.reason or (f"exit code {code}" if code else None)
        self._end(("run", event.instance), event, error=error)

    def _hook_started(self, event: Event) -> None:
        name = _hook(event)
        span = self._open.get(("hook", name)) or self._begin_work(
            "hook", event.process, name, _ns(event), event
        )
        span.describe({"hook.name": event.data.get("hook"), "hook.type": event.data.get("moment")})

    def _hook_ended(self, event: Event) -> None:
        self._end(("hook", _hook(event)), event, error=event.reason or None)

    def _begin_work(
        self, work: Work, process: str, name: str, start_ns: int, event: Event | None = None
    ) -> TraceSpan:
        self._fresh = None
        parent: TraceContext | None
        attributes: dict[str, Value | None] = {"process.name": process}
        if work == "hook":
            instance = name.partition("/")[0] if process else ""
            attributes["instance.id"] = instance
            moment = event.data.get("moment") if event is not None else None
            parent = self._parent_of(process, event) if process else None
            parent = parent or (self._started_in if moment in _AT_START else self._context(_SHUTDOWN))
        elif work == "run":
            attributes["run.id"] = name
            by_hand = event is None or bool(event.data.get("manual"))
            parent = self._trigger_of(process) if by_hand else None
        else:
            attributes["instance.id"] = name
            parent = self._parent_of(process, event)
            self._starting.setdefault(process, set()).add((work, name))
        return self._begin((work, name), _TITLES[work], parent, attributes, start_ns=start_ns)

    # -- parents ---------------------------------------------------------------------------------------

    def _parent_of(self, process: str, event: Event | None) -> TraceContext | None:
        """What a process, or an instance of it, is started, stopped or checked for; None for itself."""
        named = self._changes.get(event.change) if event is not None else None
        if named is not None:
            return named.context
        starting = self._open.get(("process", process))
        for change in reversed(self._changes.values()):
            if starting is not None and change.start_ns <= starting.start_ns:
                break  # the start of the process is a part of it, or has nothing to do with it
            if process in change.processes or _ALL in change.processes:
                return change.context
        return starting.context if starting is not None else self._context(_SHUTDOWN)

    def _trigger_of(self, process: str) -> TraceContext | None:
        """The command that a run was asked for by: the oldest of which no run has begun."""
        for change in self._changes.values():
            if (
                change.kind == "trigger"
                and process in change.processes
                and change.context not in self._run_for
            ):
                self._run_for.append(change.context)
                return change.context
        return None

    def _context(self, key: _Key) -> TraceContext | None:
        span = self._open.get(key)
        return None if span is None else span.context

    # -- spans -----------------------------------------------------------------------------------------

    def _begin(
        self,
        key: _Key,
        name: str,
        parent: TraceContext | None,
        attributes: Mapping[str, Value | None],
        *,
        start_ns: int = 0,
        remote: bool = False,
    ) -> TraceSpan:
        span = self.sampler.begin(name, parent, remote=remote, start_ns=start_ns)
        span.describe(attributes)
        if (before := self._open.pop(key, None)) is not None:
            before.describe({"unfinished": True})
            self._hand_over(before, span.start_ns)
        self._open[key] = span
        if len(self._open) > MOST_OPEN:
            self._open.popitem(last=False)
            self.dropped += 1
        return span

    def _end(self, key: _Key, event: Event, *, error: str | None = None) -> None:
        span = self._open.pop(key, None)
        if span is not None:
            span.error = error
            self._hand_over(span, _ns(event))

    def _hand_over(self, span: TraceSpan, end_ns: int) -> None:
        span.end_ns = max(end_ns, span.start_ns)
        if span.context.sampled:
            self._put(span)


def _adopt(parent: TraceSpan, child: TraceSpan) -> None:
    """Make ``child``, which has no children yet, a child of ``parent``."""
    child.context = parent.context._replace(span_id=child.context.span_id)
    child.parent_id = parent.context.span_id
    parent.start_ns = min(parent.start_ns, child.start_ns)


def _hook(event: Event) -> str:
    """How a hook is called when its variables are asked for."""
    hook = str(event.data.get("hook", ""))
    return f"{event.instance}/{hook}" if event.instance else hook


def _ns(event: Event) -> int:
    return int(event.unix * 1e9)
