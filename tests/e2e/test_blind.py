"""A container whose /proc does not show what its processes leave behind."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from cbox_init.client import Client
from tests.e2e.daemon import COMMAND, wait_for

if TYPE_CHECKING:
    from tests.e2e.conftest import Serve

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a PID namespace needs root")

TEXT = """
global: {api_socket: SOCKET}
processes:
  web: {command: [sh, -c, "setsid sleep 1000 & echo ready; wait"]}
"""
SAID = "Processes that instances leave behind cannot be found"
NAMESPACE = ("unshare", "--pid", "--fork", "--kill-child", "--mount")
HIDDEN = (*NAMESPACE, "sh", "-c", 'mount -t proc -o hidepid=2 proc /proc && exec "$@"', "sh")
UNMOUNTED = (*NAMESPACE, "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh")
WITHOUT_PTRACE = ("setpriv", "--bounding-set", "-sys_ptrace")


@pytest.mark.parametrize(
    ("how", "why"),
    [
        (NAMESPACE, "/proc is of another pid namespace"),
        (UNMOUNTED, "/proc is not mounted"),
        ((*HIDDEN, *WITHOUT_PTRACE), "/proc hides processes of other users"),
    ],
)
def test_what_cannot_be_known_is_said(serve: Serve, how: tuple[str, ...], why: str) -> None:
    daemon = serve(TEXT, command=(*how, *COMMAND))
    wait_for(lambda: daemon.lines("web"), daemon.errors())
    assert daemon.messages().count(SAID) == 1
    assert why in daemon.output()
    with Client.connect(socket=str(daemon.socket)) as client:
        client.stop("web")
        wait_for(lambda: client.status("web").state == "stopped", "it has stopped")
        reason = client.status("web").reason
    assert (reason or "").startswith(f"whether it left processes behind is not known: {why}")
    with open(f"/proc/{daemon.pid}/task/{daemon.pid}/children") as file:
        os.kill(int(file.read().split()[0]), signal.SIGTERM)
    assert daemon.wait() == 0


@pytest.mark.parametrize("how", [(*NAMESPACE, "--mount-proc"), HIDDEN])
def test_nothing_is_said_where_all_can_be_seen(serve: Serve, how: tuple[str, ...]) -> None:
    daemon = serve(TEXT, command=(*how, *COMMAND))
    wait_for(lambda: daemon.lines("web"), daemon.errors())
    with Client.connect(socket=str(daemon.socket)) as client:
        client.stop("web")
        wait_for(lambda: client.status("web").state == "stopped", "it has stopped")
        assert not client.status("web").reason
    assert SAID not in daemon.messages()
