"""A process that says itself when it is ready, with the command as installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.e2e.daemon import COMMAND, wait_for

if TYPE_CHECKING:
    from tests.e2e.conftest import Serve

SAYS = Path(__file__).parents[1] / "supervisor/programs/says.py"

CONFIG = f"""
global:
  api_socket: SOCKET
processes:
  app:
    command: [sleep, "1000"]
    depends_on: [web]
  web:
    type: notify
    watchdog: 20s
    command: [{sys.executable}, {SAYS}, "STATUS=warming up", "wait:go", "STATUS=3 connections", "READY=1"]
    working_dir: DIR
"""


def test_from_the_first_child_on(serve: Serve) -> None:
    """It is started before there is an event loop to hear it."""
    daemon = serve(CONFIG)

    def status(name: str) -> str:
        command = [*COMMAND, "status", name]
        env = {**os.environ, "CBOX_INIT_API_SOCKET": str(daemon.socket)}
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=30).stdout

    wait_for(lambda: 'starting, says "warming up"' in status("web"), "it is starting")
    assert "Waits for: web" in status("app")
    (daemon.folder / "go").touch()
    daemon.until_said("All processes started successfully")
    wait_for(lambda: 'healthy, says "3 connections"' in status("web"), "it is ready")
    assert "Type:      longrun" in status("web")
    assert daemon.stop() == 0
    assert not [record for record in daemon.records() if record["level"] in ("WARN", "ERROR")], json.dumps(
        daemon.records()
    )
