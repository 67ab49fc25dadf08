"""Reload, edits and saving over the API."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from cbox_init.core.states import State

if TYPE_CHECKING:
    from pathlib import Path

    from tests.api.service import Serve, Service

BASE = "/api/v1"
PROCESSES = f"{BASE}/processes"
RELOAD = f"{BASE}/config/reload"
SAVE = f"{BASE}/config/save"
SLEEP = ["sleep", "1000"]

TWO = """
  web: {command: [sleep, '1000'], env: {SECRET_KEY: '${DIR}'}}   # the web
  db: {command: [sleep, '1000']}
"""


@pytest.fixture
async def two(serve: Serve) -> Service:
    service = await serve(TWO)
    await service.house.until(lambda: service.house.pids("web") and service.house.pids("db"))
    return service


def file_of(service: Service) -> Path:
    return service.house.file


async def names(service: Service) -> list[str]:
    return [one["name"] for one in (await service.unix.get(PROCESSES)).json()["processes"]]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (RELOAD, "cannot reload: no thread can be started for config-read; try again later"),
        (SAVE, "cannot save FILE: no thread can be started for config-write; try again later"),
    ],
)
async def test_without_a_thread_it_can_be_tried_again(
    two: Service, monkeypatch: pytest.MonkeyPatch, path: str, message: str
) -> None:
    def refused(thread: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as short:
        short.setattr("threading.Thread.start", refused)
        reply = await two.unix.post(path)
    assert reply.status_code == 409
    assert reply.json() == {"error": message.replace("FILE", str(file_of(two)))}
    assert (await two.unix.post(path)).status_code == 200


async def test_reload_lists_what_it_changes(two: Service) -> None:
    text = file_of(two).read_text()
    file_of(two).write_text(
        text.replace("  db: {command: [sleep, '1000']}", "  q: {command: [sleep, '1000']}").replace(
            "api_rate_limit: 0", "api_rate_limit: 1"
        )
    )
    before = two.house.pids("web")
    dry = (await two.tcp.post(RELOAD, params={"dry_run": "true"})).json()
    assert (dry["status"], dry["added"], await names(two)) == ("dry_run", ["q"], ["web", "db"])
    assert (bool(dry.pop("diff")), dry.pop("changed_keys")) == (True, {})
    reply = await two.tcp.post(RELOAD)
    assert (reply.status_code, reply.json()) == (
        200,
        {
            **dry,
            "status": "reloaded",
            "message": "configuration reloaded: 1 added, 0 changed, 0 adjusted, 1 removed, 1 kept",
            "change": next(two.house.supervisor.changes.latest()).id,
        },
    )
    assert {key: dry[key] for key in ("changed", "adjusted", "removed", "kept", "needs_restart")} == {
        "changed": [],
        "adjusted": [],
        "removed": ["db"],
        "kept": ["web"],
        "needs_restart": ["global.api_rate_limit"],
    }
    await two.house.until(lambda: [s.name for s in two.house.supervisor.statuses()] == ["web", "q"])
    assert two.house.pids("web") == before


async def test_a_bad_file_is_422_with_every_problem(two: Service) -> None:
    file_of(two).write_text("global: {api_port: -1}\nprocesses: {web: {command: a, scale: x, restart: y}}")
    for params in ({}, {"dry_run": "1"}):
        reply = await two.tcp.post(RELOAD, params=params)
        assert reply.status_code == 422
        assert reply.json()["error"] == "invalid configuration, nothing was changed"
        assert [detail.split(": ")[1] for detail in reply.json()["details"]] == [
            "global.api_port",
            "processes.web.scale",
            "processes.web.restart",
        ]
    assert await names(two) == ["web", "db"]


async def test_dry_run_is_true_or_false(two: Service) -> None:
    assert (await two.tcp.post(RELOAD, params={"dry_run": "perhaps"})).status_code == 400


async def test_fifty_reloads_at_once(two: Service) -> None:
    before = two.house.pids("web")
    replies = await asyncio.gather(*(two.unix.post(RELOAD) for _ in range(50)))
    assert {reply.status_code for reply in replies} == {200}
    assert two.house.pids("web") == before
    assert two.house.messages().count("Configuration reloaded") < 50


async def test_conflict_while_shutting_down(two: Service) -> None:
    two.house.supervisor.shutdown("test")
    assert (await two.tcp.post(RELOAD)).status_code == 409
    body = {"name": "x", "process": {"command": SLEEP}}
    assert (await two.tcp.post(PROCESSES, json=body)).status_code == 409
    assert (await two.tcp.put(f"{PROCESSES}/web", json={"process": {"command": "x"}})).status_code == 409
    assert (await two.tcp.delete(f"{PROCESSES}/web")).status_code == 409


async def test_add(two: Service) -> None:
    body = {"name": "queue", "process": {"command": SLEEP, "scale": 2, "depends_on": ["db"]}}
    reply = await two.tcp.post(PROCESSES, json=body)
    assert reply.status_code == 201
    created = {"status": "created", "process": "queue", "message": "process queue created"}
    assert reply.json() == {**created, "change": reply.headers["location"].rpartition("/")[2]}
    await two.house.until(lambda: len(two.house.pids("queue")) == 2)
    assert await names(two) == ["web", "db", "queue"]
    assert (await two.tcp.post(PROCESSES, json=body)).status_code == 409


async def test_update_restarts_that_process_alone(two: Service) -> None:
    web, db = two.house.instance("web"), two.house.instance("db")
    shown = (await two.tcp.get(f"{PROCESSES}/web")).json()["config"]
    assert shown["env"] == {"SECRET_KEY": "***"}
    reply = await two.tcp.put(f"{PROCESSES}/web", json={"process": {**shown, "scale": 2}})
    assert (reply.status_code, reply.json()["status"]) == (200, "updated")
    await two.house.until(lambda: len(two.house.pids("web")) == 2)
    assert two.house.instance("web") == web  # scale alone
    changed = {**shown, "scale": 2, "command": ["sleep", "1001"]}
    await two.tcp.put(f"{PROCESSES}/web", json={"process": changed})
    await two.house.until(lambda: len(two.house.pids("web")) == 2 and web.pid not in two.house.pids("web"))
    assert two.house.instance("db") == db
    assert two.house.supervisor.process_config("web").env == {"SECRET_KEY": str(file_of(two).parent)}


async def test_remove_answers_when_nothing_is_left(two: Service) -> None:
    reply = await two.tcp.delete(f"{PROCESSES}/web")
    assert (reply.status_code, reply.json()["status"]) == (200, "removed")
    assert await names(two) == ["db"]
    assert (await two.tcp.get(f"{PROCESSES}/web")).status_code == 404
    assert (await two.tcp.delete(f"{PROCESSES}/web")).status_code == 404
    reply = await two.tcp.delete(f"{PROCESSES}/db")
    assert (reply.status_code, reply.json()["error"][:30]) == (409, "cannot remove db: it is the la")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"name": 5, "process": {}}', b'{"name": "x"}'])
async def test_wrong_bodies(two: Service, body: bytes) -> None:
    reply = await two.tcp.post(PROCESSES, content=body)
    assert (reply.status_code, reply.json()["error"]) == (400, "invalid request body")
    if b'"process": {}' not in body:
        assert (await two.tcp.put(f"{PROCESSES}/web", content=body)).status_code == 400
    assert (await two.tcp.put(f"{PROCESSES}/nobody", content=body)).status_code == 404


async def test_what_is_no_configuration_is_422_and_changes_nothing(two: Service) -> None:
    before = two.house.supervisor.config
    bad = {"command": [], "scale": -1, "depends_on": ["dbb"], "type": "cron"}
    for reply in (
        await two.tcp.post(PROCESSES, json={"name": "x", "process": bad}),
        await two.tcp.put(f"{PROCESSES}/web", json={"process": bad}),
    ):
        assert reply.status_code == 422
        assert len(reply.json()["details"]) == 4
    assert two.house.supervisor.config is before


async def test_saved_and_reloaded_it_is_the_same(two: Service) -> None:
    text = file_of(two).read_text()
    await two.tcp.post(PROCESSES, json={"name": "queue", "process": {"command": SLEEP}})
    await two.tcp.put(f"{PROCESSES}/db", json={"process": {"command": SLEEP, "max_scale": 5}})
    reply = await two.tcp.post(SAVE)
    assert (reply.status_code, reply.json()["status"]) == (200, "saved")
    saved = file_of(two).read_text()
    assert "web: {command: [sleep, '1000'], env: {SECRET_KEY: '${DIR}'}}   # the web" in saved
    assert [line for line in text.splitlines() if line not in saved.splitlines()] == [
        "  db: {command: [sleep, '1000']}"
    ]
    reply = await two.tcp.post(RELOAD)
    assert reply.json()["kept"] == ["web", "db", "queue"]
    assert (await two.tcp.post(SAVE)).status_code == 200
    assert file_of(two).read_text() == saved


async def test_a_reload_undoes_what_was_not_saved(two: Service) -> None:
    await two.tcp.post(PROCESSES, json={"name": "queue", "process": {"command": SLEEP}})
    assert (await two.tcp.post(RELOAD)).json()["removed"] == ["queue"]


async def test_what_cannot_be_saved_is_a_conflict(two: Service) -> None:
    await two.tcp.post(PROCESSES, json={"name": "queue", "process": {"command": SLEEP}})
    file_of(two).unlink()
    reply = await two.tcp.post(SAVE)
    assert reply.status_code == 409
    assert reply.json()["error"].startswith(f"cannot save {file_of(two)}: No such file or directory")


async def test_a_removed_process_of_the_same_name_may_come_back(two: Service) -> None:
    for number in range(5):
        await two.tcp.delete(f"{PROCESSES}/db")
        body = {"name": "db", "process": {"command": ["sleep", f"100{number}"]}}
        assert (await two.tcp.post(PROCESSES, json=body)).status_code == 201
    await two.house.until_state("db", State.RUNNING)
