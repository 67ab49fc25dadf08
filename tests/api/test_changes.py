"""Changes: commands wait for their end, a key makes one of two requests, rollouts can be abandoned."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from cbox_init.api import commands, waiting
from cbox_init.core.states import State

if TYPE_CHECKING:
    import httpx

    from tests.api.service import Serve, Service

CHANGES = "/api/v1/changes"
WEB = "/api/v1/processes/web"
PROCESSES = "/api/v1/processes/{name}"

#: Its second instance does not get ready after a restart until the file is there.
GATED = """
  web:
    command: [sh, -c, "echo ready; exec sleep 1000"]
    scale: 2
    health_check: {type: exec, command: [sh, -c, "test ! -e $DIR/shut"], initial_delay: 0, period: 50ms}
    rollout: {ready_timeout: 0}
  backup:
    command: [sh, -c, "echo on; until [ -e $DIR/go ]; do sleep 0.02; done; exit 3"]
    schedule: "0 0 1 1 *"
"""


async def done(reply: httpx.Response, status: str = "done") -> dict[str, Any]:
    change: dict[str, Any] = reply.json()
    assert (reply.status_code, change["status"]) == (200, status), change
    assert reply.headers["location"] == f"{CHANGES}/{change['id']}"
    return change


async def test_an_action_answers_with_its_end(service: Service) -> None:
    before = set(service.house.pids("web"))
    change = await done(await service.tcp.post(f"{WEB}/restart?wait=20s"))
    assert (change["kind"], change["process"], change["progress"]) == (
        "restart",
        "web",
        {"done": 2, "total": 2},
    )
    assert (change["actor"]["type"], change["actor"]["id"]) == ("anonymous", "anonymous")
    assert [(one["id"], one["status"]) for one in change["instances"]] == [
        ("web-0", "done"),
        ("web-1", "done"),
    ]
    assert not before & set(service.house.pids("web"))
    assert (await service.unix.get(f"{CHANGES}/{change['id']}")).json() == change
    assert (await done(await service.tcp.post(f"{WEB}/scale?wait=20", json={"scale": 3})))["kind"] == "scale"
    await done(await service.tcp.post(f"{WEB}/scale?wait=20", json={"delta": -1}))
    await done(await service.tcp.post(f"{WEB}/stop?wait"))
    reply = await service.unix.get(f"{CHANGES}?process=w*&limit=2")
    assert [one["kind"] for one in reply.json()["changes"]] == ["stop", "scale"]
    assert (await service.unix.get(f"{CHANGES}?process=web&status=failed")).json()["changes"] == []


async def test_a_long_list_lets_others_have_their_turn(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here after each change, so that they can be counted."""
    changes = service.house.supervisor.changes
    for _ in range(300):
        changes.done(changes.open("signal", ("web",)))
    monkeypatch.setattr(waiting, "SLICE_S", 0.0)
    listing = asyncio.ensure_future(service.unix.get(f"{CHANGES}?limit=1000"))
    turns = 0
    while not listing.done():
        turns += 1
        await asyncio.sleep(0)
    assert (await listing).json()["count"] == 300
    assert turns > 300


async def test_what_takes_longer_is_answered_with_202_and_can_be_waited_for(serve: Serve) -> None:
    service = await serve(GATED)
    house = service.house
    await house.until_state("backup", State.SCHEDULED)
    reply = await service.tcp.post("/api/v1/processes/backup/schedule/trigger?wait=0")
    assert (reply.status_code, reply.json()["status"]) == (202, "triggered")
    where = reply.headers["location"]
    change = (await service.tcp.get(f"{where}?wait=0.01")).json()
    assert (change["status"], "ended_at" in change) == ("doing", False)
    readers = [asyncio.create_task(service.unix.get(f"{where}?wait=1m")) for _ in range(20)]
    house.let_go()
    for reader in readers:
        change = (await reader).json()
        assert (change["status"], change["reason"], change["exit_code"]) == ("failed", "exit code 3", 3)


