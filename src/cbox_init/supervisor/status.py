"""What the supervisor shows of itself: immutable values, made once a change."""

from __future__ import annotations

from msgspec import Struct

from cbox_init.config.model import ProcessType
from cbox_init.core.states import State


class InstanceStatus(Struct, frozen=True, kw_only=True):
    """One instance as it is now. Times are Unix seconds."""

    id: str
    index: int
    state: State
    pid: int | None = None
    started_at: float | None = None
    restart_count: int = 0
    next_restart_at: float | None = None
    exit_code: int | None = None
    reason: str | None = None


class ProcessStatus(Struct, frozen=True, kw_only=True):
    """One process as it is now.

    ``scale`` counts the instances that exist (starting, running or stopping); ``waiting_for`` names the
    dependencies that are not ready yet; ``reason`` says why the process is not running when it should be.
    """

    name: str
    type: ProcessType
    state: State
    scale: int
    desired_scale: int
    max_scale: int
    wanted: bool
    instances: tuple[InstanceStatus, ...] = ()
    waiting_for: tuple[str, ...] = ()
    reason: str | None = None
