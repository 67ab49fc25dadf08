"""What the daemon says of itself over the API."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

from cbox_init import __version__
from cbox_init.client import AsyncClient

if TYPE_CHECKING:
    from tests.api.service import Serve

PATH = "/api/v1/daemon"
PROCESSES = """
  web: {command: [sleep, "1000"], scale: 2}
  bad: {command: [sh, -c, "exit 3"], restart_delay: 1ms, max_restarts: 2}
  backup: {command: ["true"], schedule: "0 0 1 1 *"}
"""


async def test_what_it_answers(serve: Serve) -> None:
    service = await serve(PROCESSES)
    house = service.house
    await house.until(lambda: house.state("bad").value == "failed" and len(house.pids("web")) == 2)
    house.supervisor.trigger("backup")
    await house.until(lambda: house.supervisor.schedule("backup").history(1))
    reply = (await service.unix.get(PATH)).json()
    assert list(reply) == [
        *("version", "python_version", "pid", "config", "started_at", "uptime_seconds", "cpu_seconds"),
        *("memory_rss_bytes", "memory_peak_bytes", "threads", "file_descriptors", "max_file_descriptors"),
        *("loop", "counts", "log", "api"),
    ]
    assert reply["version"] == __version__
    assert reply["python_version"] == ".".join(map(str, sys.version_info[:3]))
    assert (reply["pid"], reply["config"]) == (os.getpid(), None)
    assert abs(reply["started_at"] - time.time()) < 60
    assert 0 < reply["uptime_seconds"] < 60
    assert reply["cpu_seconds"] > 0
    assert reply["memory_peak_bytes"] >= reply["memory_rss_bytes"] > 2**20
    assert reply["threads"] >= 1
    assert reply["counts"] == {
        "processes": 3,
        "instances": 3,
        "running": 2,
        "failed": 1,
        "restarts": 2,
        "scheduled": 1,
        "runs": 1,
    }
    assert set(reply["loop"]) == {"lag_p50_ms", "lag_p99_ms", "lag_max_ms", "turns"}


async def test_descriptors_are_counted(serve: Serve) -> None:
    service = await serve()
    await service.unix.get(PATH)
    before = (await service.unix.get(PATH)).json()
    pipe = os.pipe()
    after = (await service.unix.get(PATH)).json()
    for end in pipe:
        os.close(end)
    assert after["file_descriptors"] - before["file_descriptors"] == 2
    assert after["max_file_descriptors"] == os.sysconf("SC_OPEN_MAX")


async def test_who_asks_and_who_follows_is_counted(serve: Serve) -> None:
    service = await serve()
    before = (await service.unix.get(PATH)).json()["api"]
    await service.tcp.get("/api/v1/health")
    async with AsyncClient.connect(socket=service.path) as client, client.follow() as _:
        entry = await client.daemon()
    assert entry.api.requests == before["requests"] + 2
    assert entry.api.connections > before["connections"]
    assert entry.log.subscribers == 1
    assert (await service.unix.get(PATH)).json()["log"]["subscribers"] == 0


async def test_it_needs_the_token_on_tcp(serve: Serve) -> None:
    service = await serve(api_auth="a-token-of-some-length")
    assert (await service.tcp.get(PATH)).status_code == 401
    assert (await service.unix.get(PATH)).status_code == 200


async def test_a_shutdown_stops_everything_and_names_who_asked(serve: Serve) -> None:
    service = await serve("\n  web: {command: [sleep, '1000'], scale: 2}\n")
    await service.house.until(lambda: len(service.house.pids("web")) == 2)
    for _ in range(2):  # the second has no effect
        reply = await service.unix.post("/api/v1/shutdown")
        assert reply.status_code == 202
        assert reply.json() == {"status": "shutting_down", "message": "shutdown initiated"}
    await service.house.until(lambda: service.house.exit_code is not None)
    assert (service.house.exit_code, service.house.pids("web")) == (0, [])
