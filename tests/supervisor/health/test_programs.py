"""Programs as people run them."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

from cbox_init.core.health import HealthState
from cbox_init.core.states import State
from tests.supervisor.health.test_checks import free_port, state, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.supervisor.house import Build


async def test_nginx_in_front_waits_for_redis(build: Build, tmp_path: Path) -> None:
    redis, web = free_port(), free_port()
    conf = tmp_path / "nginx.conf"
    conf.write_text(
        f"daemon off; pid {tmp_path}/pid; error_log stderr; events {{}} worker_processes 1;\n"
        f"http {{ access_log off; client_body_temp_path {tmp_path}/a; proxy_temp_path {tmp_path}/b;\n"
        f"fastcgi_temp_path {tmp_path}/c; uwsgi_temp_path {tmp_path}/d; scgi_temp_path {tmp_path}/e;\n"
        f"server {{ listen 127.0.0.1:{web}; location /health {{ return 200 'all is well'; }} }} }}\n"
    )
    quick = {"initial_delay": "20ms", "period": "100ms", "timeout": "300ms"}
    config = {
        "processes": {
            "nginx": {
                "command": ["nginx", "-c", str(conf), "-p", str(tmp_path)],
                "depends_on": ["redis"],
                "health_check": {**quick, "url": f"http://localhost:{web}/health", "expected_body": "well"},
                "shutdown": {"signal": "SIGQUIT"},
            },
            "redis": {
                "command": ["redis-server", "--port", str(redis), "--save", "", "--dir", str(tmp_path)],
                "restart_delay": "1ms",
                "health_check": {**quick, "port": redis},
            },
            "ping": {
                "command": ["sleep", "1000"],
                "health_check": {
                    **quick,
                    "mode": "readiness",
                    "command": ["sh", "-c", f"redis-cli -p {redis} ping | grep PONG"],
                },
            },
        }
    }
    house = build(json.dumps(config))
    await until(house, HealthState.HEALTHY, "nginx")
    assert state(house, "redis") is HealthState.HEALTHY
    await until(house, HealthState.HEALTHY, "ping")

    (pid,) = house.pids("redis")
    os.kill(pid, signal.SIGSTOP)  # a hung server: its port still takes connections, until the queue is full
    await until(house, HealthState.UNHEALTHY, "ping")
    assert house.state("nginx") is State.RUNNING
    os.kill(pid, signal.SIGCONT)
    await until(house, HealthState.HEALTHY, "ping")
