"""When a scheduled process runs, what its runs need next, and their totals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from cbox_init.config.model import Misfire
from cbox_init.core.decide import Action, Forget, Spawn, Stop, Terminate, Wait, next_of_stop
from cbox_init.core.instance import Instance, Phase

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cbox_init.core.states import Desired

#: A run that begins within this many seconds of its time is on time; later, its time was missed.
ON_TIME_S = 60.0

#: When the clock is set back by no more than this, a time that has been answered does not come again. A
#: schedule that comes in every hour goes on with the new clock, as elapsed time does.
_REPEATED_S = 3 * 3600.0
_REPEATED_EVERY_HOUR_S = ON_TIME_S


class Times(Protocol):
    """The times of a schedule (`cbox_init.cron.Cron`)."""

    every_hour: bool

    def after(self, unix: float) -> float | None:
        """The first one that is later."""


class DueDecision(Struct, frozen=True):
    """What to do when a time has come: whether to run, and whether times were missed."""

    run: bool
    missed: bool


def decide_due(times: Times, due: float, now: float, misfire: Misfire) -> DueDecision:
    """The time ``due`` has come, and it is ``now`` (both Unix seconds).

    However many times were missed, while the machine slept or by a jump of the clock, there is at most one
    run for all of them.
    """
    if now - due < ON_TIME_S:
        return DueDecision(run=True, missed=False)
    latest = times.after(now - ON_TIME_S)
    on_time = latest is not None and latest <= now
    return DueDecision(run=on_time or misfire is Misfire.RUN, missed=True)


def missed_while_down(times: Times, answered: float, now: float) -> float | None:
    """The first time after ``answered`` that has passed by ``now``; None when none has.

    ``answered`` is up to when an earlier daemon has answered every time. When it lies ahead the clock was set
    back, and nothing is known.
    """
    due = times.after(answered) if answered <= now else None
    return due if due is not None and due <= now else None


def next_due(times: Times, now: float, answered: float) -> float | None:
    """The next time to run. ``answered`` is the Unix time up to which every time has had its answer.

    It lies ahead of ``now`` when the clock was set back since.
    """
    repeated = _REPEATED_EVERY_HOUR_S if times.every_hour else _REPEATED_S
    return times.after(answered if 0.0 < answered - now <= repeated else now)


def refusal(*, paused: bool, running: int, max_concurrent: int, waiting_for: tuple[str, ...]) -> str | None:
    """Why no run can begin now; None when one can. ``max_concurrent`` of 0 is no limit."""
    if paused:
        return "its schedule is paused"
    if 0 < max_concurrent <= running:
        return f"{running} of schedule_max_concurrent: {max_concurrent} run already"
    if waiting_for:
        return f"not ready: {', '.join(waiting_for)}"
    return None


def decide_runs(
    desired: Desired,
    runs: Iterable[Instance],
    *,
    due: Iterable[int],
    may_spawn: bool,
    timeout_s: float | None,
    now: float,
) -> list[Action]:
    """The actions that bring the runs of a schedule closer to what is wanted of it (see `core.decide`).

    ``due`` are the numbers of the runs that are to begin. A run of an older generation is stopped, and so is
    one that takes longer than ``timeout_s``; one that is over is forgotten.
    """
    actions: list[Action] = [Spawn(number) for number in due] if may_spawn else []
    deadlines: list[float] = []
    for run in runs:
        if run.phase is Phase.RUNNING:
            over_at = run.up_at + timeout_s if timeout_s else None
            if run.generation < desired.generation or (over_at is not None and over_at <= now):
                actions.append(Stop(run.index))
            elif run.termination is not None:
                actions.append(Terminate(run.index))
            elif over_at is not None:
                deadlines.append(over_at)
        elif run.deferred_until and run.generation >= desired.generation and may_spawn:
            if run.deferred_until > now:
                deadlines.append(run.deferred_until)
            else:
                actions.append(Spawn(run.index))
        elif run.phase is not Phase.STOPPING:
            actions.append(Forget(run.index))
        elif isinstance(action := next_of_stop(run, now), Wait):
            deadlines.append(action.until)
        else:
            actions.append(action)
    if deadlines:
        actions.append(Wait(min(deadlines)))
    return actions


class FinishedRun(Struct, frozen=True, kw_only=True, gc=False):
    """A run that is over. Times are Unix seconds; ``error`` says why it was no success, None when it was."""

    number: int
    started_unix: float
    duration_s: float
    exit_code: int
    error: str | None
    manual: bool

    @property
    def ended_unix(self) -> float:
        return self.started_unix + self.duration_s


class RunTotals(Struct, frozen=True, kw_only=True):
    """What the runs that are over add up to."""

    succeeded: int = 0
    failed: int = 0
    total_s: float = 0.0
    last_success_unix: float | None = None
    last_failure_unix: float | None = None
    last_exit_code: int | None = None

    @property
    def finished(self) -> int:
        return self.succeeded + self.failed

    @property
    def success_rate(self) -> float:
        """In percent; 0 when no run is over."""
        return 100.0 * self.succeeded / self.finished if self.finished else 0.0

    @property
    def average_s(self) -> float:
        return self.total_s / self.finished if self.finished else 0.0


def with_run(totals: RunTotals, run: FinishedRun) -> RunTotals:
    """The totals with one more run."""
    success = run.error is None
    return RunTotals(
        succeeded=totals.succeeded + success,
        failed=totals.failed + (not success),
        total_s=totals.total_s + run.duration_s,
        last_success_unix=run.ended_unix if success else totals.last_success_unix,
        last_failure_unix=totals.last_failure_unix if success else run.ended_unix,
        last_exit_code=run.exit_code,
    )
