"""What users notice of rollouts and scalings, with a real nginx in front: nothing."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cbox_init.core.health import HealthState
from tests.ports import free_ports
from tests.supervisor.health.test_checks import state

if TYPE_CHECKING:
    from tests.supervisor.house import Build, House

REQUESTS = 20_000
CONNECTIONS = 8
PORTS = 7
REQUEST = b"GET / HTTP/1.1\r\nHost: web\r\n\r\n"

pytestmark = pytest.mark.timeout(180)


def configuration(folder: Path, front: int, first: int) -> str:
    servers = "".join(f"server 127.0.0.1:{port} max_fails=0;" for port in range(first, first + PORTS))
    conf = folder / "nginx.conf"
    conf.write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}} worker_processes 1;\n"
        f"http {{ access_log off; client_body_temp_path {folder}/a; proxy_temp_path {folder}/b;\n"
        f"fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;\n"
        f"keepalive_requests 100000; upstream web {{ {servers} }}\n"
        f"server {{ listen 127.0.0.1:{front}; location / {{ proxy_pass http://web; }} }} }}\n"
    )
    quick = {"initial_delay": "20ms", "period": "50ms", "timeout": "2s"}
    return json.dumps(
        {
            "processes": {
                "web": {
                    "command": [sys.executable, str(Path(__file__).with_name("web_server.py"))],
                    "scale": 3,
                    "port_base": first,
                    "health_check": {**quick, "url": "http://127.0.0.1:${PORT}/", "mode": "readiness"},
                },
                "nginx": {
                    "command": ["nginx", "-c", str(conf), "-p", str(folder)],
                    "depends_on": ["web"],
                    "health_check": {**quick, "port": front},
                    "shutdown": {"signal": "SIGQUIT"},
                },
            }
        }
    )


class Load:
    """Requests one after another on several connections, until ``enough`` of them and ``done``."""

    def __init__(self, port: int) -> None:
        self.answered = 0
        self.failed: list[bytes] = []
        self.done = asyncio.Event()
        self._port = port

    async def run(self) -> None:
        await asyncio.gather(*(self._connection() for _ in range(CONNECTIONS)))

    async def _connection(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        while self.answered < REQUESTS or not self.done.is_set():
            writer.write(REQUEST)
            head = await reader.readuntil(b"\r\n\r\n")
            status = head.split(b"\r\n", 1)[0]
            (length,) = (line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
            body = await reader.readexactly(int(length.split(b":")[1]))
            self.answered += 1
            if status != b"HTTP/1.1 200 OK" or body != b"hello":
                self.failed.append(status)
        writer.close()


async def rolled(house: House, scale: int, old: set[int]) -> None:
    """Wait until it has ``scale`` instances, all of them ready, and none of the old ones."""

    def holds() -> bool:
        status = house.status("web")
        ready = [one.pid for one in status.instances if one.health and one.health.ready]
        return len(ready) == len(status.instances) == scale and not old & set(ready)

    await house.until(holds, 60)


async def test_three_rollouts_and_four_scalings_lose_no_request(build: Build, tmp_path: Path) -> None:
    front, first = free_ports(1), free_ports(PORTS)
    house = build(configuration(tmp_path, front, first))
    await house.until(lambda: state(house, "nginx") is HealthState.HEALTHY)
    load = Load(front)

    async def change() -> None:
        supervisor, scale = house.supervisor, 3
        for scaled in (5, 2, 6, None):
            if scaled is not None:
                old = set(house.pids("web"))
                supervisor.restart("web")
                await rolled(house, scale, old)
            scale = scaled or 3
            supervisor.scale("web", scale)
            await rolled(house, scale, set())
        load.done.set()

    await asyncio.gather(load.run(), change())
    assert load.failed == []
    assert load.answered >= REQUESTS
    assert house.messages().count("Rollout complete") == 3
