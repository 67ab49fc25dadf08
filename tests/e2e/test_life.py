"""Hooks, readiness and the service manager, with the command as installed."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import tempfile
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest

from tests.e2e.daemon import wait_for
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.conftest import Serve


class Manager:
    """A service manager's end of NOTIFY_SOCKET."""

    def __init__(self, abstract: bool) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="cbox")
        path = f"{self._folder.name}/notify"
        self.address = f"@{path}" if abstract else path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{path}" if abstract else path)
        self._socket.settimeout(30)

    def next(self) -> str:
        """What the daemon says next."""
        return self._socket.recv(4096).decode()

    def close(self) -> None:
        self._socket.close()
        self._folder.cleanup()


@pytest.fixture(params=[False, True], ids=["path", "abstract"])
def manager(request: pytest.FixtureRequest) -> Iterator[Manager]:
    manager = Manager(request.param)
    yield manager
    manager.close()


def get(port: int, path: str) -> int | None:
    """The status of the answer, None when there is none."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except OSError:
        return None


def test_a_failing_pre_start_hook(serve: Serve) -> None:
    daemon = serve(
        """
global: {api_socket: SOCKET}
hooks: {pre-start: [{name: migrate, command: [sh, -c, "echo no database; exit 2"]}]}
processes: {web: {command: [touch, DIR/started]}}
"""
    )
    assert daemon.wait() == 1
    assert not (daemon.folder / "started").exists()
    assert "Process instance started" not in daemon.messages()
    record = next(r for r in daemon.records() if r["msg"] == "no database")
    assert (record["process"], record["instance_id"]) == ("hooks/pre-start", "migrate")
    assert daemon.messages()[-1] == "Cbox Init shutdown complete"


def test_readiness_until_the_end(serve: Serve) -> None:
    port = free_port()
    daemon = serve(
        f"""
global:
  api_socket: SOCKET
  shutdown_drain: 5s
  readiness: {{enabled: true, path: DIR/ready, http_port: {port}, http_host: 127.0.0.1}}
processes: {{web: {{command: [sleep, "1000"]}}}}
"""
    )
    wait_for(lambda: get(port, "/readyz") == 200, "ready")
    wait_for((daemon.folder / "ready").exists, "the file")
    daemon.signal(signal.SIGTERM)
    wait_for(lambda: get(port, "/readyz") == 503, "not ready while it drains")
    assert get(port, "/livez") == 200
    wait_for(lambda: not (daemon.folder / "ready").exists(), "the file is removed")
    assert "Process instance stopped" not in daemon.messages()
    assert daemon.wait() == 0
    messages = daemon.messages()
    assert messages.index("Container is not ready") < messages.index("Process instance stopped")


def test_a_readiness_port_that_is_taken_starts_nothing(serve: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        daemon = serve(
            f"""
global: {{api_socket: SOCKET, readiness: {{enabled: true, http_port: {port}, http_host: 127.0.0.1}}}}
processes: {{web: {{command: [touch, DIR/started]}}}}
"""
        )
        assert daemon.wait() == 1
    assert "global.readiness.http_port" in daemon.errors()
    assert not daemon.socket.exists()
    assert not (daemon.folder / "started").exists()


def test_the_service_manager_is_told(serve: Serve, manager: Manager) -> None:
    daemon = serve(
        """
global: {api_socket: SOCKET}
processes:
  job: {type: oneshot, command: [sh, -c, "sleep 0.1; env"]}
  web: {command: [sleep, "1000"], depends_on: [job]}
""",
        env={"NOTIFY_SOCKET": manager.address},
    )
    assert manager.next() == "READY=1"
    daemon.signal(signal.SIGTERM)
    assert manager.next() == "STOPPING=1"
    assert daemon.wait() == 0
    assert not [line for line in daemon.lines("job") if str(line).startswith("NOTIFY_SOCKET")]


def test_signs_of_life(serve: Serve, manager: Manager) -> None:
    daemon = serve(
        "global: {api_socket: SOCKET}\nprocesses: {web: {command: [sh, -c, 'env; exec sleep 1000']}}",
        env={"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "100000"},
    )
    said: list[str] = []
    while "READY=1" not in said or said.count("WATCHDOG=1") < 5:
        said.append(manager.next())
    assert set(said) == {"READY=1", "WATCHDOG=1"}
    assert said.count("READY=1") == 1
    assert daemon.stop() == 0
    assert not [line for line in daemon.lines("web") if str(line).startswith("WATCHDOG")]


@pytest.mark.parametrize("address", ["/no/such/socket", "not-a-path"])
def test_a_service_manager_that_is_not_there(serve: Serve, address: str) -> None:
    daemon = serve(
        "global: {api_socket: SOCKET}\nprocesses: {web: {command: [sleep, '1000']}}",
        env={"NOTIFY_SOCKET": address},
    )
    daemon.until_said("All processes started successfully")
    assert daemon.stop() == 0
    assert any("service manager" in str(m) or "NOTIFY_SOCKET" in str(m) for m in daemon.messages())


def test_a_watchdog_of_another_process_is_not_ours(serve: Serve, manager: Manager) -> None:
    daemon = serve(
        "global: {api_socket: SOCKET}\nprocesses: {web: {command: [sleep, '1000']}}",
        env={
            "NOTIFY_SOCKET": manager.address,
            "WATCHDOG_USEC": "1000",
            "WATCHDOG_PID": str(os.getpid()),
        },
    )
    assert manager.next() == "READY=1"
    with contextlib.suppress(ProcessLookupError):
        daemon.signal(signal.SIGTERM)
    assert manager.next() == "STOPPING=1"
    assert daemon.wait() == 0
