"""``/readiness``: of every configuration, and what a limited caller sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.api.service import Serve

PATH = "/api/v1/readiness"
PROCESSES = """
  web: {command: [sleep, "1000"]}
  work: {command: [sleep, "1000"]}
  setup: {type: oneshot, command: ["true"]}
"""


async def test_without_a_readiness_section(serve: Serve) -> None:
    service = await serve(PROCESSES)
    house = service.house
    await house.until(lambda: len(house.pids("web")) == 1 and len(house.pids("work")) == 1)
    running = [{"name": name, "state": "running", "health": "healthy"} for name in ("web", "work")]
    assert (await service.unix.get(PATH)).json() == {"ready": True, "processes": running}
    house.supervisor.stop("work")
    await house.until(lambda: house.state("work").value == "stopped")
    reply = (await service.unix.get(PATH)).json()
    assert reply["ready"] is False
    assert reply["processes"][1] == {"name": "work", "state": "stopped", "health": "unhealthy"}


async def test_with_one_it_is_that_of_the_probe(serve: Serve) -> None:
    service = await serve(PROCESSES, readiness="{enabled: true, path: '', processes: [web]}")
    house = service.house
    await house.until(lambda: len(house.pids("web")) == 1)
    readiness = house.supervisor.lifecycle.readiness
    assert readiness
    reply = (await service.unix.get(PATH)).json()
    assert [one["name"] for one in reply["processes"]] == ["web"]
    assert reply["ready"] is readiness.report().ready is True


async def test_a_limited_token_sees_its_processes_alone(serve: Serve) -> None:
    token = "a-token-of-some-length"
    service = await serve(
        PROCESSES, api_tokens=f"[{{name: one, token: {token}, role: viewer, processes: [web]}}]"
    )
    await service.house.until(lambda: len(service.house.pids("web")) == 1)
    assert (await service.tcp.get(PATH)).status_code == 401
    reply = (await service.tcp.get(PATH, headers={"Authorization": f"Bearer {token}"})).json()
    assert [one["name"] for one in reply["processes"]] == ["web"]
