"""A typed client for the Management API, for ordinary and for asynchronous code.

    from cbox_init.client import Client

    with Client.connect() as client:
        client.restart("web")

Over a Unix socket or TCP; a daemon on this machine is found without an address. Errors are those of
``cbox_init.errors``: DaemonUnreachable, ApiError and UnknownProcess, all of them CboxError.
"""

from __future__ import annotations

from cbox_init.api.schemas import (
    ActionReply,
    AutoscaleEntry,
    DaemonEntry,
    EditReply,
    Health,
    HealthEntry,
    InstanceEntry,
    LogEntry,
    LogList,
    LogOutput,
    LogOutputs,
    MissedEvent,
    OneshotEntry,
    OneshotList,
    ProcessDetail,
    ProcessEntry,
    ProcessReadiness,
    ReadinessReply,
    ReloadReply,
    RolloutEntry,
    RunEntry,
    SavedReply,
    ScaledReply,
    ScaleReply,
    ScheduleDetail,
    ScheduleHistory,
    ScheduleReply,
    TriggerReply,
)
from cbox_init.api.schemas_actions import ActionsReply, InstanceActionReply
from cbox_init.api.schemas_changes import ActorEntry, ChangeEntry, ChangeList, ProgressEntry, StepEntry
from cbox_init.api.schemas_config import ConfigReply, ProblemEntry, ValidateReply
from cbox_init.api.schemas_events import EventEntry, EventList, MissedEvents
from cbox_init.api.schemas_live import (
    LiveDaemon,
    LiveFigures,
    LiveProcesses,
    LiveSnapshot,
    UpcomingRun,
    UpcomingRuns,
    Whoami,
)
from cbox_init.api.schemas_notifications import NotificationEntry, NotificationList, NotificationTest
from cbox_init.api.schemas_sessions import LoginCode, SessionEnded, SessionReply
from cbox_init.client.address import ClientTls
from cbox_init.client.async_client import AsyncClient
from cbox_init.client.calls import Action, Level, LogFilters, Order, Stream, StreamFilters
from cbox_init.client.live import LiveState
from cbox_init.client.stream import (
    AsyncEventStream,
    AsyncLiveStream,
    AsyncLogStream,
    EventRecord,
    EventStream,
    LiveRecord,
    LiveStream,
    LogRecord,
    LogStream,
    run_of,
)
from cbox_init.client.sync_client import Client
from cbox_init.errors import ApiError, ClientError, DaemonUnreachable, UnknownProcess

__all__ = [
    "Action",
    "ActionReply",
    "ActionsReply",
    "ActorEntry",
    "ApiError",
    "AsyncClient",
    "AsyncEventStream",
    "AsyncLiveStream",
    "AsyncLogStream",
    "AutoscaleEntry",
    "ChangeEntry",
    "ChangeList",
    "Client",
    "ClientError",
    "ClientTls",
    "ConfigReply",
    "DaemonEntry",
    "DaemonUnreachable",
    "EditReply",
    "EventEntry",
    "EventList",
    "EventRecord",
    "EventStream",
    "Health",
    "HealthEntry",
    "InstanceActionReply",
    "InstanceEntry",
    "Level",
    "LiveDaemon",
    "LiveFigures",
    "LiveProcesses",
    "LiveRecord",
    "LiveSnapshot",
    "LiveState",
    "LiveStream",
    "LogEntry",
    "LogFilters",
    "LogList",
    "LogOutput",
    "LogOutputs",
    "LogRecord",
    "LogStream",
    "LoginCode",
    "MissedEvent",
    "MissedEvents",
    "NotificationEntry",
    "NotificationList",
    "NotificationTest",
    "OneshotEntry",
    "OneshotList",
    "Order",
    "ProblemEntry",
    "ProcessDetail",
    "ProcessEntry",
    "ProcessReadiness",
    "ProgressEntry",
    "ReadinessReply",
    "ReloadReply",
    "RolloutEntry",
    "RunEntry",
    "SavedReply",
    "ScaleReply",
    "ScaledReply",
    "ScheduleDetail",
    "ScheduleHistory",
    "ScheduleReply",
    "SessionEnded",
    "SessionReply",
    "StepEntry",
    "Stream",
    "StreamFilters",
    "TriggerReply",
    "UnknownProcess",
    "UpcomingRun",
    "UpcomingRuns",
    "ValidateReply",
    "Whoami",
    "run_of",
]
