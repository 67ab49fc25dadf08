"""The statuses of processes, instances and schedules, for the API and metrics: immutable values."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct, field

from cbox_init.core.instance import Instance, Phase
from cbox_init.core.rollout import RolloutState
from cbox_init.core.states import State
from cbox_init.core.summary import process_state
from cbox_init.supervisor.instance.launch import instance_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cbox_init.config.model import ProcessConfig
    from cbox_init.core.dependencies import Gate
    from cbox_init.core.health import InstanceHealth
    from cbox_init.core.restart import Cause
    from cbox_init.core.rollout import Rollout
    from cbox_init.core.schedule import RunTotals
    from cbox_init.core.states import Desired


class InstanceStatus(Struct, frozen=True, kw_only=True):
    """The status of one instance. Times are Unix seconds; ``last_output`` is set if it has failed.

    ``exit_code`` is set while it does not run, ``last_exit_code`` once it has ended for the first time.
    """

    id: str
    index: int
    state: State
    pid: int | None = None
    started_at: float | None = None
    restart_count: int = 0
    next_restart_at: float | None = None
    exit_code: int | None = None
    last_exit_code: int | None = None
    reason: str | None = None
    last_output: tuple[str, ...] = ()
    restart_causes: Mapping[Cause, int] = field(default_factory=dict)
    health: InstanceHealth | None = None


class ScheduleState(StrEnum):
    """The state of a schedule; PAUSED also while runs that began before the pause go on."""

    IDLE = "idle"
    EXECUTING = "executing"
    PAUSED = "paused"


class ScheduleStatus(Struct, frozen=True, kw_only=True):
    """The status of a schedule. Times are Unix seconds; ``started`` counts the runs, also those under way.

    ``next_run`` is None when it is paused, ``current`` the id of the latest run that is under way.
    ``overdue``: no run has succeeded for longer than ``heartbeat.interval`` and ``grace`` together.
    """

    expression: str
    timezone: str
    state: ScheduleState
    next_run: float | None
    last_run: float | None
    started: int
    running: int
    current: str | None
    totals: RunTotals
    overdue: bool = False


class RunStatus(Struct, frozen=True, kw_only=True):
    """A run that is over. Times are Unix seconds."""

    id: str
    started_at: float
    ended_at: float
    exit_code: int
    error: str | None
    manual: bool


class AutoscaleStatus(Struct, frozen=True, kw_only=True):
    """What autoscaling has measured and decided last.

    ``value`` is that of one instance for ``cpu`` (percent of a CPU) and ``memory`` (bytes), else that of the
    whole process; None before the first. ``measured_at`` is in Unix seconds. ``error`` says why the last
    measurement failed, None when it did not; ``errors`` counts all that did. ``reason`` is that of the last
    change of the scale.
    """

    metric: str
    target: float
    least: int
    most: int
    value: float | None = None
    measured_at: float | None = None
    reason: str | None = None
    error: str | None = None
    errors: int = 0


class ProcessStatus(Struct, frozen=True, kw_only=True):
    """The status of one process.

    ``scale`` counts the instances that exist (starting, running or stopping); ``waiting_for`` names the
    dependencies that are not ready yet; ``reason`` says why the process is not running or not healthy when it
    should be. ``schedule`` is there when it has one; ``instances`` are then the runs that are under way.
    ``rollout`` is there while one is under way, and when it has failed, ``autoscale`` when it is configured.
    ``past_restarts`` are those of instances that are gone, by their causes. It is supervised since the
    monotonic time ``supervised_at``.
    """

    name: str
    type: str
    state: State
    scale: int
    desired_scale: int
    max_scale: int
    wanted: bool
    supervised_at: float
    instances: tuple[InstanceStatus, ...] = ()
    depends_on: tuple[str, ...] = ()
    waiting_for: tuple[str, ...] = ()
    reason: str | None = None
    schedule: ScheduleStatus | None = None
    rollout: Rollout | None = None
    autoscale: AutoscaleStatus | None = None
    past_restarts: Mapping[Cause, int] = field(default_factory=dict)
    groups: tuple[str, ...] = ()


def describe(
    name: str,
    config: ProcessConfig,
    desired: Desired,
    observed: Mapping[int, Instance],
    gate: Gate | None,
    *,
    last_output: Mapping[int, tuple[str, ...]],
    past_restarts: Mapping[Cause, int],
    supervised_at: float,
    scale_limit: int,
    rollout: Rollout | None = None,
    autoscale: AutoscaleStatus | None = None,
    now: float,
    unix: float,
) -> ProcessStatus:
    """The status of a process. ``gate`` is given while it is closed; ``now`` and ``unix`` are one moment."""
    shown = tuple(
        _describe_instance(name, observed[index], last_output.get(index, ()), now=now, unix=unix)
        for index in sorted(observed)
    )
    existing = observed.values()
    return ProcessStatus(
        name=name,
        type=config.type.shown,
        state=process_state(
            desired, existing, blocked=gate is not None, expired=gate is not None and gate.expired
        ),
        scale=sum(1 for instance in existing if instance.alive or instance.phase is Phase.WAITING),
        desired_scale=desired.scale,
        max_scale=scale_limit,
        wanted=desired.run and desired.scale > 0,
        supervised_at=supervised_at,
        instances=shown,
        depends_on=config.depends_on,
        waiting_for=gate.waiting_for if gate else (),
        rollout=None if rollout is None or rollout.state is RolloutState.COMPLETE else rollout,
        autoscale=autoscale,
        reason=gate.reason if gate else next((one.reason for one in shown if one.reason), None),
        past_restarts=past_restarts,
        groups=config.groups,
    )


def _describe_instance(
    name: str, instance: Instance, last_output: tuple[str, ...], *, now: float, unix: float
) -> InstanceStatus:
    waiting = instance.phase is Phase.WAITING
    return InstanceStatus(
        id=instance_id(name, instance.index),
        index=instance.index,
        state=instance.state,
        pid=instance.pid or None,
        started_at=instance.started_unix or None,
        restart_count=instance.restart_count,
        next_restart_at=unix + instance.due_at - now if waiting else None,
        exit_code=instance.ending.exit_code if instance.ending else None,
        last_exit_code=instance.last_exit_code,
        reason=_reason(instance),
        last_output=last_output,
        restart_causes=instance.restart_causes,
        health=instance.health,
    )


def _reason(instance: Instance) -> str | None:
    if instance.state is State.COMPLETED:
        return None
    return instance.reason or instance.suspended or (instance.health.reason if instance.health else None)
