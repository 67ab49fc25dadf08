"""A container without CAP_KILL, whose children run as another user."""

from __future__ import annotations

import os
import shutil
import signal
import time
from typing import TYPE_CHECKING

import pytest

from cbox_init.client import Client
from tests.e2e.daemon import COMMAND, wait_for
from tests.supervisor.house import alive

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Serve

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")

WITHOUT_CAP_KILL = ("setpriv", "--bounding-set", "-kill", *COMMAND)
WITHOUT_BOTH = ("setpriv", "--bounding-set", "-kill,-setuid,-setgid", *COMMAND)


@pytest.mark.parametrize("mode", ["main", "group"])
def test_another_user_gets_the_signal_from_a_process_of_that_user(serve: Serve, mode: str) -> None:
    script = "trap 'echo told; exit 0' TERM; sleep 1000 & echo ready; wait"
    daemon = serve(
        f"""
global: {{api_socket: SOCKET}}
processes:
  web: {{command: [sh, -c, "{script}"], user: nobody, shutdown: {{mode: {mode}}}}}
  stubborn:
    command: [sh, -c, "trap '' TERM; echo $$; while :; do sleep 0.05; done"]
    user: nobody
    shutdown: {{timeout: 300ms}}
""",
        command=WITHOUT_CAP_KILL,
    )
    wait_for(lambda: daemon.lines("web") and daemon.lines("stubborn"), daemon.errors())
    stubborn = int(str(daemon.lines("stubborn")[0]))
    assert daemon.stop() == 0
    assert "told" in daemon.lines("web")
    assert not alive(stubborn)
    assert "Process instance could not be signalled" not in daemon.messages()


@pytest.fixture
def becomes_nobody(public_path: Path) -> str:
    """A program that becomes another user by itself, whom the daemon may neither signal nor become."""
    program = public_path / "setpriv"
    found = shutil.which("setpriv")
    assert found
    shutil.copy(found, program)
    os.chown(program, 65534, 65534)
    program.chmod(0o4755)
    return f"{program}, --ruid, '65534'"


def test_what_cannot_be_signalled_is_said_and_not_waited_for(serve: Serve, becomes_nobody: str) -> None:
    daemon = serve(
        f"""
global: {{api_socket: SOCKET, shutdown_timeout: 600s}}
processes:
  web:
    command: [{becomes_nobody}, sh, -c, "echo $$; exec sleep 1000"]
    shutdown: {{timeout: 600s}}
""",
        command=WITHOUT_BOTH,
    )
    wait_for(lambda: daemon.lines("web"), daemon.output() + daemon.errors())
    child = int(str(daemon.lines("web")[0]))
    try:
        with Client.connect(socket=str(daemon.socket)) as client:
            client.stop("web")
            wait_for(
                lambda: "no permission to signal it" in (client.status("web").reason or ""), "the reason"
            )
        assert daemon.messages().count("Process instance could not be signalled") == 1
        assert "CAP_KILL" in daemon.output()
        began_at = time.monotonic()
        assert daemon.stop() == 1
        assert time.monotonic() - began_at < 100
        assert "Shutdown ends although processes are left" in daemon.messages()
        assert not [message for message in daemon.messages() if str(message).startswith("Unexpected")]
    finally:
        os.kill(child, signal.SIGKILL)
