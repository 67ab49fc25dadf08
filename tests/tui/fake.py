"""A client object whose replies a test sets: for pictures, in which no PID and no time may differ."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from cbox_init.client import (
    ActorEntry,
    ChangeEntry,
    ChangeList,
    EventEntry,
    EventList,
    HealthEntry,
    InstanceEntry,
    LiveSnapshot,
    LogEntry,
    LogOutput,
    LogOutputs,
    NotificationList,
    ProcessEntry,
    ProgressEntry,
    RunEntry,
    ScheduleHistory,
    StepEntry,
    Whoami,
)
from cbox_init.client.async_client import AsyncClient
from tests.client.fake import daemon_entry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

NOW = 1_800_000_000.0


def instance(identity: str, **keys: Any) -> InstanceEntry:
    values: dict[str, Any] = {
        "state": "running",
        "pid": 100,
        "started_at": int(NOW) - 125,
        "restart_count": 0,
        "cpu_percent": 1.5,
        "memory_rss_bytes": 12 * 1024 * 1024,
        "memory_percent": 0.1,
    }
    return InstanceEntry(id=identity, **(values | keys))


def process(name: str, *instances: InstanceEntry, **keys: Any) -> ProcessEntry:
    values: dict[str, Any] = {
        "type": "longrun",
        "state": "running",
        "scale": len(instances),
        "desired_scale": len(instances),
        "max_scale": 0,
        "cpu_percent": sum(one.cpu_percent for one in instances),
        "memory_rss_bytes": sum(one.memory_rss_bytes for one in instances),
        "memory_percent": 0.1,
        "wanted": True,
    }
    return ProcessEntry(name=name, instances=instances, **(values | keys))


def healthy(status: str = "healthy", **keys: Any) -> HealthEntry:
    values: dict[str, Any] = {
        "ready": status == "healthy",
        "consecutive_failures": 0,
        "latency_ms": 1.5,
        "last_check": NOW - 2,
    }
    return HealthEntry(status=status, **(values | keys))


def some_processes() -> list[ProcessEntry]:
    """One of each kind of state."""
    down: dict[str, Any] = {"pid": 0, "started_at": 0, "cpu_percent": 0.0, "memory_rss_bytes": 0}
    return [
        process(
            "migrate", instance("migrate-0", state="completed", **down), type="oneshot", state="completed"
        ),
        process("web", *(instance(f"web-{n}", pid=200 + n, health=healthy()) for n in range(2))),
        process(
            "queue",
            instance(
                "queue-0",
                health=healthy("unhealthy", consecutive_failures=3, reason="connection refused"),
                cpu_percent=98.0,
            ),
        ),
        process(
            "flaky",
            instance(
                "flaky-0",
                state="starting",
                restart_count=4,
                next_restart_at=NOW + 8,
                reason="exit code 1",
                **down,
            ),
            state="starting",
        ),
        process(
            "broken",
            instance(
                "broken-0",
                state="failed",
                restart_count=5,
                reason="exit code 127: no such file",
                **down,
            ),
            state="failed",
        ),
        process("admin", state="stopped", desired_scale=1, wanted=False),
        process("サーバ", instance("サーバ-0", memory_rss_bytes=3 * 1024**3)),
        process(
            "report",
            type="scheduled",
            state="scheduled",
            schedule="*/5 * * * *",
            schedule_state="idle",
            next_run=int(NOW) + 140,
            last_run=int(NOW) - 160,
            last_exit_code=0,
            run_count=12,
            success_rate=91.6,
        ),
    ]


def a_change(status: str = "doing", **keys: Any) -> ChangeEntry:
    steps = (
        StepEntry(id="web-0", process="web", status="done", state="running"),
        StepEntry(id="web-1", process="web", status="doing", state="starting"),
    )
    values: dict[str, Any] = {
        "id": "c-1",
        "kind": "restart",
        "process": "web",
        "actor": ActorEntry(type="socket", id="uid:0"),
        "started_at": "2027-01-15T08:00:00Z",
        "progress": ProgressEntry(done=1, total=2),
        "instances": steps,
        "version": 1,
    }
    return ChangeEntry(status=status, **(values | keys))


class FakeClient(AsyncClient):
    """What the screen asks for, as a test has set it. ``push`` sends another message of the live stream."""

    def __init__(self, processes: Iterable[ProcessEntry] = (), role: str = "admin") -> None:
        self.entries = list(processes)
        self.role = role
        self.sent: list[tuple[Any, ...]] = []
        self.lines: list[LogEntry] = []
        self.happened: list[EventEntry] = []
        self.runs: list[RunEntry] = []
        self.change_entry = a_change("done", progress=ProgressEntry(done=2, total=2))
        self.problem: Exception | None = None
        self._messages: asyncio.Queue[Any] = asyncio.Queue()

    @property
    def address(self) -> str:
        return "/run/cbox-init.sock"

    async def close(self) -> None: ...

    def push(self, message: Any) -> None:
        self._messages.put_nowait(message)

    def snapshot(self) -> LiveSnapshot:
        return LiveSnapshot(time=NOW, daemon=daemon_entry(), processes=tuple(self.entries))

    async def whoami(self) -> Whoami:
        if self.problem is not None:
            raise self.problem
        return Whoami(name="uid:0", kind="socket", role=self.role, processes=(), time=NOW)

    @asynccontextmanager
    async def live(self, *, interval_s: int = 2) -> AsyncIterator[Any]:
        async def messages() -> AsyncIterator[Any]:
            yield self.snapshot()
            while (message := await self._messages.get()) is not None:
                if isinstance(message, Exception):
                    raise message
                yield message

        yield messages()

    @asynccontextmanager
    async def follow(self, *names: str, **filters: Any) -> AsyncIterator[Any]:
        yield _FakeRecords(self.lines if filters.get("tail") else [])

    @asynccontextmanager
    async def events(self, *names: str, **filters: Any) -> AsyncIterator[Any]:
        yield _FakeRecords(self.happened if filters.get("tail") else [])

    def _command(self, *what: Any) -> Any:
        self.sent.append(what)

        class Reply:
            change = "c-1"

        return Reply()

    async def start(self, name: str) -> Any:  # type: ignore[override]
        return self._command("start", name)

    async def stop(self, name: str) -> Any:  # type: ignore[override]
        return self._command("stop", name)

    async def restart(self, name: str) -> Any:  # type: ignore[override]
        return self._command("restart", name)

    async def restart_instance(self, identity: str) -> Any:  # type: ignore[override]
        return self._command("restart", identity)

    async def scale_by(self, name: str, delta: int, **keys: Any) -> Any:
        return self._command("scale", name, delta)

    async def change(self, identity: str, **keys: Any) -> ChangeEntry:
        return self.change_entry

    async def changes(self, **keys: Any) -> ChangeList:
        return ChangeList(changes=(self.change_entry,), count=1, limit=100)

    async def schedule_history(self, name: str, **keys: Any) -> ScheduleHistory:
        return ScheduleHistory(process=name, limit=100, count=len(self.runs), history=tuple(self.runs))

    async def process_events(self, name: str, **keys: Any) -> EventList:  # type: ignore[override]
        events = tuple(one for one in self.happened if one.kind in keys.get("kind", [one.kind]))
        return EventList(count=len(events), events=events, last_event_id="1-1")

    async def log_outputs(self) -> LogOutputs:
        output = LogOutput(type="stdout", target="stdout", written=10, dropped=0, queued_bytes=0)
        return LogOutputs(outputs=(output,), rate_limited={})

    async def notifications(self) -> NotificationList:
        return NotificationList(notifications=())

    async def config(self, **keys: Any) -> Any:
        class Reply:
            config = {  # noqa: RUF012
                "processes": {
                    "web": {
                        "command": ["php", "-S", "0.0.0.0:80"],
                        "scale": 2,
                        "env": {"APP_KEY": "***", "LANG": "C.UTF-8"},
                        "depends_on": ["migrate"],
                        "restart": "always",
                        "max_scale": 8,
                    }
                }
            }

        return Reply()


class _FakeRecords:
    """The records of a stream that then goes on without another one."""

    last_event_id = "1-1"
    pending = False

    def __init__(self, records: Iterable[Any]) -> None:
        self._records = list(records)

    def __aiter__(self) -> _FakeRecords:
        return self

    async def __anext__(self) -> Any:
        if self._records:
            return self._records.pop(0)
        await asyncio.Event().wait()
        raise StopAsyncIteration
