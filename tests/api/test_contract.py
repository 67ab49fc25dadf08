"""The user's own description of the API, to the byte where it shows JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from cbox_init.core.states import State
from tests.api.contract import as_others_have_it

if TYPE_CHECKING:
    from tests.api.service import Serve, Service

STUBBORN = "trap '' TERM; echo on; while :; do sleep 0.05; done"
SHOWN_OF_PROCESS = ["name", "state", "scale", "instances"]
SHOWN_OF_INSTANCE = ["id", "state", "pid", "started_at", "restart_count"]


async def test_health(service: Service) -> None:
    reply = await service.tcp.get("/api/v1/health")
    assert (reply.status_code, reply.content) == (200, b'{"status":"healthy"}')
    assert reply.headers["content-type"] == "application/json"


async def test_list_shows_every_member_of_the_contract_in_its_order(service: Service) -> None:
    before = service.house.status("web").instances
    reply = await service.tcp.get("/api/v1/processes")
    assert reply.status_code == 200
    (web,) = reply.json()["processes"]
    assert list(reply.json()) == ["processes"]
    assert [key for key in web if key in SHOWN_OF_PROCESS] == SHOWN_OF_PROCESS
    assert (web["name"], web["state"], web["scale"]) == ("web", "running", 2)
    for index, instance in enumerate(web["instances"]):
        assert list(instance)[:5] == SHOWN_OF_INSTANCE
        assert instance["id"] == f"web-{index}"
        assert instance["pid"] == before[index].pid
        assert instance["started_at"] == int(before[index].started_at or 0)
        assert instance["restart_count"] == 0
        assert all(type(instance[key]) is int for key in ("pid", "started_at", "restart_count"))


async def test_list_adds_what_operators_need(service: Service) -> None:
    (web,) = (await service.tcp.get("/api/v1/processes")).json()["processes"]
    while not web["memory_rss_bytes"]:  # the first sample goes on after the reply when it takes long
        (web,) = (await service.tcp.get("/api/v1/processes")).json()["processes"]
    assert (web["type"], web["desired_scale"], web["max_scale"], web["wanted"]) == ("longrun", 2, 5, True)
    assert web["memory_rss_bytes"] == sum(i["memory_rss_bytes"] for i in web["instances"])
    assert web["cpu_percent"] >= 0
    assert not {"waiting_for", "reason"} & set(web)


async def test_list_keeps_the_order_of_the_file(serve: Serve) -> None:
    names = ["zeta", "alpha", "mid"]
    service = await serve("".join(f"\n  {name}: {{command: [sleep, '1000']}}" for name in names))
    processes = (await service.unix.get("/api/v1/processes")).json()["processes"]
    assert [process["name"] for process in processes] == names


@pytest.mark.parametrize("action", ["restart", "stop", "start"])
async def test_action(service: Service, action: str) -> None:
    reply = await service.tcp.post(f"/api/v1/processes/web/{action}")
    assert reply.status_code == 202
    assert as_others_have_it(reply.content) == b'{"message":"%b initiated","process":"web"}' % action.encode()


async def test_actions_do_what_they_say(service: Service) -> None:
    house = service.house
    first = set(house.pids("web"))
    await service.tcp.post("/api/v1/processes/web/restart")
    await house.until(lambda: len(house.pids("web")) == 2 and not first & set(house.pids("web")))
    await service.tcp.post("/api/v1/processes/web/stop")
    await house.until_state("web", State.STOPPED)
    (web,) = (await service.tcp.get("/api/v1/processes")).json()["processes"]
    assert (web["state"], web["scale"], web["wanted"]) == ("stopped", 0, False)
    assert all(instance["pid"] == 0 for instance in web["instances"])
    await service.tcp.post("/api/v1/processes/web/start")
    await house.until(lambda: len(house.pids("web")) == 2)


async def test_actions_answer_before_the_work_is_done(serve: Serve) -> None:
    service = await serve(f'\n  slow: {{command: [sh, -c, "{STUBBORN}"]}}')
    await service.house.until_said("slow", "on")
    reply = await service.unix.post("/api/v1/processes/slow/stop")
    assert reply.status_code == 202
    assert service.house.state("slow") is State.STOPPING


@pytest.mark.parametrize("body", [b"", b"nonsense", b'{"scale": "x"}', b"\xff\x00"])
async def test_an_action_ignores_its_body(service: Service, body: bytes) -> None:
    reply = await service.tcp.post("/api/v1/processes/web/start", content=body)
    assert reply.status_code == 202


async def test_scale(service: Service) -> None:
    reply = await service.tcp.post("/api/v1/processes/web/scale", content=b'{"scale": 5}')
    assert reply.status_code == 202
    assert as_others_have_it(reply.content) == b'{"message":"scale initiated","process":"web","scale":5}'
    await service.house.until(lambda: len(service.house.pids("web")) == 5)


async def test_unauthorized(serve: Serve) -> None:
    service = await serve(api_auth="sesame")
    reply = await service.tcp.get("/api/v1/processes")
    assert (reply.status_code, reply.content) == (401, b'{"error":"unauthorized"}')


async def test_bad_request(service: Service) -> None:
    reply = await service.tcp.post("/api/v1/processes/web/scale", content=b"{")
    assert (reply.status_code, reply.content) == (400, b'{"error":"invalid request body"}')


async def test_method_not_allowed(service: Service) -> None:
    reply = await service.tcp.get("/api/v1/processes/web/restart")
    assert (reply.status_code, reply.content) == (405, b'{"error":"method not allowed"}')
    assert reply.headers["allow"] == "POST"


async def test_detail_masks_secrets(serve: Serve) -> None:
    service = await serve("\n  web: {command: [sleep, '1000'], env: {API_TOKEN: hush, COLOR: red}}")
    reply = await service.unix.get("/api/v1/processes/web")
    assert list(reply.json()) == ["process", "config"]
    assert reply.json()["process"] == "web"
    assert reply.json()["config"]["env"] == {"API_TOKEN": "***", "COLOR": "red"}
    assert b"hush" not in reply.content


async def test_a_restart_that_waits_says_when_and_why(serve: Serve) -> None:
    service = await serve("\n  web: {command: [sh, -c, 'exit 3']}", restart_backoff=60)
    await service.house.until(lambda: service.house.instance("web").next_restart_at)
    (web,) = (await service.unix.get("/api/v1/processes")).json()["processes"]
    (instance,) = web["instances"]
    assert (web["state"], instance["state"], instance["pid"]) == ("starting", "starting", 0)
    assert instance["exit_code"] == 3
    assert 0 < instance["next_restart_at"] - instance["started_at"] <= 60 + 20


async def test_what_waits_for_a_dependency_says_for_which(serve: Serve) -> None:
    service = await serve(
        "\n  db: {command: [sleep, '1000'], initial_state: stopped}"
        "\n  web: {command: [sleep, '1000'], depends_on: [db]}"
    )
    processes = (await service.unix.get("/api/v1/processes")).json()["processes"]
    assert processes[1]["waiting_for"] == processes[1]["depends_on"] == ["db"]
    assert "depends_on" not in processes[0]


async def test_shutting_down_is_a_conflict(service: Service) -> None:
    service.house.supervisor.shutdown("test")
    for action, body in (("start", b""), ("scale", json.dumps({"scale": 1}).encode())):
        reply = await service.tcp.post(f"/api/v1/processes/web/{action}", content=body)
        assert reply.status_code == 409
        assert "shutting down" in reply.json()["error"]
