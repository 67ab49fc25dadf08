"""A container without CAP_KILL, whose children run as another user: they cannot be signalled."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.e2e.daemon import COMMAND, wait_for

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")


@pytest.mark.parametrize("mode", ["main", "group"])
def test_a_stop_that_is_not_permitted_is_said_and_goes_on(tmp_path: Path, mode: str) -> None:
    config = tmp_path / "cbox-init.yaml"
    config.write_text(
        f"""
global: {{api_socket: {tmp_path}/api.sock}}
processes:
  web: {{command: [sleep, "1000"], user: nobody, shutdown: {{mode: {mode}}}}}
"""
    )
    output = tmp_path / "out"
    with output.open("wb") as out:
        daemon = subprocess.Popen(
            ["setpriv", "--bounding-set", "-kill", *COMMAND, "-c", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=out,
        )
    children = f"/proc/{daemon.pid}/task/{daemon.pid}/children"
    child = 0
    try:
        wait_for(lambda: "All processes started successfully" in output.read_text(), "it runs")
        with open(children) as file:
            child = int(file.read())
        daemon.terminate()
        wait_for(lambda: "Process instance could not be signalled" in output.read_text(), "it is said")
        assert "CAP_KILL" in output.read_text()
        os.kill(child, signal.SIGTERM)
        assert daemon.wait(30) == 0
        assert "Unexpected" not in output.read_text()
    finally:
        if daemon.poll() is None:
            daemon.kill()
            os.kill(child, signal.SIGKILL)
            daemon.wait()
