"""A low limit of open files, and ports that are filled with connections: children start all the same."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
from typing import TYPE_CHECKING

import pytest

from tests.e2e.daemon import COMMAND, wait_for
from tests.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.conftest import Serve

TEXT = """
global:
  api_enabled: true
  api_host: 127.0.0.1
  api_port: {0}
  api_socket: SOCKET
  api_rate_limit: 0
  metrics_enabled: true
  metrics_host: 127.0.0.1
  metrics_port: {1}
  readiness: {{enabled: true, path: "", http_host: 127.0.0.1, http_port: {2}}}
  max_restart_attempts: 1
  restart_backoff_initial: 20ms
processes:
  web: {{command: [sh, -c, "exec sleep 1000"], scale: 2, max_scale: 10}}
  checked:
    command: [sh, -c, "exec sleep 1000"]
    health_check: {{type: exec, command: [sh, -c, "exit 0"], period: 1, failure_threshold: 1}}
"""

_WITH_BODY = b"POST /api/v1/processes HTTP/1.1\r\nhost: x\r\ncontent-length: 60000\r\n\r\n"


def fill(port: int, count: int, connections: contextlib.ExitStack) -> None:
    """Connections, half of them silent, and half with a request whose body does not come."""
    for n in range(count):
        one = connections.enter_context(socket.socket())
        one.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            one.connect(("127.0.0.1", port))
        if n % 2:
            with contextlib.suppress(OSError):
                one.send(_WITH_BODY)


@pytest.fixture
def connections() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as opened:
        yield opened


def ask(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize("files", [64, 256])
def test_connections_do_not_keep_children_from_starting(
    serve: Serve, connections: contextlib.ExitStack, files: int
) -> None:
    first = free_ports(3)
    ports = range(first, first + 3)
    limited = ("prlimit", f"--nofile={files}:{files}", *COMMAND)
    daemon = serve(TEXT.format(*ports), command=limited)
    daemon.until_said("All processes started successfully")
    assert ask(ports[0], "/api/v1/health") == 200
    for port in ports:
        fill(port, 250, connections)

    def asked(request: bytes) -> bytes:
        """The body of an answer on the Unix socket; tried again as Retry-After says."""
        answer = b""

        def taken() -> bool:
            nonlocal answer
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(20)
                client.connect(str(daemon.socket))
                client.sendall(request)
                answer = client.makefile("rb").read()
            return bool(answer) and b" 503 " not in answer[:16]

        wait_for(taken, "an answer on the Unix socket")
        return answer.partition(b"\r\n\r\n")[2]

    body = b'{"scale": 5}'
    head = b"POST /api/v1/processes/web/scale HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
    asked(head + b"content-length: %d\r\n\r\n%b" % (len(body), body))

    def running() -> list[int]:
        """The PIDs of the instances that run."""
        answer = asked(b"GET /api/v1/processes HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        (web,) = (one for one in json.loads(answer)["processes"] if one["name"] == "web")
        return [one["pid"] for one in web["instances"] if one["state"] == "running"]

    wait_for(lambda: len(running()) == 5, "five instances run")
    victim = running()[0]
    os.kill(victim, 9)
    wait_for(lambda: len(running()) == 5 and victim not in running(), "it was started again")
    wait_for(lambda: ask(ports[0], "/api/v1/health") == 200, "a probe of port 0")
    wait_for(lambda: ask(ports[1], "/health") == 200, "a probe of port 1")
    wait_for(lambda: ask(ports[2], "/readyz") == 200, "a probe of port 2")
    taken = len(os.listdir(f"/proc/{daemon.pid}/fd"))
    assert taken <= files
    given_up = [one for one in daemon.records() if "given up" in str(one["msg"])]
    assert given_up == []
