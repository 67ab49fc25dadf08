"""When a schedule runs although the clock jumps, and what its runs need."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from cbox_init.config.model import Misfire
from cbox_init.core.decide import Action, Forget, Kill, Signal, Spawn, Stop, Wait
from cbox_init.core.instance import Instance, Phase
from cbox_init.core.schedule import (
    DueDecision,
    FinishedRun,
    RunTotals,
    decide_due,
    decide_runs,
    missed_while_down,
    next_due,
    refusal,
    with_run,
)
from cbox_init.core.states import Desired

HOUR = 3600.0


class Every:
    """Comes at the multiples of ``period``."""

    def __init__(self, period: float, *, every_hour: bool = False) -> None:
        self._period = period
        self.every_hour = every_hour

    def after(self, unix: float) -> float | None:
        return (unix // self._period + 1) * self._period


@pytest.mark.parametrize(
    ("now", "misfire", "expected"),
    [
        (HOUR, Misfire.RUN, DueDecision(run=True, missed=False)),
        (HOUR + 59, Misfire.SKIP, DueDecision(run=True, missed=False)),
        (HOUR + 60, Misfire.RUN, DueDecision(run=True, missed=True)),
        (HOUR + 60, Misfire.SKIP, DueDecision(run=False, missed=True)),
        (9.5 * HOUR, Misfire.RUN, DueDecision(run=True, missed=True)),
        (9.5 * HOUR, Misfire.SKIP, DueDecision(run=False, missed=True)),
        # The machine woke just after a time: that one is on time.
        (9 * HOUR, Misfire.SKIP, DueDecision(run=True, missed=True)),
        (9 * HOUR + 59, Misfire.SKIP, DueDecision(run=True, missed=True)),
    ],
)
def test_a_time_that_has_come(now: float, misfire: Misfire, expected: DueDecision) -> None:
    assert decide_due(Every(HOUR), HOUR, now, misfire) == expected


@pytest.mark.parametrize(
    ("every_hour", "now", "answered", "expected"),
    [
        (False, 4.1 * HOUR, 4 * HOUR, 5 * HOUR),
        (False, 3.9 * HOUR, 4 * HOUR, 5 * HOUR),  # set back: what ran does not run again
        (False, 1.0 * HOUR, 4 * HOUR, 5 * HOUR),
        (False, 0.9 * HOUR, 4 * HOUR, 1 * HOUR),  # by so much: it had been wrong
        (True, 4 * HOUR - 30, 4 * HOUR, 5 * HOUR),
        (True, 2.5 * HOUR, 4 * HOUR, 3 * HOUR),  # elapsed time goes on
    ],
)
def test_next_time(every_hour: bool, now: float, answered: float, expected: float) -> None:
    assert next_due(Every(HOUR, every_hour=every_hour), now, answered) == expected


@pytest.mark.parametrize(
    ("paused", "running", "most", "waiting_for", "reason"),
    [
        (False, 0, 0, (), None),
        (False, 50, 0, (), None),
        (False, 0, 1, (), None),
        (False, 1, 2, (), None),
        (True, 0, 0, (), "paused"),
        (False, 1, 1, (), "1 of schedule_max_concurrent: 1"),
        (False, 0, 0, ("db", "web"), "not ready: db, web"),
    ],
)
def test_refusal(
    paused: bool, running: int, most: int, waiting_for: tuple[str, ...], reason: str | None
) -> None:
    found = refusal(paused=paused, running=running, max_concurrent=most, waiting_for=waiting_for)
    assert found is None if reason is None else found is not None and reason in found


RUNNING = Instance(index=1, phase=Phase.RUNNING, up_at=100.0)
STOPPING = Instance(index=2, phase=Phase.STOPPING, kill_at=150.0)
OVER = Instance(index=3, phase=Phase.ENDED)


@pytest.mark.parametrize(
    ("runs", "generation", "timeout_s", "now", "expected"),
    [
        ((), 0, None, 0, []),
        ((RUNNING,), 0, None, 1e9, []),
        ((RUNNING,), 0, 0.0, 1e9, []),
        ((RUNNING,), 0, 10.0, 109, [Wait(110.0)]),
        ((RUNNING,), 0, 10.0, 110, [Stop(1)]),
        ((RUNNING,), 1, None, 100, [Stop(1)]),
        ((STOPPING,), 1, 10.0, 149, [Wait(150.0)]),
        ((STOPPING,), 0, None, 150, [Kill(2)]),
        ((replace(STOPPING, signal_at=140.0),), 0, None, 139, [Wait(140.0)]),
        ((replace(STOPPING, signal_at=140.0),), 0, None, 140, [Signal(2)]),
        ((OVER,), 0, 1.0, 100, [Forget(3)]),
        ((replace(OVER, phase=Phase.IDLE),), 0, 1.0, 100, [Forget(3)]),
        ((RUNNING, STOPPING, OVER), 0, 60.0, 120, [Forget(3), Wait(150.0)]),
    ],
)
def test_what_runs_need(
    runs: tuple[Instance, ...], generation: int, timeout_s: float | None, now: float, expected: list[Action]
) -> None:
    desired = Desired(run=True, scale=0, generation=generation)
    assert decide_runs(desired, runs, due=(), may_spawn=True, timeout_s=timeout_s, now=now) == expected


def test_due_runs_begin_when_they_may() -> None:
    desired = Desired(run=False, scale=0, generation=2)
    begun = replace(RUNNING, generation=2)

    def decided(*, may_spawn: bool) -> list[Action]:
        return decide_runs(
            desired, (RUNNING, begun), due=(8, 9), may_spawn=may_spawn, timeout_s=None, now=1e9
        )

    assert decided(may_spawn=True) == [Spawn(8), Spawn(9), Stop(1)]
    assert decided(may_spawn=False) == [Stop(1)]


def test_tally() -> None:
    run = FinishedRun(number=1, started_unix=1000.0, duration_s=4.0, exit_code=0, error=None, manual=False)
    totals = with_run(RunTotals(), run)
    assert RunTotals().success_rate == RunTotals().average_s == 0.0
    assert (totals.success_rate, totals.last_success_unix, totals.last_failure_unix) == (100.0, 1004.0, None)
    failed = FinishedRun(number=2, started_unix=2000.0, duration_s=2.0, exit_code=3, error="x", manual=True)
    totals = with_run(with_run(totals, failed), replace(run, number=3))
    assert round(totals.success_rate, 2) == 66.67
    assert totals.average_s == pytest.approx(10 / 3)
    assert (totals.last_failure_unix, totals.last_exit_code, totals.finished) == (2002.0, 0, 3)


@pytest.mark.parametrize(
    ("answered", "now", "expected"),
    [
        (0.0, HOUR - 1, None),
        (0.0, HOUR, HOUR),
        (0.0, 5 * HOUR, HOUR),
        (1.5 * HOUR, 2 * HOUR - 1, None),
        (1.5 * HOUR, 2.5 * HOUR, 2 * HOUR),
        (2 * HOUR, 2 * HOUR, None),
        (9 * HOUR, 2.5 * HOUR, None),  # the clock was set back
    ],
)
def test_what_was_missed_while_the_daemon_was_down(
    answered: float, now: float, expected: float | None
) -> None:
    assert missed_while_down(Every(HOUR), answered, now) == expected
