"""What is wanted of a process, and the states that it and its instances can be in."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Revision(Struct, frozen=True):
    """The part of the desired state that a spawn or an end is stamped with."""

    generation: int
    starts: int


class Desired(Struct, frozen=True, kw_only=True):
    """The state that commands have requested for a process.

    ``generation`` is raised by a restart: instances of an older one are replaced. ``starts`` is raised by a
    start: instances that had ended or wait for a restart are started at once.
    """

    run: bool
    scale: int
    generation: int = 0
    starts: int = 0

    @property
    def revision(self) -> Revision:
        return Revision(self.generation, self.starts)


class State(StrEnum):
    """State of an instance, and of a process as the sum of its instances.

    A waiting restart is STARTING with a ``next_restart_at``. SCHEDULED and PAUSED are of scheduled
    processes alone: no run is under way, and none will be.
    """

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"
    COMPLETED = "completed"
    SCHEDULED = "scheduled"
    PAUSED = "paused"


def scale_problem(count: int, limit: int, *, oneshot: bool) -> str | None:
    """Why a process cannot have ``count`` instances, with how to fix it; None when it can.

    ``limit`` is the largest number, 0 for none.
    """
    if count < 0:
        return f"scale must be at least 0, not {count}"
    if oneshot and count > 1:
        return f"a oneshot has one instance, not {count}"
    if limit and count > limit:
        return f"scale must be at most {limit}, not {count}: raise max_scale or global.max_process_scale"
    return None


def scaled_by(current: int, delta: int) -> int:
    """The scale after a change; a change below 0 stops at 0 and is no error."""
    return max(0, current + delta)
