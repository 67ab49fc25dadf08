"""When a command has had its effect: each case of the list as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cbox_init.cli.waiting import STALE_S, Goal, judge, wait_for
from cbox_init.client import Client
from cbox_init.errors import ClientError
from tests.client.fake import fake_daemon, instance, listed, process

if TYPE_CHECKING:
    from pathlib import Path

    from cbox_init.client import ProcessEntry

UP = process(instance())
DOWN = process(state="stopped", wanted=False, desired_scale=1)
GONE = process(instance(0, "stopped", exit_code=0), state="stopped", wanted=False, scale=0, desired_scale=1)
STOPPING = process(instance(0, "stopping"), state="stopping", wanted=False)
STARTING = process(instance(0, "starting"), state="starting")
WAITING = process(state="starting", desired_scale=1, waiting_for=["db"])
FAILED = process(instance(0, "failed", reason="no such file"), state="failed", scale=0, desired_scale=1)
DONE = process(
    instance(0, "completed", exit_code=0), type="oneshot", state="completed", scale=0, desired_scale=1
)
RESTARTED = process(instance(0, pid=2000))
SAME_PID_LATER = process(instance(0, started_at=1_700_000_900))
HALF_RESTARTED = process(instance(0, pid=2000), instance(1))
TWO = process(instance(0), instance(1))
RUN = process(instance(0, id="web-run-1"), type="scheduled", scale=0, desired_scale=0)
SCHEDULED = process(type="scheduled", state="scheduled", scale=0, desired_scale=0)
PAUSED = process(type="scheduled", state="paused", wanted=False, scale=0, desired_scale=0)
NOT_YET = {"status": "starting", "ready": False, "consecutive_failures": 1}
NEVER = {**NOT_YET, "overdue": True}
WELL = {"status": "healthy", "ready": True, "consecutive_failures": 0}
BLOCKED = process(state="failed", desired_scale=1, reason="db is not ready after 5 m")


@pytest.mark.parametrize(
    ("goal", "now", "over", "failure"),
    [
        (Goal("stop", UP), STOPPING, False, None),
        (Goal("stop", UP), GONE, True, None),
        (Goal("stop", DOWN), DOWN, True, None),
        (Goal("stop", UP), UP, True, "another command started it"),
        (Goal("start", DOWN), WAITING, False, None),
        (Goal("start", DOWN), STARTING, False, None),
        (Goal("start", DOWN), UP, True, None),
        (Goal("start", DOWN), FAILED, True, "web-0: no such file"),
        (Goal("start", DOWN), BLOCKED, True, "db is not ready after 5 m"),
        (Goal("start", DOWN), DOWN, True, "another command stopped it"),
        (Goal("start", DOWN), process(wanted=False), True, "its scale is 0; scale it to have instances"),
        (Goal("start", DOWN), process(instance(), desired_scale=2), False, None),
        (Goal("start", DOWN), DONE, True, None),
        (Goal("start", DOWN), process(instance(), type="oneshot"), False, None),
        (Goal("start", PAUSED), SCHEDULED, True, None),
        (Goal("start", RUN), RUN, True, None),
        (Goal("restart", RUN), RUN, False, None),
        (Goal("restart", RUN), SCHEDULED, True, None),
        (Goal("stop", RUN), PAUSED, True, None),
        (Goal("restart", UP), UP, False, None),
        (Goal("restart", UP), STARTING, False, None),
        (Goal("restart", UP), RESTARTED, True, None),
        (Goal("restart", UP), SAME_PID_LATER, True, None),
        (Goal("restart", TWO), HALF_RESTARTED, False, None),
        (Goal("restart", DOWN), UP, True, None),
        (Goal("restart", UP), FAILED, True, "web-0: no such file"),
        (Goal("scale", UP, 2), process(instance(), desired_scale=2), False, None),
        (Goal("scale", UP, 2), TWO, True, None),
        (Goal("scale", TWO, 1), process(instance(), instance(1, "stopping"), desired_scale=1), False, None),
        (Goal("scale", TWO, 1), UP, True, None),
        (Goal("scale", UP, 2), UP, True, "another command scaled it to 1"),
        (Goal("scale", UP, 0), process(instance(0, "stopping"), wanted=False, desired_scale=0), False, None),
        (Goal("scale", UP, 0), process(wanted=False), True, None),
        (Goal("scale", DOWN, 1), DOWN, True, None),
        (Goal("start", DOWN), process(instance(health=NOT_YET)), False, None),
        (Goal("start", DOWN), process(instance(health=WELL)), True, None),
        (Goal("start", DOWN), process(instance(health=NEVER, reason="refused")), True, "web-0: refused"),
        (Goal("restart", TWO), process(instance(pid=2000, health=NOT_YET), instance(1)), False, None),
        (
            Goal("restart", TWO),
            process(instance(pid=2000, health=NEVER, reason="refused"), instance(1)),
            True,
            "web-0: refused",
        ),
        (
            Goal("restart", process(instance(health=NEVER))),
            process(instance(health=NEVER)),
            False,
            None,
        ),
    ],
)
def test_judge(goal: Goal, now: ProcessEntry, over: bool, failure: str | None) -> None:
    assert judge(goal, now, STALE_S) == (over, failure)


@pytest.mark.parametrize("before", [FAILED, DONE])
def test_an_end_from_before_the_command_is_not_its_result(before: ProcessEntry) -> None:
    goal = Goal("start", before)
    assert not judge(goal, before, STALE_S / 2).over
    assert judge(goal, before, STALE_S).over


def test_an_end_that_differs_is_new_at_once() -> None:
    again = process(instance(0, "failed", reason="exit code 3", exit_code=3), state="failed", scale=0)
    assert judge(Goal("start", FAILED), again, 0.0).failure == "web-0: exit code 3"


def test_wait_for_polls_until_it_is_so(tmp_path: Path) -> None:
    path = str(tmp_path / "api.sock")
    with fake_daemon(path) as daemon, Client.connect(socket=path) as client:
        daemon.answers["GET /api/v1/processes"] = [listed(DOWN), listed(STARTING), listed(UP)]
        assert wait_for(client, Goal("stop", UP), 20) == DOWN
        assert wait_for(client, Goal("start", DOWN), 20) == UP
        assert len(daemon.sent) == 3


def test_wait_for_ends_in_time_and_says_what_it_saw(tmp_path: Path) -> None:
    path = str(tmp_path / "api.sock")
    with fake_daemon(path) as daemon, Client.connect(socket=path) as client:
        daemon.answers["GET /api/v1/processes"] = listed(WAITING)
        with pytest.raises(ClientError, match=r"not done after 0\.1 s: it is starting, 0/1, waiting for db"):
            wait_for(client, Goal("start", DOWN), 0.1)
        daemon.answers["GET /api/v1/processes"] = listed(FAILED)
        with pytest.raises(ClientError, match="web: start failed: web-0: no such file"):
            wait_for(client, Goal("start", DOWN), 20)
