"""The states that a process and its instances can be in, as the API shows them."""

from __future__ import annotations

from enum import StrEnum


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
