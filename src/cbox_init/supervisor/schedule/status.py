"""What a scheduled process shows of itself beside what every process does."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from cbox_init.core.schedule import RunTotals


class ScheduleState(StrEnum):
    """PAUSED also while runs that began before the pause go on."""

    IDLE = "idle"
    EXECUTING = "executing"
    PAUSED = "paused"


class ScheduleStatus(Struct, frozen=True, kw_only=True):
    """A schedule as it is now. Times are Unix seconds; ``started`` counts the runs, also those under way.

    ``next_run`` is None when it is paused, ``current`` the id of the latest run that is under way.
    ``overdue``: no run has succeeded for so long that the log says so (``heartbeat.interval``, ``grace``).
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