async def test_each_step_can_be_waited_for_and_a_rollout_abandoned(serve: Serve) -> None:
    service = await serve("\n  web: {command: [sleep, '1000'], scale: 2}\n")
    house = service.house
    await house.until(lambda: len(house.pids("web")) == 2)
    first = dict(enumerate(house.pids("web")))
    check = {"type": "exec", "command": ["sh", "-c", "test -e $DIR/go"], "initial_delay": 0, "period": "50ms"}
    web = {"command": ["sleep", "1001"], "scale": 2, "rollout": {"ready_timeout": 0}, "health_check": check}
    where = (await service.unix.put(WEB, json={"process": web})).headers["location"]
    change = (await service.tcp.get(where)).json()
    assert change["kind"] == "update"
    while not change["version"] or len(set(first.values()) & set(house.pids("web"))) == 2:
        change = (await service.tcp.get(f"{where}?wait=20s&seen={change['version']}")).json()
        assert change["status"] == "doing"
    reply = await service.tcp.delete(where)
    change = reply.json()
    assert (reply.status_code, change["status"]) == (200, "aborted")
    assert change["reason"] == "abandoned by anonymous"
    house.let_go()
    await house.until(lambda: house.supervisor.table["web"].ready)
    assert len(set(first.values()) & set(house.pids("web"))) == 1
    again = await service.tcp.delete(where)
    assert (again.status_code, "it has ended (aborted)" in again.json()["error"]) == (409, True)
    await done(await service.tcp.post(f"{WEB}/restart?wait=20s"))
    assert not set(first.values()) & set(house.pids("web"))


async def test_a_rollout_whose_new_instances_are_all_ready_is_aborted_and_not_done(serve: Serve) -> None:
    rollout = "{max_surge: 0, max_unavailable: 1, pause: 1h}"
    service = await serve(f"\n  web: {{command: [sleep, '1000'], scale: 2, rollout: {rollout}}}\n")
    house = service.house
    await house.until(lambda: len(house.pids("web")) == 2)
    where = (await service.unix.post(f"{WEB}/restart")).headers["location"]
    change = (await service.tcp.get(where)).json()
    while not change["progress"]["done"]:
        change = (await service.tcp.get(f"{where}?wait=20s&seen={change['version']}")).json()
    change = (await service.tcp.delete(where)).json()
    assert (change["status"], change["progress"]) == ("aborted", {"done": 1, "total": 2})


async def test_only_a_rollout_can_be_abandoned(serve: Serve) -> None:
    service = await serve(GATED)
    reply = await service.tcp.post("/api/v1/processes/backup/schedule/trigger")
    refused = await service.tcp.delete(reply.headers["location"])
    assert refused.status_code == 409
    assert "it is a trigger, and only a rollout can be abandoned" in refused.json()["error"]
    service.house.let_go()


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        (f"{CHANGES}/nothing", 404, "there is no change 'nothing'"),
        (f"{CHANGES}/0123456789-1", 404, "of another run of the daemon"),
        (f"{CHANGES}?process=nothing", 404, "process not found: nothing"),
        (f"{CHANGES}?process=x*", 400, "process: no process matches 'x*'"),
        (f"{CHANGES}?process={'a*' * 101}", 400, "process must have 1 to 200 characters, not 202: 'a*a*"),
        (f"{CHANGES}?process=", 400, "process must have 1 to 200 characters"),
        (f"{CHANGES}?status=over", 400, "status must be one of doing, done, failed, superseded, aborted"),
        (f"{CHANGES}?limit=0", 400, "limit must be"),
        (f"{CHANGES}/x?wait=2h", 400, "wait must be a duration from 0 to 1h, such as 30s, not '2h'"),
        (f"{CHANGES}/x?wait=-1", 400, "wait must be"),
        (f"{CHANGES}/x?wait=soon", 400, "wait must be"),
        (f"{CHANGES}/x?wait=1&seen=-1", 400, "seen must be a version"),
    ],
)
async def test_refused(service: Service, path: str, status: int, message: str) -> None:
    reply = await service.tcp.get(path)
    assert (reply.status_code, message in reply.json()["error"]) == (status, True), reply.text


async def test_a_wait_that_cannot_be_read_gives_no_command(service: Service) -> None:
    assert (await service.tcp.post(f"{WEB}/stop?wait=x")).status_code == 400
    assert (await service.tcp.post(f"{WEB}/scale?wait=x", json={"scale": 1})).status_code == 400
    assert not tuple(service.house.supervisor.changes.latest())


async def test_a_key_makes_one_of_two_requests(service: Service) -> None:
    key = {"Idempotency-Key": "deploy 17"}
    posts = [service.tcp.post(f"{WEB}/scale", json={"delta": 1}, headers=key) for _ in range(3)]
    replies = await asyncio.gather(*posts)
    assert len({reply.content for reply in replies}) == 1
    assert service.house.status("web").desired_scale == 3
    waited = await done(await service.tcp.post(f"{WEB}/scale?wait=20s", json={"delta": 1}, headers=key))
    assert waited["id"] == replies[0].json()["change"]
    other = await service.tcp.post(f"{WEB}/scale", json={"delta": 2}, headers=key)
    assert other.status_code == 422
    assert other.json()["error"] == "Idempotency-Key 'deploy 17' was used for another request"
    by_another_caller = await service.unix.post(f"{WEB}/scale", json={"delta": 1}, headers=key)
    assert by_another_caller.json()["change"] != waited["id"]


