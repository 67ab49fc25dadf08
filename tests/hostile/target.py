"""A daemon under attack: its roles, its event loop, its children and its memory."""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from tests.e2e.daemon import DaemonProcess, wait_for
from tests.ports import free_port

if TYPE_CHECKING:
    from pathlib import Path

_ROLES: Final = ("viewer", "operator", "admin")
_TIMEOUT_S: Final = 30.0

_CONFIGURATION: Final = """
global:
  api_enabled: true
  api_host: 127.0.0.1
  api_port: PORT
  api_socket: SOCKET
  api_rate_limit: 0
  shutdown_timeout: 5
  resource_metrics_enabled: true
MORE
  api_tokens:
    - {name: viewer, role: viewer, token: viewer-0123456789-0123456789}
    - {name: operator, role: operator, token: operator-0123456789-0123456789}
    - {name: admin, role: admin, token: admin-0123456789-0123456789}
processes:
  good: {command: [sleep, infinity]}
  talks: {command: [sh, -c, "yes 'a line of an application' | head -n 20000; exec sleep infinity"]}
  job: {schedule: "0 0 1 1 *", command: ["true"]}
  once: {type: oneshot, initial_state: stopped, command: ["true"]}
"""


def token_of(role: str) -> str:
    """The token of ``viewer``, ``operator`` or ``admin``."""
    assert role in _ROLES
    return f"{role}-0123456789-0123456789"


class Target:
    """A daemon with a process ``good`` that must run on. ``more`` are further keys of ``global``."""

    def __init__(self, folder: Path, **more: object) -> None:
        self.port = free_port()
        lines = [f"  {key}: {json.dumps(value)}" for key, value in more.items()]
        configuration = _CONFIGURATION.replace("PORT", str(self.port)).replace("MORE", "\n".join(lines))
        self.daemon = DaemonProcess(folder, configuration)
        wait_for(self._answers, "the daemon answers")
        wait_for(lambda: self.state("good") == "running", "its process runs")
        self.child = self._instances("good")

    def request(
        self, method: str, path: str, body: bytes = b"", role: str | None = "admin"
    ) -> tuple[int, bytes]:
        """Status and body of the reply; status 0 when the connection was closed without one."""
        token = f"authorization: Bearer {token_of(role)}\r\n" if role else ""
        head = f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n{token}"
        got = self.send(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        status = got[9:12]
        return int(status) if status.isdigit() else 0, got.partition(b"\r\n\r\n")[2]

    def send(self, data: bytes) -> bytes:
        """All that comes back on a connection of its own."""
        got = b""
        with socket.create_connection(("127.0.0.1", self.port), timeout=_TIMEOUT_S) as connection:
            with suppress(BrokenPipeError, ConnectionResetError):  # refused before all of it was read
                connection.sendall(data)
            with suppress(ConnectionResetError):
                while more := connection.recv(65536):
                    got += more
        return got

    def json(self, path: str) -> dict[str, Any]:
        """The reply to a good client."""
        status, body = self.request("GET", path)
        assert status == 200, (path, status, body)
        reply: dict[str, Any] = json.loads(body)
        return reply

    def probe(self, port: int, path: str) -> None:
        """As a kubelet: a GET without a token that must be answered by 200."""
        with socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_S) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
            got = b""
            while more := connection.recv(65536):
                got += more
        assert got.startswith(b"HTTP/1.1 200 "), got[:100]

    def longest_turn_ms(self) -> float:
        """The longest turn of the event loop in the last minute, by the daemon's own figures."""
        return float(self.json("/api/v1/daemon")["loop"]["lag_max_ms"])

    def resident_bytes(self) -> int:
        with open(f"/proc/{self.daemon.pid}/statm") as file:
            return int(file.read().split()[1]) * 4096

    def largest_bytes(self) -> int:
        """The most that was resident since `forget_largest`."""
        with open(f"/proc/{self.daemon.pid}/status") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM:"))

    def forget_largest(self) -> None:
        with open(f"/proc/{self.daemon.pid}/clear_refs", "w") as file:
            file.write("5")

    def state(self, name: str) -> str:
        return next(str(one["state"]) for one in self._processes() if one["name"] == name)

    def check_children(self) -> None:
        """Raise AssertionError unless the child of ``good`` is the one that it was."""
        assert self._instances("good") == self.child

    def _processes(self) -> list[dict[str, Any]]:
        return list(self.json("/api/v1/processes")["processes"])

    def _instances(self, name: str) -> list[int]:
        of_process = next(one for one in self._processes() if one["name"] == name)
        return [int(instance["pid"]) for instance in of_process["instances"]]

    def _answers(self) -> bool:
        assert self.daemon.process.poll() is None, self.daemon.output() + self.daemon.errors()
        with suppress(OSError):
            return self.request("GET", "/api/v1/health")[0] == 200
        return False
