"""Schedules over the API."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from cbox_init.api.routes import schedule as routes
from cbox_init.client import ApiError, AsyncClient
from tests.api.contract import as_others_have_it

if TYPE_CHECKING:
    from tests.api.service import Serve, Service

PATH = "/api/v1/processes/job"


async def served(serve: Serve, command: str = "exit 0", keys: str = "") -> Service:
    return await serve(
        f'\n  job: {{command: [sh, -c, "{command}"], schedule: "0 3 * * *"{keys}}}'
        "\n  web: {command: [sleep, '1000']}"
    )


async def until_over(service: Service, count: int = 1) -> list[dict[str, object]]:
    house = service.house
    await house.until(lambda: len(house.supervisor.schedule("job").history(100)) == count)
    history: list[dict[str, object]] = (await service.unix.get(f"{PATH}/schedule/history")).json()["history"]
    return history


async def test_entry_of_the_list(serve: Serve) -> None:
    service = await served(serve, "exit 3")
    job, web = (await service.unix.get("/api/v1/processes")).json()["processes"]
    assert (job["type"], job["state"], job["schedule"]) == ("scheduled", "scheduled", "0 3 * * *")
    assert (job["scale"], job["desired_scale"], job["run_count"], job["success_rate"]) == (0, 0, 0, 0.0)
    assert job["schedule_state"] == "idle"
    assert type(job["next_run"]) is int
    assert not {"last_run", "last_exit_code"} & set(job)
    assert not {"schedule", "next_run", "run_count"} & set(web)
    await service.unix.post(f"{PATH}/schedule/trigger")
    await until_over(service)
    job = (await service.unix.get("/api/v1/processes")).json()["processes"][0]
    assert (job["run_count"], job["success_rate"], job["last_exit_code"]) == (1, 0.0, 3)
    assert type(job["last_run"]) is int


async def test_schedule_and_history(serve: Serve) -> None:
    service = await served(serve)
    before = (await service.unix.get(f"{PATH}/schedule")).json()
    assert before["process"] == before["schedule"]["name"] == "job"
    assert (before["schedule"]["last_run"], before["schedule"]["current_execution_id"]) == (None, None)
    assert before["schedule"]["next_run"].endswith("Z")
    assert before["schedule"]["timezone"] == "UTC"
    for _ in range(3):
        reply = await service.unix.post(f"{PATH}/schedule/trigger?sync=true")
        assert (reply.status_code, as_others_have_it(reply.content)) == (
            200,
            b'{"status":"completed","process":"job","exit_code":0}',
        )
    stats = (await service.unix.get(f"{PATH}/schedule")).json()["schedule"]["stats"]
    assert (stats["total_executions"], stats["success_count"], stats["failure_count"]) == (3, 3, 0)
    assert (stats["running_count"], stats["success_rate"], stats["last_failure_time"]) == (0, 100.0, None)
    assert 0 < stats["average_duration"] < 20e9
    reply = (await service.unix.get(f"{PATH}/schedule/history?limit=2")).json()
    assert (reply["process"], reply["limit"], reply["count"]) == ("job", 2, 2)
    assert [run["id"] for run in reply["history"]] == ["job-run-3", "job-run-2"]
    newest = reply["history"][0]
    assert (newest["success"], newest["error"], newest["triggered"]) == (True, "", "manual")
    assert newest["start_time"] <= newest["end_time"]


async def test_pause_trigger_resume(serve: Serve) -> None:
    service = await served(serve)
    reply = await service.tcp.post(f"{PATH}/schedule/pause")
    assert reply.status_code == 200
    assert as_others_have_it(reply.content) == b'{"status":"paused","process":"job"}'
    job = (await service.unix.get("/api/v1/processes")).json()["processes"][0]
    assert (job["state"], job["schedule_state"], job["wanted"]) == ("paused", "paused", False)
    assert "next_run" not in job
    assert (await service.tcp.post(f"{PATH}/schedule/trigger")).status_code == 409
    assert (await service.tcp.post(f"{PATH}/schedule/trigger?sync=true")).status_code == 409
    reply = await service.tcp.post(f"{PATH}/schedule/resume")
    assert reply.status_code == 200
    assert as_others_have_it(reply.content) == b'{"status":"resumed","process":"job"}'
    reply = await service.tcp.post(f"{PATH}/schedule/trigger")
    assert reply.status_code == 202
    assert as_others_have_it(reply.content) == b'{"status":"triggered","process":"job"}'
    assert (await until_over(service))[0]["success"]


async def test_a_run_outlives_the_request_and_the_connection(serve: Serve) -> None:
    service = await served(serve, "echo on; sleep 0.3; echo done", ", schedule_max_concurrent: 1")
    async with service.connection() as (_, writer):
        writer.write(f"POST {PATH}/schedule/trigger?sync=true HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        await service.house.until_said("job", "on")
    assert (await service.unix.post(f"{PATH}/schedule/trigger")).status_code == 409
    (run,) = await until_over(service)
    assert run["success"]
    assert service.house.lines("job") == ["on", "done"]


async def test_a_wait_that_is_too_long(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "LONGEST_SYNC_S", 0.1)
    service = await served(serve, "sleep 1000")
    reply = await service.unix.post(f"{PATH}/schedule/trigger?sync=true")
    assert reply.status_code == 202
    assert as_others_have_it(reply.content) == b'{"status":"triggered","process":"job"}'
    assert len(service.house.pids("job")) == 1


async def test_a_wait_ends_when_the_run_is_stopped(serve: Serve) -> None:
    service = await served(serve, "echo on; sleep 1000")
    waiting = asyncio.create_task(service.unix.post(f"{PATH}/schedule/trigger?sync=true"))
    await service.house.until_said("job", "on")
    assert (await service.tcp.post(f"{PATH}/stop")).status_code == 202
    assert (await waiting).json()["exit_code"] == 143


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/processes/web/schedule", 404),
        ("GET", "/api/v1/processes/web/schedule/history", 404),
        ("POST", "/api/v1/processes/web/schedule/trigger", 404),
        ("POST", "/api/v1/processes/nobody/schedule/pause", 404),
        ("GET", f"{PATH}/schedule/history?limit=0", 400),
        ("POST", f"{PATH}/schedule/trigger?sync=maybe", 400),
        ("GET", f"{PATH}/schedule/pause", 405),
        ("POST", f"{PATH}/schedule", 405),
    ],
)
async def test_refusals(serve: Serve, method: str, path: str, status: int) -> None:
    service = await served(serve)
    assert (await service.tcp.request(method, path)).status_code == status


async def test_scale_is_a_conflict(serve: Serve) -> None:
    service = await served(serve)
    reply = await service.tcp.post(f"{PATH}/scale", content=b'{"scale": 2}')
    assert reply.status_code == 409
    assert "schedule_max_concurrent" in reply.json()["error"]


async def test_the_client_has_it_all(serve: Serve) -> None:
    service = await served(serve, "exit 4")
    async with AsyncClient.connect(socket=service.path) as client:
        done = await client.trigger_and_wait("job")
        assert (done.status, done.exit_code) == ("completed", 4)
        assert (await client.schedule("job")).schedule.stats.failure_count == 1
        (run,) = (await client.schedule_history("job", limit=5)).history
        assert (run.id, run.error) == ("job-run-1", "exit code 4")
        assert (await client.pause("job")).status == "paused"
        with pytest.raises(ApiError, match="paused"):
            await client.trigger("job")
        assert (await client.resume("job")).status == "resumed"
        assert (await client.trigger("job")).status == "triggered"
