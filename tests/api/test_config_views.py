"""The configuration in force, its difference from the file, dry runs and checks over the API."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.api.service import Serve, Service

BASE = "/api/v1"
CONFIG = f"{BASE}/config"
VALIDATE = f"{BASE}/config/validate"
RELOAD = f"{BASE}/config/reload"
SAVE = f"{BASE}/config/save"
PROCESSES = f"{BASE}/processes"

TWO = """
  web: {command: [sleep, '1000'], env: {SECRET_KEY: first-secret-1, MODE: plain}}   # the web
  db: {command: [sleep, '1000'], scale: 2}
"""


@pytest.fixture
async def two(serve: Serve) -> Service:
    return await serve(TWO)


def file_of(service: Service) -> Path:
    return service.house.file


async def shown(service: Service) -> dict[str, Any]:
    reply = await service.unix.get(CONFIG)
    assert reply.status_code == 200
    found: dict[str, Any] = reply.json()
    return found


async def test_the_configuration_without_defaults_and_without_secrets(two: Service) -> None:
    found = await shown(two)
    assert found["path"] == str(file_of(two))
    assert found["config"]["processes"] == {
        "web": {"command": ["sleep", "1000"], "env": {"SECRET_KEY": "***", "MODE": "plain"}},
        "db": {"command": ["sleep", "1000"], "scale": 2},
    }
    assert found["config"]["global"]["api_rate_limit"] == 0
    assert set(found["config"]["global"]) == {
        *("api_enabled", "api_port", "api_socket", "api_rate_limit", "api_insecure")
    }
    assert (found["unsaved"], found["diff"], found["file_errors"]) == (False, "", [])


async def test_what_an_edit_leaves_unsaved(two: Service) -> None:
    config = (await two.unix.get(f"{PROCESSES}/web")).json()["config"]
    config["env"]["SECRET_KEY"] = "second-secret-2"
    config["scale"] = 3
    assert (await two.unix.put(f"{PROCESSES}/web", json={"process": config})).status_code == 200
    found = await shown(two)
    assert found["unsaved"] is True
    assert found["diff"].splitlines() == [
        f"--- {file_of(two)}",
        "+++ in force",
        "@@ -4,5 +4,6 @@ processes.web",
        "     - sleep",
        "     - '1000'",
        "     env:",
        "-      SECRET_KEY: '***'",
        "+      SECRET_KEY: '*** (changed)'",
        "       MODE: plain",
        "+    scale: 3",
    ]
    dry = (await two.unix.post(SAVE, params={"dry_run": "true"})).json()
    assert (dry["status"], dry["message"]) == ("dry_run", f"{file_of(two)} would change")
    assert dry["diff"].splitlines()[2:] == found["diff"].splitlines()[2:]
    assert "second-secret" not in file_of(two).read_text()
    assert (await shown(two))["unsaved"] is True
    assert (await two.unix.post(SAVE)).json()["status"] == "saved"
    found = await shown(two)
    assert (found["unsaved"], found["diff"]) == (False, "")
    dry = (await two.unix.post(SAVE, params={"dry_run": "1"})).json()
    assert (dry["message"], dry["diff"]) == (f"{file_of(two)} would stay as it is", "")


async def test_a_save_that_would_fail_fails_as_a_dry_run(two: Service) -> None:
    await two.unix.post(PROCESSES, json={"name": "q", "process": {"command": ["sleep", "9"]}})
    file_of(two).unlink()
    dry, real = [await two.unix.post(SAVE, params=one) for one in ({"dry_run": "1"}, {})]
    assert (dry.status_code, dry.json()) == (409, real.json())


async def test_a_dry_reload_says_which_keys_and_how(two: Service) -> None:
    text = file_of(two).read_text()
    changed = text.replace("first-secret-1", "third-secret-3").replace("scale: 2", "scale: 4, user: nobody")
    file_of(two).write_text(
        changed.replace("api_rate_limit: 0", "api_rate_limit: 7") + "  new: {command: a}\n"
    )
    dry = (await two.unix.post(RELOAD, params={"dry_run": "1"})).json()
    assert (dry["added"], dry["changed"], dry["removed"]) == (["new"], ["web", "db"], [])
    assert dry["changed_keys"] == {"web": ["env"], "db": ["scale", "user"]}
    assert dry["needs_restart"] == ["global.api_rate_limit"]
    lines = dry["diff"].splitlines()
    assert lines[:2] == ["--- in force", f"+++ {file_of(two)}"]
    for line in (
        "-  api_rate_limit: 0",
        "+  api_rate_limit: 7",
        "+      SECRET_KEY: '*** (changed)'",
        "-    scale: 2",
        "+    scale: 4",
        "+    user: nobody",
        "+  new:",
    ):
        assert line in lines
    assert "third-secret" not in dry["diff"]
    assert [one["name"] for one in (await two.unix.get(PROCESSES)).json()["processes"]] == ["web", "db"]


@pytest.mark.parametrize("content", ["processes: {web: {command: a, scale: x}}", "processes: [", ""])
async def test_a_file_that_is_not_valid_now_is_no_obstacle(two: Service, content: str) -> None:
    file_of(two).write_text(content)
    found = await shown(two)
    assert set(found["config"]["processes"]) == {"web", "db"}
    assert found["diff"] == ""
    assert found["file_errors"]


async def test_a_pipe_in_place_of_the_file_holds_up_nothing(two: Service) -> None:
    text = file_of(two).read_text()
    file_of(two).unlink()
    os.mkfifo(file_of(two))
    assert "is not a file that can be read again" in (await shown(two))["file_errors"][0]
    assert (await two.unix.post(RELOAD, params={"dry_run": "1"})).status_code == 422
    file_of(two).unlink()
    file_of(two).write_text(text)
    assert (await shown(two))["file_errors"] == []


async def checked(service: Service, **body: object) -> dict[str, Any]:
    reply = await service.unix.post(VALIDATE, json=body)
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


async def test_a_process_is_checked_as_an_edit_would_be(two: Service) -> None:
    good = await checked(two, name="new", process={"command": ["sleep", "1"]})
    assert (good["valid"], good["errors"]) == (True, [])
    bad = await checked(two, name="new", process={"comand": "a", "scale": "x", "depends_on": ["nothing"]})
    assert not bad["valid"]
    assert {one["field"] for one in bad["errors"]} >= {"processes.new.scale", "processes.new.depends_on[0]"}
    assert [one["field"] for one in bad["warnings"]] == ["processes.new.comand"]
    assert bad["warnings"][0]["recommendation"] == "did you mean command?"
    masked = (await two.unix.get(f"{PROCESSES}/web")).json()["config"]
    assert (await checked(two, name="web", process=masked))["valid"]
    assert set((await shown(two))["config"]["processes"]) == {"web", "db"}


async def test_a_whole_document_is_checked_as_yaml_and_as_json(two: Service) -> None:
    found = await checked(two, yaml="processes:\n  a: {command: b}\n  c:\n    command: d\n    scale: x\n")
    assert [(one["field"], one["line"]) for one in found["errors"]] == [("processes.c.scale", 5)]
    found = await checked(two, config={"processes": {"c\u2028\x7f\U0001f600": {"command": "d", "scale": 2}}})
    assert not any("not valid YAML" in one["message"] for one in found["errors"])
    found = await checked(two, config={"processes": {"a": {"command": ["b"], "scale": 2}}})
    assert (found["valid"], found["errors"]) == (True, [])
    found = await checked(two, config={"processes": {"a": {"command": ["b"], "scale": "x"}}})
    assert "line" not in found["errors"][0]


async def test_a_text_with_thousands_of_processes_is_one_value(two: Service) -> None:
    lines = "".join(f"  p{number}: {{command: [a, b, c], scale: 2, user: x}}\n" for number in range(3000))
    found = await checked(two, yaml="processes:\n" + lines + "  bad: {command: a, scale: x}\n")
    assert [one["field"] for one in found["errors"]] == ["processes.bad.scale"]
    assert found["errors"][0]["line"] == 3002


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "a"},
        {"process": {}},
        {"name": "a", "process": {}, "yaml": ""},
        {"yaml": "", "config": {}},
        {"yaml": 1},
        {"config": []},
    ],
)
async def test_a_check_of_something_else_is_400(two: Service, body: object) -> None:
    reply = await two.unix.post(VALIDATE, json=body)
    assert (reply.status_code, reply.json()["error"]) == (400, "invalid request body")


async def test_a_check_shows_no_secret_of_the_daemon(two: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    configuration = two.house.parts.configuration
    source = configuration._source
    assert source is not None
    environ = {**source.environ, "DB_PASSWORD": "Xy12-long-secret", "SHORT": "k9"}
    monkeypatch.setattr(configuration, "_source", source._replace(environ=environ))
    monkeypatch.setattr(configuration, "_withheld", frozenset(("SHORT",)))
    text = "processes: {a: {command: b, scale: '${DB_PASSWORD}'}, c: {command: d, scale: '${SHORT}'}}"
    found = await checked(two, yaml=text)
    assert {one["field"] for one in found["errors"]} == {"processes.a.scale", "processes.c.scale"}
    assert "long-secret" not in json.dumps(found)
    assert "k9" not in json.dumps(found)
    assert "***" in json.dumps(found)


async def test_without_a_thread_it_can_be_tried_again(two: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(thread: object) -> None:
        raise RuntimeError("can't start new thread")

    body = {"name": "web", "process": {"command": ["a"]}}
    with monkeypatch.context() as short:
        short.setattr("threading.Thread.start", refused)
        replies = [await two.unix.get(CONFIG), await two.unix.post(VALIDATE, json=body)]
    assert [reply.status_code for reply in replies] == [409, 409]
    assert all("try again later" in reply.json()["error"] for reply in replies)
    assert (await two.unix.get(CONFIG)).status_code == 200
    assert (await two.unix.post(VALIDATE, json=body)).status_code == 200
