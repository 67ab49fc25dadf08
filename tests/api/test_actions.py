"""Signals, commands to instances, and commands to several processes, over real sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.api.service import Serve, Service

API = "/api/v1"
SEVERAL = """
  web:
    command: [sh, -c, "trap 'echo again' HUP; while :; do sleep 0.02; done"]
    scale: 2
    depends_on: [db]
    groups: [front]
  db: {command: [sleep, "1000"], groups: [back]}
  queue-a: {command: [sleep, "1000"], groups: [back]}
"""


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("processes/none/signal", {"signal": "HUP"}, 404, "process not found: none"),
        ("processes/web/signal", {"signal": "HUPP"}, 400, "'HUPP' is no signal: did you mean HUP?"),
        ("processes/web/signal", {"signal": "0"}, 400, "'0' is no signal"),
        ("processes/web/signal", {"signal": "HUP", "to": "all"}, 400, "invalid request body"),
        ("processes/web/signal", {}, 400, "invalid request body"),
        ("instances/web-9/restart", None, 404, "instance not found: web-9"),
        ("instances/none/stop", None, 404, "instance not found: none"),
        ("actions", {"action": "stop", "processes": []}, 400, "invalid request body"),
        ("actions", {"action": "stop", "processes": ["x*"]}, 404, "no process matches 'x*'; there are web"),
        ("actions", {"action": "stop", "processes": ["wbe"]}, 404, "no process matches 'wbe'"),
        ("actions", {"action": "stop", "processes": ["@x"]}, 404, "no process matches '@x'; there are none"),
        ("actions", {"action": "jump", "processes": ["web"]}, 400, "invalid request body"),
        ("actions", {"action": "scale", "processes": ["web"]}, 400, "the action scale needs scale"),
        (
            "actions",
            {"action": "stop", "processes": ["web"], "signal": "HUP"},
            400,
            "signal is for the action signal alone",
        ),
        ("actions", {"action": "stop", "processes": ["a*"] * 21}, 400, "has 21 patterns and groups"),
        ("actions", {"action": "stop", "processes": ["a" * 300]}, 400, "invalid request body"),
    ],
)
async def test_what_is_refused(
    service: Service, path: str, body: dict[str, object] | None, status: int, says: str
) -> None:
    reply = await service.unix.post(f"{API}/{path}", json=body)
    assert (reply.status_code, says in reply.text) == (status, True), reply.text


async def test_signals_and_instances(serve: Serve) -> None:
    service = await serve(SEVERAL)
    reply = await service.unix.post(f"{API}/processes/web/signal", json={"signal": "hup"})
    assert reply.status_code == 202
    assert reply.json()["message"] == "SIGHUP sent"
    await service.house.until_said("web", "again", 2)
    reply = await service.unix.post(f"{API}/instances/web-1/signal?wait", json={"signal": 1})
    assert reply.status_code == 400  # a text, as names are
    reply = await service.unix.post(f"{API}/instances/web-1/signal?wait", json={"signal": "1"})
    assert (reply.status_code, reply.json()["status"]) == (200, "done")
    await service.house.until_said("web", "again", 3)
    reply = await service.unix.post(f"{API}/instances/web-1/stop?wait=20s")
    assert (reply.status_code, reply.json()["status"]) == (200, "done")
    reply = await service.unix.post(f"{API}/instances/web-1/restart?wait=20s")
    assert (reply.status_code, reply.json()["instances"][0]["id"]) == (200, "web-1")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"action": "scale", "scale": 1}, "scale_locked"),
        ({"action": "signal", "signal": "TERM"}, "cannot signal fixed: it does not run"),
    ],
)
async def test_none_is_touched_when_one_cannot_take_it(
    serve: Serve, body: dict[str, object], says: str
) -> None:
    service = await serve(
        SEVERAL + "  fixed: {command: [sleep, '1'], scale_locked: true, initial_state: stopped}\n"
    )
    await service.house.until(lambda: len(service.house.pids("web")) == 2)
    before = service.house.pids("web")
    reply = await service.unix.post(f"{API}/actions", json={**body, "processes": ["web", "fixed"]})
    assert (reply.status_code, says in reply.text) == (409, True), reply.text
    assert (await service.unix.get(f"{API}/changes")).json()["count"] == 0
    assert service.house.status("web").desired_scale == 2
    assert service.house.pids("web") == before


async def test_several_processes_are_one_change(serve: Serve) -> None:
    service = await serve(SEVERAL)
    reply = await service.unix.post(
        f"{API}/actions?wait=20s", json={"action": "stop", "processes": ["@back", "web"]}
    )
    change = reply.json()
    assert (reply.status_code, change["status"], change["kind"]) == (200, "done", "stop")
    assert change["processes"] == ["web", "db", "queue-a"]
    assert not any(service.house.pids(name) for name in ("web", "db", "queue-a"))
    reply = await service.unix.post(f"{API}/actions?wait=20s", json={"action": "start", "processes": ["all"]})
    assert reply.json()["status"] == "done"
    reply = await service.unix.post(
        f"{API}/actions?wait=20s", json={"action": "scale", "processes": ["queue-?"], "scale": 2.0}
    )
    assert (reply.json()["status"], len(service.house.pids("queue-a"))) == ("done", 2)
