"""Counts of processes, instances and restarts, for the API and the metrics. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from cbox_init.core.instance import Instance, Phase
from cbox_init.core.states import State

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


class Counted(Protocol):
    """A process, with or without a schedule."""

    @property
    def instances(self) -> Collection[Instance]:
        """Its instances, or its runs that are under way."""

    @property
    def runs_begun(self) -> int | None:
        """How many runs it has begun; None when it has no schedule."""


class Counts(Struct, frozen=True, kw_only=True):
    """Counts over all processes.

    ``instances`` are those that are shown, runs of schedules included; ``running`` those of them that run,
    ``failed`` those that were given up. ``restarts`` is the sum of their restarts; ``scheduled`` counts the
    processes that have a schedule, ``runs`` the runs that they have begun.
    """

    processes: int = 0
    instances: int = 0
    running: int = 0
    failed: int = 0
    restarts: int = 0
    scheduled: int = 0
    runs: int = 0


def counts_of(processes: Iterable[Counted]) -> Counts:
    """Count without building statuses: every change of an instance makes that of its process out of date."""
    count = instances = running = failed = restarts = scheduled = runs = 0
    for process in processes:
        count += 1
        begun = process.runs_begun
        if begun is not None:
            scheduled += 1
            runs += begun
        for one in process.instances:
            instances += 1
            restarts += one.restart_count
            if one.phase is Phase.RUNNING:
                running += 1
            elif one.phase is Phase.ENDED and one.outcome is State.FAILED:
                failed += 1
    return Counts(
        processes=count,
        instances=instances,
        running=running,
        failed=failed,
        restarts=restarts,
        scheduled=scheduled,
        runs=runs,
    )
