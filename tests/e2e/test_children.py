"""What the daemon starts its children with."""

from __future__ import annotations

import os
import pty
import resource
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.e2e.daemon import COMMAND, DEADLINE_S, wait_for

if TYPE_CHECKING:
    from tests.e2e.conftest import Serve


def test_the_daemon_is_killed_after_its_children_and_opens_more(serve: Serve) -> None:
    """Each of them by another way: vfork, fork for another user, and the process that sets limits."""
    tell = "echo $(ulimit -Sn) $(cat /proc/self/oom_score_adj); exec sleep 1000"
    other = "nobody" if os.geteuid() == 0 else str(os.geteuid())
    daemon = serve(
        f"""
global: {{api_socket: SOCKET}}
processes:
  plain: {{command: [sh, -c, "{tell}"]}}
  other: {{command: [sh, -c, "{tell}"], user: "{other}"}}
  limited: {{command: [sh, -c, "{tell}"], limits: {{nice: 19}}}}
  own: {{command: [sh, -c, "{tell}"], limits: {{oom_score_adj: 777}}}}
""",
        command=("sh", "-c", 'ulimit -S -n 256 && exec "$@"', "sh", *COMMAND),
    )
    own = int(Path("/proc/self/oom_score_adj").read_text())
    for name in ("plain", "other", "limited", "own"):
        wait_for(lambda name=name: daemon.lines(name), daemon.output())  # type: ignore[misc]
        assert daemon.lines(name) == [f"256 {777 if name == 'own' else min(own + 100, 1000)}"]
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE) == (hard, hard)
    assert int(Path(f"/proc/{daemon.pid}/oom_score_adj").read_text()) == own
    assert daemon.stop() == 0


def test_a_child_that_reads_from_the_terminal_is_refused_and_not_stopped(tmp_path: Path) -> None:
    """As under ``docker run -t``: the daemon leads a session that has a terminal."""
    config, out = tmp_path / "cbox-init.yaml", tmp_path / "out"
    ask = "head -c 1 /dev/tty || echo there is none; exec sleep 1000"
    config.write_text(
        f"""
global: {{api_socket: {tmp_path}/s}}
processes:
  plain: {{command: [sh, -c, "{ask}"]}}
  limited: {{command: [sh, -c, "{ask}"], limits: {{nice: 19}}}}
"""
    )
    controller, terminal = pty.openpty()
    with out.open("wb") as file:
        daemon = subprocess.Popen(
            ["setsid", "--ctty", "--wait", *COMMAND, "serve", "-c", str(config)],
            stdin=terminal,
            stdout=file,
            stderr=file,
        )
    try:
        wait_for(lambda: out.read_text().count("there is none") == 2, out.read_text())
        os.write(controller, b"\x03")  # Ctrl-C
        assert daemon.wait(DEADLINE_S) == 0
    finally:
        daemon.kill()
        daemon.wait()
        os.close(controller)
        os.close(terminal)
