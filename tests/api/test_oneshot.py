"""The history of oneshots over the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cbox_init.client import AsyncClient

if TYPE_CHECKING:
    from tests.api.service import Serve, Service

PATH = "/api/v1/oneshot/history"


async def served(serve: Serve, script: str = "exit 3") -> Service:
    return await serve(
        f'\n  job: {{type: oneshot, command: [sh, -c, "{script}"]}}\n  web: {{command: [sleep, "1000"]}}'
    )


async def until_over(service: Service, count: int = 1) -> None:
    def over() -> bool:
        found = service.house.supervisor.executions(100)
        return len(found) == count and all(one.ended_unix for one in found)

    await service.house.until(over)


async def test_what_it_answers(serve: Serve) -> None:
    service = await served(serve)
    await until_over(service)
    reply = (await service.unix.get(PATH)).json()
    (found,) = reply.pop("executions")
    assert reply == {"count": 1, "limit": 100}
    assert list(found) == [
        *("id", "process_name", "instance_id", "started_at", "finished_at", "exit_code", "success", "error"),
        *("duration", "duration_ms", "trigger_type"),
    ]
    assert (found["id"], found["process_name"], found["instance_id"]) == (1, "job", "job-0")
    assert (found["exit_code"], found["success"], found["error"]) == (3, False, "exit code 3")
    assert found["started_at"] <= found["finished_at"]
    assert found["started_at"].endswith("Z")
    assert found["duration"].endswith("s")
    assert type(found["duration_ms"]) is int
    assert found["trigger_type"] == "startup"


async def test_one_that_runs(serve: Serve) -> None:
    service = await served(serve, "echo ready; exec sleep 1000")
    await service.house.until_said("job", "ready")
    (found,) = (await service.unix.get(PATH)).json()["executions"]
    for member in ("finished_at", "exit_code", "success", "duration", "duration_ms"):
        assert found[member] is None
    assert found["error"] == ""


async def test_newest_first_limited_and_of_one_process(serve: Serve) -> None:
    service = await served(serve, "exit 0")
    await until_over(service)
    for count in (2, 3):
        await service.unix.post("/api/v1/processes/job/start")
        await until_over(service, count)
    reply = (await service.tcp.get(f"{PATH}?limit=2&process=job")).json()
    assert (reply["count"], reply["limit"]) == (2, 2)
    assert [(one["id"], one["trigger_type"]) for one in reply["executions"]] == [(3, "manual"), (2, "manual")]
    assert (await service.tcp.get(f"{PATH}?process=web")).json() == {
        "executions": [],
        "count": 0,
        "limit": 100,
    }


@pytest.mark.parametrize(
    ("method", "query", "status"),
    [
        ("GET", "?process=wbe", 404),
        ("GET", "?process=", 404),
        ("GET", "?limit=0", 400),
        ("GET", "?limit=10001", 400),
        ("GET", "?limit=x", 400),
        ("POST", "", 405),
        ("DELETE", "", 405),
    ],
)
async def test_refusals(serve: Serve, method: str, query: str, status: int) -> None:
    service = await served(serve)
    assert (await service.tcp.request(method, PATH + query)).status_code == status


async def test_the_client_has_it(serve: Serve) -> None:
    service = await served(serve)
    await until_over(service)
    async with AsyncClient.connect(socket=service.path) as client:
        (found,) = (await client.oneshot_history()).executions
        assert (found.process_name, found.exit_code) == ("job", 3)
        assert (await client.oneshot_history("job", limit=5)).limit == 5
