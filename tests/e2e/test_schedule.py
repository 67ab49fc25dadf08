"""Schedules in the daemon as users start it."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests.e2e.daemon import COMMAND, wait_for

if TYPE_CHECKING:
    from tests.e2e.conftest import Serve

JOB = """
global: {api_socket: SOCKET}
processes:
  job: {command: [sh, -c, "echo on; sleep 0.5; echo done"], schedule: "0 3 1 1 *", schedule_timezone: Local}
"""


def test_it_stays_for_a_schedule_and_gives_a_run_its_time_at_the_end(serve: Serve) -> None:
    daemon = serve(JOB)
    daemon.until_said("All processes started successfully")

    def command(*arguments: str) -> str:
        call = [*COMMAND, *arguments, "--socket", str(daemon.socket)]
        return subprocess.run(call, capture_output=True, text=True, check=True, timeout=30).stdout

    assert "job   scheduled" in command("list")
    assert "Schedule:  0 3 1 1 * (idle)" in command("status", "job")
    assert "job: stop initiated" in command("stop", "job", "--wait")
    assert "(paused)" in command("status", "job")
    assert "job: scheduled, 0/0" in command("start", "job", "--wait")
    assert "job: triggered" in command("trigger", "job")
    wait_for(lambda: daemon.lines("job"), daemon.errors())
    assert daemon.stop() == 0
    assert daemon.lines("job") == ["on", "done"]
    assert daemon.errors() == ""
