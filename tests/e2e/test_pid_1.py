"""For real: PID 1 of a PID namespace."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.daemon import AS_PID_1, COMMAND, DEADLINE_S, wait_for

if TYPE_CHECKING:
    from tests.e2e.conftest import Serve

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a PID namespace needs root")


def _children(pid: int) -> list[str]:
    """The states of the children of a process, as letters: Z is a zombie."""
    states = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        try:
            states.append(Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0])
        except (FileNotFoundError, ProcessLookupError):
            continue
    return states


def test_two_thousand_orphans_leave_no_zombie(serve: Serve) -> None:
    script = "i=0; while [ $i -lt 2000 ]; do (true & ) ; i=$((i+1)); done; echo all; exec sleep 1000"
    daemon = serve(
        f"""
global: {{api_socket: SOCKET}}
processes:
  forker: {{command: [sh, -c, "{script}"]}}
""",
        pid_1=True,
    )
    wait_for(lambda: "all" in daemon.lines("forker"), daemon.errors())
    wait_for(lambda: _children(daemon.pid) == ["S"], "only the child is left")
    assert daemon.stop() == 0


def test_the_exit_code_is_that_of_the_process_that_ended_it(serve: Serve) -> None:
    daemon = serve(
        """
global: {api_socket: SOCKET}
processes:
  job: {type: oneshot, command: [sh, -c, "exit 42"]}
""",
        pid_1=True,
    )
    assert daemon.wait() == 42
    assert daemon.messages()[-1] == "Cbox Init shutdown complete"


def test_stubborn_children_are_killed_within_the_time_for_all(serve: Serve) -> None:
    daemon = serve(
        """
global: {api_socket: SOCKET, shutdown_timeout: 500ms}
processes:
  stubborn:
    scale: 3
    command: [sh, -c, "trap '' TERM; echo ready; while :; do sleep 0.05; done"]
""",
        pid_1=True,
    )
    wait_for(lambda: len(daemon.lines("stubborn")) == 3, daemon.errors())
    assert daemon.stop() == 0


def test_a_second_signal_ends_at_once(serve: Serve) -> None:
    daemon = serve(
        """
global: {api_socket: SOCKET}
processes:
  stubborn: {command: [sh, -c, "trap '' TERM; echo ready; while :; do sleep 0.05; done"]}
""",
        pid_1=True,
    )
    wait_for(lambda: daemon.lines("stubborn"), daemon.errors())
    daemon.signal(signal.SIGTERM)
    daemon.until_said("Shutting down")
    daemon.signal(signal.SIGQUIT)
    assert daemon.wait() == 128 + signal.SIGQUIT


def test_sigterm_while_the_configuration_is_read_is_not_lost(tmp_path: Path) -> None:
    config = tmp_path / "fifo"
    os.mkfifo(config)
    daemon = subprocess.Popen(
        [*AS_PID_1, *COMMAND, "serve", "-c", str(config)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    try:
        with open(config, "w") as text:  # when this returns, the daemon has come to read
            children = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children")
            os.kill(int(children.read_text()), signal.SIGTERM)
            text.write(
                f"global: {{api_socket: {tmp_path}/s}}\nprocesses: {{web: {{command: [sleep, '1000']}}}}\n"
            )
        output, _ = daemon.communicate(timeout=DEADLINE_S)
    finally:
        daemon.kill()
        daemon.wait(DEADLINE_S)
    assert daemon.returncode == 0
    assert b"received SIGTERM" in output


def test_sigterm_while_starting_ends_cleanly(serve: Serve) -> None:
    daemon = serve(
        """
global: {api_socket: SOCKET, max_process_scale: 500}
processes:
  many: {command: [sleep, "1000"], scale: 500}
""",
        pid_1=True,
    )
    daemon.until_said("Process instance started")
    assert daemon.stop() == 0
    assert daemon.messages()[-1] == "Cbox Init shutdown complete"