async def test_a_key_of_a_refused_request_can_be_used_again(service: Service) -> None:
    key = {"Idempotency-Key": "one"}
    assert (await service.tcp.post(f"{WEB}/scale", json={"scale": 99}, headers=key)).status_code == 400
    assert (await service.tcp.post(f"{WEB}/scale", json={"scale": 1}, headers=key)).status_code == 202
    for bad in ("", "x" * 256):
        reply = await service.tcp.post(f"{WEB}/stop", headers={"Idempotency-Key": bad})
        assert (reply.status_code, "1 to 255 printable" in reply.json()["error"]) == (400, True)


async def test_a_client_that_leaves_while_it_waits_leaves_nothing_behind(serve: Serve) -> None:
    service = await serve(GATED)
    before = len(asyncio.all_tasks())
    async with service.connection() as (_, writer):
        writer.write(
            b"POST /api/v1/processes/backup/schedule/trigger?wait=1h HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Length: 0\r\n\r\n"
        )
        await service.house.until_said("backup", "on")
    await service.house.until(lambda: len(asyncio.all_tasks()) <= before)
    (change,) = service.house.supervisor.changes.latest()
    assert not change.over
    service.house.let_go()
    await service.house.until(lambda: change.over)


async def test_the_shutdown_ends_every_wait(serve: Serve) -> None:
    service = await serve(GATED)
    house = service.house
    await house.until(lambda: house.supervisor.table["web"].ready)
    (house.file.parent / "shut").touch()
    waiting = asyncio.create_task(service.tcp.post(f"{WEB}/restart?wait=1h"))
    await house.until(lambda: tuple(house.supervisor.changes.latest()))
    house.supervisor.shutdown("test")
    change = await done(await waiting, "aborted")
    assert change["reason"] == "the daemon is shutting down"


async def test_requests_with_one_key_share_what_takes_time(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = await serve("\n  web: {command: [sleep, '1000']}\n")
    configuration = service.house.parts.configuration
    begin, let = asyncio.Event(), asyncio.Event()
    original = type(configuration).reload

    async def slow(self: object, change: object = None) -> object:
        begin.set()
        await let.wait()
        return await original(configuration, change)  # type: ignore[arg-type]

    monkeypatch.setattr(type(configuration), "reload", slow)
    key = {"Idempotency-Key": "17"}
    first = asyncio.create_task(service.unix.post("/api/v1/config/reload", headers=key))
    await begin.wait()
    second = asyncio.create_task(service.unix.post("/api/v1/config/reload?wait=20s", headers=key))
    await asyncio.sleep(0)
    let.set()
    replies = [await first, await second]
    assert [reply.status_code for reply in replies] == [200, 200]
    assert replies[0].json()["change"] == replies[1].json()["id"]
    assert len(tuple(service.house.supervisor.changes.latest())) == 1


async def test_keys_are_limited_and_forgotten(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "MOST_KEYS", 2)

    async def post(key: str) -> str:
        reply = await service.tcp.post(f"{WEB}/start", headers={"Idempotency-Key": key})
        return str(reply.json()["change"])

    first = await post("a")
    assert await post("a") == first
    await post("b")
    await post("c")
    assert await post("a") != first
    monkeypatch.setattr(commands, "KEPT_FOR_S", 0.0)
    latest = await post("d")
    assert await post("d") != latest


async def test_a_command_is_seen_in_the_events(service: Service) -> None:
    change = await done(await service.tcp.post(f"{WEB}/restart?wait=20s"))
    events = service.house.runtime.events.kept_after(0)
    of_it = [(one.kind, one.process) for one in events if one.change == change["id"]]
    assert of_it[0] == ("change.started", "web")
    assert of_it[-1] == ("change.ended", "web")
    assert ("change.progress", "web") in of_it


async def test_a_caller_whose_permission_ends_gets_nothing(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = await serve(GATED)
    reply = await service.tcp.post("/api/v1/processes/backup/schedule/trigger")
    monkeypatch.setattr(commands, "is_still_allowed", lambda scope: False)
    refused = await service.tcp.get(f"{reply.headers['location']}?wait=0.01")
    assert (refused.status_code, refused.json()["error"]) == (403, "forbidden")
    service.house.let_go()


async def test_the_document_names_the_header(service: Service) -> None:
    paths = service.contract.document["paths"]
    for path in (f"{PROCESSES}/restart", f"{PROCESSES}/scale", f"{PROCESSES}/schedule/trigger"):
        replies = paths[path]["post"]["responses"]
        assert all("Location" in replies[code]["headers"] for code in ("200", "202"))
