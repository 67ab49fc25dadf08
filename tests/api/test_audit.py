"""What the API records: who asks, what comes of it, who is refused; and what happens when it cannot."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, cast

import pytest

from cbox_init.audit import limits
from cbox_init.audit import trail as trail_module
from cbox_init.audit.verify import Verdict, verify_files
from tests.api.service import WEB
from tests.api.test_access import ask
from tests.api.test_tls import curl, section
from tests.audit.trails import records
from tests.supervisor.health.certificates import make_certificate

if TYPE_CHECKING:
    from pathlib import Path

    from tests.api.service import Serve, Service

TOKEN = "0123456789abcdef0123456789abcdef"
PROCESSES = "/api/v1/processes"

Record = dict[str, object]


async def audited(serve: Serve, path: Path, **settings: object) -> Service:
    return await serve(WEB, audit_enabled="true", audit_output=path, **settings)


async def written(service: Service, path: Path) -> list[Record]:
    """All records of a service, once none waits."""
    audit = service.house.parts.runtime.audit
    assert audit is not None
    await service.house.until(lambda: audit.queued == 0)
    assert verify_files([str(path)]).verdict is Verdict.INTACT
    return records(path)


def bytes_of(path: Path) -> bytes:
    return path.read_bytes()


def put_a_directory_in_place_of(path: Path) -> None:
    path.rename(path.with_name("kept"))
    path.mkdir()


def of(found: list[Record], event_type: str) -> list[Record]:
    return [record for record in found if record["event_type"] == event_type]


def context(record: Record) -> Record:
    return cast("Record", record["context"])


def actor(record: Record) -> Record:
    return cast("Record", record["actor"])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit" / "audit.log"


async def test_a_change_is_recorded_with_who_what_and_outcome(serve: Serve, path: Path) -> None:
    service = await audited(serve, path)
    reply = await service.unix.post(
        f"{PROCESSES}/web/scale", json={"scale": 3}, headers={"x-request-id": "it"}
    )
    found = await written(service, path)
    mine = [record for record in found if context(record).get("request_id") == reply.headers["x-request-id"]]
    assert [record["event_type"] for record in mine] == ["api.request", "process.scale", "api.response"]
    for record in mine:
        who = actor(record)
        assert (who["type"], who["uid"], who["pid"]) == ("socket", os.getuid(), os.getpid())
    request, scale, response = mine
    assert request["action"] == f"POST {PROCESSES}/web/scale"
    assert request["status"] == "attempt"
    assert context(request)["client_request_id"] == "it"
    assert scale["resource"] == {"type": "process", "id": "web", "name": "web"}
    assert (context(scale)["scale"], context(scale)["before"]) == (3, 2)
    assert (response["status"], context(response)["http_status"]) == ("success", 202)


@pytest.mark.parametrize("reads", [True, False])
async def test_reads_are_recorded_on_demand(serve: Serve, path: Path, reads: bool) -> None:
    service = await audited(serve, path, audit_reads=str(reads).lower())
    await service.unix.get(PROCESSES)
    found = await written(service, path)
    assert (f"GET {PROCESSES}" in [record["action"] for record in of(found, "api.response")]) is reads
    assert not of(found, "api.request")


async def test_a_token_is_named_and_never_shown(serve: Serve, path: Path) -> None:
    service = await audited(serve, path, api_auth=TOKEN)
    good, bad = {"authorization": f"Bearer {TOKEN}"}, {"authorization": "Bearer guessed-token-value"}
    for _ in range(3):
        assert (await service.tcp.post(f"{PROCESSES}/web/restart", headers=good)).status_code == 202
    assert (await service.tcp.post(f"{PROCESSES}/web/restart?token={TOKEN}", headers=bad)).status_code == 401
    await service.tcp.post(f"{PROCESSES}/web/start?api%5Ftoken=a-secret-of-others&sync=true", headers=good)
    found = await written(service, path)
    (success,) = of(found, "auth.success")  # once, and not for each request
    assert actor(success) == {"type": "token", "id": "api_auth", "ip": "127.0.0.1", "role": "admin"}
    (failure,) = of(found, "auth.failure")
    assert (failure["status"], actor(failure)["type"]) == ("denied", "anonymous")
    assert actor(failure)["ip"] == "127.0.0.1"
    assert len(of(found, "api.request")) == 4
    assert context(of(found, "api.request")[-1])["query"] == "api%5Ftoken=***&sync=true"
    text = str(found)
    assert TOKEN not in text and "guessed-token-value" not in text


async def test_a_token_that_a_client_puts_elsewhere_too(serve: Serve, path: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a-token-of-plain-words\n")
    tokens = f"[{{name: ci, role: operator, token_file: {tmp_path}/token}}]"
    service = await audited(serve, path, api_tokens=tokens)
    for token in ("a-token-of-plain-words", "another-of-plain-words"):
        headers = {"authorization": f"Bearer {token}", "x-request-id": token, "user-agent": f"ci {token}"}
        await service.tcp.post(f"{PROCESSES}/web/start?x={token}", headers=headers)
        await service.tcp.post(f"{PROCESSES}/{token}/start", headers=headers)
    found = await written(service, path)
    assert (len(of(found, "api.request")), len(of(found, "auth.failure"))) == (2, 2)
    assert "of-plain-words" not in str(found)


async def test_a_refused_command_is_a_failure(serve: Serve, path: Path) -> None:
    service = await audited(serve, path)
    await service.unix.post(f"{PROCESSES}/nobody/stop")
    found = await written(service, path)
    (response,) = of(found, "api.response")
    assert (response["status"], context(response)["http_status"]) == ("failure", 404)
    assert not [record for record in of(found, "process.stop") if actor(record)["type"] == "socket"]


async def test_changes_of_the_configuration_have_a_masked_diff(serve: Serve, path: Path) -> None:
    service = await audited(serve, path)
    process = {"command": ["sleep", "1000"], "env": {"DB_PASSWORD": "hunter2", "MODE": "a"}}
    await service.unix.post(PROCESSES, json={"name": "db", "process": process})
    process["env"] = {"DB_PASSWORD": "hunter3", "MODE": "b"}
    await service.unix.put(f"{PROCESSES}/db", json={"process": process})
    await service.unix.delete(f"{PROCESSES}/db")
    added, updated, removed = of(await written(service, path), "config.change")
    assert [record["action"] for record in (added, updated, removed)] == ["added", "updated", "removed"]
    assert {"path": "processes.db", "change": "added"} in cast("list[object]", context(added)["diff"])
    assert context(updated)["diff"] == [
        {"path": "processes.db.env.DB_PASSWORD", "before": "***", "after": "***"},
        {"path": "processes.db.env.MODE", "before": "a", "after": "b"},
    ]
    assert {"path": "processes.db", "change": "removed"} in cast("list[object]", context(removed)["diff"])
    assert actor(added)["uid"] == os.getuid()
    assert "hunter" not in str(added) + str(updated) + str(removed)


async def test_what_the_daemon_does_later_is_not_the_clients_doing(serve: Serve, path: Path) -> None:
    """The run queue is woken within the request, and must not act in its name."""
    service = await audited(serve, path)
    await service.unix.post(f"{PROCESSES}/web/restart")
    await service.house.until(lambda: len(service.house.pids("web")) == 2)
    await service.unix.post(f"{PROCESSES}/web/stop")
    await service.house.until(lambda: not service.house.pids("web"))
    found = await written(service, path)
    instances = [one for one in found if cast("Record", one["resource"])["type"] == "instance"]
    assert instances
    assert {actor(one)["type"] for one in instances} == {"system"}


async def test_hostile_names_and_ids(serve: Serve, path: Path) -> None:
    service = await audited(serve, path)
    name = "%0a%7b%22seq%22:1%7d%1b%5b31m%7f%e2%80%ae"
    await service.unix.post(f"{PROCESSES}/{name}/stop", headers={b"x-request-id": b"\xe9" * 3000})
    huge = b"POST /api/v1/processes/" + b"x" * 30_000 + b"/stop HTTP/1.1\r\nHost: localhost\r\n"
    await service.raw(huge + b"X-Request-ID: \x01\xff\r\nConnection: close\r\n\r\n")
    big = {"name": "big", "process": {"command": ["sleep", "1000", "\x1b[2J" + "y" * 10**6]}}
    await service.unix.post(PROCESSES, json=big)
    found = await written(service, path)
    text = bytes_of(path)
    assert text.isascii() and b"\x1b" not in text and b"\x7f" not in text
    assert len(text.splitlines()) == len(found)
    assert max(map(len, text.splitlines())) < 64 * 1024
    (request,) = (one for one in of(found, "api.request") if "[31m" in str(one["action"]))
    assert '\n{"seq":1}' in str(request["action"])  # as a text within the record
    assert len(str(context(request)["client_request_id"])) <= 1024


async def test_the_access_list(serve: Serve, path: Path) -> None:
    service = await audited(serve, path, api_acl="{enabled: true, allow_list: [127.0.1.0/24]}")
    assert (await ask(service, "127.0.0.1")).status == 403
    (denied,) = of(await written(service, path), "acl.deny")
    assert (denied["status"], actor(denied)["ip"], denied["action"]) == ("denied", "127.0.0.1", PROCESSES)


async def test_handshakes_that_fail(serve: Serve, path: Path, tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path, "localhost")
    service = await audited(serve, path, api_tls=section(certificate))
    await service.house.until(lambda: service.listeners.tcp_open)
    assert (await curl(service, certificate)).code == 0
    assert (await curl(service, certificate, "--tls-max", "1.1")).code != 0
    found = of(await written(service, path), "tls.handshake")
    assert found and actor(found[0])["ip"] == "127.0.0.1" and found[0]["message"]


async def test_an_attacker_cannot_fill_the_disk(serve: Serve, path: Path) -> None:
    service = await audited(serve, path, api_auth=TOKEN, api_rate_limit=1, api_rate_burst=50)
    for _ in range(200):
        await service.tcp.get(PROCESSES)
    audit = service.house.parts.runtime.audit
    assert audit is not None
    found = await written(service, path)
    assert 10 <= len(of(found, "auth.failure")) <= 12
    assert 10 <= len(of(found, "rate_limit.exceed")) <= 12
    assert audit.suppressed >= 170
    await audit.close(20)
    left_out = [context(one)["left_out"] for one in records(path) if one["action"] == "audit.limit"]
    assert sum(cast("list[int]", left_out)) == audit.suppressed


async def test_without_a_record_there_is_no_change(serve: Serve, path: Path) -> None:
    service = await audited(serve, path, audit_required="true")
    await service.house.until(path.exists)
    put_a_directory_in_place_of(path)
    reply = await service.unix.post(f"{PROCESSES}/web/stop")
    assert reply.status_code == 503
    assert reply.json()["error"] == "the change is refused: audit_required is set"
    assert reply.json()["details"] == [
        f"the audit record cannot be written: refused, {path}: it is no regular file"
    ]
    added = await service.unix.post(PROCESSES, json={"name": "b", "process": {"command": ["true"]}})
    assert added.status_code == 503
    assert (await service.unix.get(PROCESSES)).json()["processes"][0]["scale"] == 2
    os.rmdir(path)
    assert (await service.unix.post(f"{PROCESSES}/web/stop")).status_code == 202
    audit = service.house.parts.runtime.audit
    assert audit is not None
    await service.house.until(lambda: audit.queued == 0)
    assert verify_files([str(path), str(path.with_name("kept"))]).verdict is Verdict.INTACT
    statuses = [context(one)["http_status"] for one in of(records(path), "api.response")]
    assert statuses == [503, 503, 202]
    assert audit.lost == 0


async def test_a_file_system_that_hangs_refuses_changes_in_time_and_stalls_nothing(
    serve: Serve, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    from cbox_init.audit.file import AuditFile

    gate = threading.Event()
    real = AuditFile.append

    def hangs(self: AuditFile, data: bytes, *, sync: bool) -> None:
        assert gate.wait(60)
        real(self, data, sync=sync)

    monkeypatch.setattr(trail_module, "WRITTEN_WITHIN_S", 0.2)
    monkeypatch.setattr(AuditFile, "append", hangs)
    try:
        service = await audited(serve, path, audit_required="true")
        loop = asyncio.get_running_loop()
        asked = asyncio.create_task(service.unix.post(f"{PROCESSES}/web/stop"))
        longest, last = 0.0, loop.time()
        while not asked.done():
            assert (await service.unix.get("/api/v1/health")).status_code == 200
            longest, last = max(longest, loop.time() - last), loop.time()
        assert (await asked).status_code == 503
        assert "no answer within" in (await asked).json()["details"][0]
    finally:
        gate.set()
    assert (await service.unix.post(f"{PROCESSES}/web/restart")).status_code == 202
    assert (await written(service, path))[0]["seq"] == 1
    said = service.house.messages()
    assert "Audit records are written again" in said


def test_limits_are_for_what_anyone_can_cause() -> None:
    limit = limits.EventLimit()
    assert all(limit.take("process.crash", "a", 0.0) for _ in range(1000))
    assert sum(limit.take("auth.failure", "10.0.0.1", 0.0) for _ in range(1000)) == 10
    assert sum(limit.take("auth.failure", "10.0.0.1", 100.0) for _ in range(1000)) == 10
    taken = sum(limit.take("acl.deny", f"10.0.{n // 250}.{n % 250}", 0.0) for n in range(5000))
    assert taken == 60
    assert limit.take_left_out() == {"auth.failure": 1980, "acl.deny": 4940}
    assert limit.take_left_out() == {}
    assert limit.suppressed == 6920


async def test_roles_and_names_of_tokens(serve: Serve, path: Path) -> None:
    tokens = "[{name: ci, role: operator, processes: [other], token: the-token-of-the-ci-job}]"
    service = await audited(serve, path, api_tokens=tokens)
    ci = {"authorization": "Bearer the-token-of-the-ci-job"}
    assert (await service.tcp.post(f"{PROCESSES}/web/stop", headers=ci)).status_code == 403
    found = await written(service, path)
    (failure,) = of(found, "auth.failure")
    (response,) = of(found, "api.response")
    for record in (failure, response):
        assert record["status"] == "denied"
        assert actor(record) == {"type": "token", "id": "ci", "ip": "127.0.0.1", "role": "operator"}
    assert cast("Record", failure["resource"])["name"] == "web"
    assert "the-token-of" not in str(found)


async def test_the_name_of_a_client_certificate(serve: Serve, path: Path, tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path, "localhost")
    mine = tmp_path / "client"
    mine.mkdir()
    client = make_certificate(mine, "deploy")
    tls = section(certificate, client_auth="verify", ca_file=client.cert)
    roles = "[{subject: CN=deploy, role: operator}]"
    service = await audited(serve, path, api_tls=tls, api_certificate_roles=roles)
    await service.house.until(lambda: service.listeners.tcp_open)
    given = ("--cert", client.cert, "--key", client.key, "-X", "POST")
    done = await curl(service, certificate, *given, path=f"{PROCESSES}/web/restart")
    assert "restart initiated" in done.output
    (request,) = of(await written(service, path), "api.request")
    who = actor(request)
    assert (who["type"], who["id"], who["role"]) == ("certificate", "CN=deploy", "operator")
    (success,) = of(await written(service, path), "auth.success")
    assert actor(success) == who
