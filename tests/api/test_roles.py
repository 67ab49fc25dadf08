"""Who may do what: every route of the OpenAPI document, tried with every role."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import pytest

from tests.docs.markdown import ROOT, code, sections

if TYPE_CHECKING:
    from pathlib import Path

    from tests.api.service import Serve, Service

ROLES = ("viewer", "operator", "admin")
PROCESSES = "/api/v1/processes"
TWO = """
  web:
    command: [sh, -c, "echo from web; exec sleep 1000"]
  worker-1:
    command: [sh, -c, "echo from worker; exec sleep 1000"]
  nightly:
    command: [sleep, "1"]
    schedule: "0 3 * * *"
  migrate:
    type: oneshot
    command: [sh, -c, "echo migrated"]
"""
TOKENS = """[
    {name: reader, role: viewer, token: the-token-of-the-viewer},
    {name: web-reader, role: viewer, processes: [web], token: the-token-of-web-reader},
    {name: worker, role: operator, processes: ["worker-*"], token: the-token-of-worker},
    {name: webmaster, role: operator, processes: [web], token: the-token-of-webmaster},
    {name: everything, role: operator, token: the-token-of-operator},
    {name: root, role: admin, token: the-token-of-the-admin}]"""


class Who(NamedTuple):
    """A caller of the test: its token, its role, and whether its patterns match ``web``."""

    token: str | None
    role: str | None
    matches: bool = True


CALLERS = {
    "nobody": Who(None, None),
    "wrong": Who("no-such-token-at-all", None),
    "viewer": Who("the-token-of-the-viewer", "viewer"),
    "viewer of web": Who("the-token-of-web-reader", "viewer"),
    "operator of others": Who("the-token-of-worker", "operator", matches=False),
    "operator of web": Who("the-token-of-webmaster", "operator"),
    "operator": Who("the-token-of-operator", "operator"),
    "admin": Who("the-token-of-the-admin", "admin"),
}


def headers_of(token: str | None) -> dict[str, str]:
    return {} if token is None else {"Authorization": f"Bearer {token}"}


async def answer(client: httpx.AsyncClient, method: str, path: str, token: str | None) -> tuple[int, bytes]:
    """Status and body; of a stream the status alone."""
    body = b'{"scale": 1}' if path.endswith("/scale") else b"{}" if method in ("POST", "PUT") else None
    async with client.stream(method, path, headers=headers_of(token), content=body) as reply:
        stream = reply.headers["content-type"].startswith("text/event-stream")
        return reply.status_code, b"" if stream else await reply.aread()


def operations(service: Service) -> list[tuple[str, str, dict[str, Any]]]:
    found = [
        (method.upper(), path, operation)
        for path, item in service.contract.document["paths"].items()
        for method, operation in item.items()
    ]
    # What removes the process comes last.
    return sorted(found, key=lambda one: one[0] == "DELETE")


def expected(operation: dict[str, Any], who: Who) -> int:
    """401, 403, or 200 for whatever else."""
    needed = operation.get("x-required-role")
    if needed is None:
        return 200
    if who.role is None:
        return 401
    by_path = any((one["in"], one["name"]) == ("path", "name") for one in operation.get("parameters", ()))
    if by_path:
        assert operation["x-limited-to-processes"]
    if ROLES.index(who.role) < ROLES.index(needed) or (by_path and not who.matches):
        return 403
    return 200


@pytest.mark.parametrize("name", CALLERS)
async def test_every_route_with_every_role(serve: Serve, name: str) -> None:
    service = await serve(TWO, api_tokens=TOKENS)
    who = CALLERS[name]
    tried = 0
    for method, path, operation in operations(service):
        status, body = await answer(service.tcp, method, path.replace("{name}", "web"), who.token)
        tried += 1
        wanted = expected(operation, who)
        if wanted == 200:
            assert status not in (401, 403), (method, path, body)
            continue
        assert status == wanted, (method, path, body)
        if wanted == 401:
            assert body == b'{"error":"unauthorized"}'
        else:
            assert body.startswith(b'{"error":"forbidden","details":["'), (method, path, body)
    assert tried >= 24


async def test_the_document_names_a_role_for_every_route_but_health_and_logins(service: Service) -> None:
    for method, path, operation in operations(service):
        if path in ("/api/v1/health", "/api/v1/sessions"):
            assert operation["security"] == []
            continue
        needed = operation["x-required-role"]
        assert needed in ROLES
        assert operation["security"] == [{"token": [needed]}, {"certificate": [needed]}, {}]
        assert {"401", "403"} <= set(operation["responses"]), (method, path)


async def test_the_table_of_the_documentation(service: Service) -> None:
    (table,) = (
        table
        for section in sections(ROOT / "docs/authentication.md")
        for table in section.tables
        if table[0][:2] == ["route", "nobody"]
    )
    page = {code(row[0])[0]: row[1:6] for row in table[1:]}
    api = {}
    for method, path, operation in operations(service):
        needed = operation.get("x-required-role")
        least = -1 if needed is None else ROLES.index(needed)
        cells = ["yes" if rank >= least else "\N{EN DASH}" for rank in (-1, 0, 1, 2)]
        limited = operation.get("x-limited-to-processes", False) and needed != "admin"
        by_path = "{name}" in path
        shown = "\N{EN DASH}" if not limited else "yes" if by_path else "shows those that match"
        api[f"{method} {path}"] = [*cells, shown]
    assert page == api


# -- what is missing ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "method", "path", "details"),
    [
        (
            "the-token-of-the-viewer",
            "POST",
            f"{PROCESSES}/web/restart",
            "this needs the role operator: the token reader has the role viewer",
        ),
        (
            "the-token-of-worker",
            "POST",
            f"{PROCESSES}/web/stop",
            "the token worker is limited to the processes worker-*: not web",
        ),
        (
            "the-token-of-worker",
            "POST",
            f"{PROCESSES}/no-such-process/stop",
            "the token worker is limited to the processes worker-*: not no-such-process",
        ),
        (
            "the-token-of-operator",
            "GET",
            f"{PROCESSES}/web",
            "this needs the role admin: the token everything has the role operator",
        ),
        (
            "the-token-of-web-reader",
            "GET",
            "/api/v1/logs?process=worker-1",
            "the token web-reader is limited to the processes web: not worker-1",
        ),
        (
            "the-token-of-web-reader",
            "GET",
            "/api/v1/logs/stream?process=web&process=worker-1",
            "the token web-reader is limited to the processes web: not worker-1",
        ),
        (
            "the-token-of-web-reader",
            "GET",
            "/api/v1/oneshot/history?process=migrate",
            "the token web-reader is limited to the processes web: not migrate",
        ),
        (
            "the-token-of-web-reader",
            "GET",
            "/api/v1/metrics/history?process=migrate&instance=migrate-0",
            "the token web-reader is limited to the processes web: not migrate",
        ),
    ],
)
async def test_details_say_what_is_missing(
    serve: Serve, token: str, method: str, path: str, details: str
) -> None:
    service = await serve(TWO, api_tokens=TOKENS)
    reply = await service.tcp.request(method, path, headers=headers_of(token))
    assert (reply.status_code, reply.json()) == (403, {"error": "forbidden", "details": [details]})


async def test_a_refused_action_changes_nothing(serve: Serve) -> None:
    service = await serve(TWO, api_tokens=TOKENS)
    await service.house.until(lambda: len(service.house.pids("web")) == 1)
    before = service.house.pids("web")
    for token in ("the-token-of-the-viewer", "the-token-of-worker"):
        for verb in ("stop", "restart"):
            reply = await service.tcp.post(f"{PROCESSES}/web/{verb}", headers=headers_of(token))
            assert reply.status_code == 403
    reply = await service.tcp.get(PROCESSES, headers=headers_of("the-token-of-the-admin"))
    assert reply.json()["processes"][0]["desired_scale"] == 1
    assert service.house.pids("web") == before


async def test_an_unknown_path_and_a_wrong_method(serve: Serve) -> None:
    service = await serve(TWO, api_tokens=TOKENS)
    viewer = headers_of("the-token-of-the-viewer")
    assert (await service.tcp.get("/api/v1/nowhere", headers=viewer)).status_code == 404
    assert (await service.tcp.delete(PROCESSES, headers=viewer)).status_code == 405


# -- limited to some processes ------------------------------------------------------------------------------


async def test_lists_show_the_processes_that_match(serve: Serve) -> None:
    service = await serve(TWO, api_tokens=TOKENS)
    service.house.supervisor.start("migrate")
    await service.house.until(lambda: bool(service.house.supervisor.executions(10)))

    async def shown(token: str) -> tuple[list[str], set[str]]:
        headers = headers_of(token)
        listed = (await service.tcp.get(PROCESSES, headers=headers)).json()["processes"]
        history = (await service.tcp.get("/api/v1/oneshot/history", headers=headers)).json()["executions"]
        return [one["name"] for one in listed], {one["process_name"] for one in history}

    everything = ["web", "worker-1", "nightly", "migrate"]
    assert await shown("the-token-of-the-viewer") == (everything, {"migrate"})
    assert await shown("the-token-of-web-reader") == (["web"], set())
    assert await shown("the-token-of-worker") == (["worker-1"], set())


async def test_lines_of_the_processes_that_match(serve: Serve) -> None:
    service = await serve(TWO, api_tokens=TOKENS)

    async def messages(token: str) -> set[str]:
        reply = await service.tcp.get("/api/v1/logs", headers=headers_of(token))
        return {one["message"] for one in reply.json()["logs"] if one["process"] != "cbox-init"}

    async with asyncio.timeout(20):
        while True:
            if {"from web", "from worker"} <= await messages("the-token-of-the-viewer"):
                break
            await asyncio.sleep(0.02)
    assert await messages("the-token-of-web-reader") == {"from web"}
    assert await messages("the-token-of-worker") == {"from worker"}


async def test_a_stream_has_the_processes_that_match_also_new_ones(serve: Serve) -> None:
    service = await serve(TWO, api_tokens=TOKENS)
    seen: list[str] = []
    async with (
        asyncio.timeout(20),
        service.tcp.stream(
            "GET", "/api/v1/logs/stream?tail=100", headers=headers_of("the-token-of-worker")
        ) as reply,
    ):
        for name in ("other", "worker-2"):
            process = {"command": ["sh", "-c", f"echo from {name}; exec sleep 1000"]}
            added = await service.tcp.post(
                PROCESSES,
                json={"name": name, "process": process},
                headers=headers_of("the-token-of-the-admin"),
            )
            assert added.status_code == 201
        async for line in reply.aiter_lines():
            if line.startswith("data:"):
                seen.append(line)
            if "from worker-2" in line:
                break
    assert any("from worker" in line for line in seen)
    assert not any("from web" in line or "from other" in line for line in seen)
    assert all('"process":"worker-' in line for line in seen)


async def test_log_outputs_of_the_processes_that_match(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "secret.log").mkdir()  # the template fails there
    service = await serve(
        f"""
  web:
    command: [sleep, "1000"]
    logging:
      rate_limit: {{lines: 10}}
      outputs: {{own: {{path: {tmp_path}/web.log}}, each: {{path: "{tmp_path}/${{CBOX_PROCESS}}.log"}}}}
  secret:
    command: [sh, -c, "echo one; exec sleep 1000"]
    logging:
      rate_limit: {{lines: 10}}
      outputs: {{own: {{path: {tmp_path}/hidden.log}}, each: {{path: "{tmp_path}/${{CBOX_PROCESS}}.log"}}}}
""",
        api_tokens=TOKENS,
    )
    await service.house.until(lambda: any(one.error for one in service.house.logs.outputs()))

    async def shown(token: str) -> dict[str, Any]:
        reply = await service.tcp.get("/api/v1/logs/outputs", headers=headers_of(token))
        found: dict[str, Any] = reply.json()
        return found

    everything = await shown("the-token-of-the-viewer")
    assert list(everything["rate_limited"]) == ["web", "secret"]
    assert len(everything["outputs"]) == 4
    web = await shown("the-token-of-web-reader")
    assert list(web["rate_limited"]) == ["web"]
    template = f"{tmp_path}/${{CBOX_PROCESS}}.log"
    assert [one["target"] for one in web["outputs"]] == ["stdout", f"{tmp_path}/web.log", template]
    assert web["outputs"][2]["error"] == "a file cannot be written"
    none = await shown("the-token-of-worker")
    assert ([one["target"] for one in none["outputs"]], none["rate_limited"]) == (["stdout"], {})


async def test_an_escaped_slash_is_part_of_a_name(serve: Serve) -> None:
    service = await serve(TWO, api_tokens=TOKENS)
    admin = headers_of("the-token-of-the-admin")
    for slash in ("%2F", "%2f"):
        reply = await service.tcp.post(f"{PROCESSES}/web{slash}restart", headers=admin)
        assert reply.status_code in (404, 405), slash
        assert (await service.tcp.get(f"/api/v1{slash}processes", headers=admin)).status_code == 404
    reply = await service.tcp.post(f"{PROCESSES}/we%62%2Fx/restart", headers=admin)
    assert (reply.status_code, reply.json()) == (404, {"error": "process not found: web%2Fx"})


# -- the Unix socket ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("roles", "allowed"),
    [
        ("[]", ("GET", "POST", "PUT")),
        ("[{user: %(uid)s, role: viewer}]", ("GET",)),
        ("[{group: %(gid)s, role: operator}]", ("GET", "POST")),
        ("[{user: %(uid)s, group: %(gid)s, role: operator, processes: [worker-*]}]", ("GET",)),
        ("[{user: 54321, role: viewer}]", ("GET", "POST", "PUT")),  # our own user may do everything
        ("[{user: %(uid)s, group: 54321, role: viewer}]", ("GET", "POST", "PUT")),
        ("[{user: no-such-user, role: viewer}]", ("GET", "POST", "PUT")),
        ("[{user: %(uid)s, role: viewer}, {user: %(uid)s, role: admin}]", ("GET",)),
    ],
)
async def test_roles_of_users_of_the_socket(serve: Serve, roles: str, allowed: tuple[str, ...]) -> None:
    given = roles % {"uid": os.getuid(), "gid": os.getgid()}
    service = await serve(TWO, api_socket_roles=given)
    replies = {
        "GET": await service.unix.get(PROCESSES),
        "POST": await service.unix.post(f"{PROCESSES}/web/restart"),
        "PUT": await service.unix.put(f"{PROCESSES}/web", content=b"{"),
    }
    assert tuple(verb for verb, reply in replies.items() if reply.status_code != 403) == allowed


async def test_another_user_has_no_role(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    service = await serve(TWO, api_socket_roles="[{user: 54321, role: viewer}]")
    monkeypatch.setattr("cbox_init.api.authentication.os.geteuid", lambda: 12345)
    monkeypatch.setattr("cbox_init.api.authentication.TRUSTED_UID", 12345)
    # Another connection: whose the first one is was found out already.
    transport = httpx.AsyncHTTPTransport(uds=service.path, verify=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://unix", timeout=20) as client:
        reply = await client.get(PROCESSES)
    assert reply.status_code == 403
    uid = os.getuid()
    details = [f"user {uid} on the Unix socket has no role: see api_socket_roles"]
    assert reply.json() == {"error": "forbidden", "details": details}
    assert (await service.unix.get("/api/v1/health")).status_code == 200


# -- without a token ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "insecure", "changes"),
    [("all", "false", False), ("all", "true", True), ("127.0.0.1", "false", True)],
)
async def test_what_is_open_without_a_token(serve: Serve, host: str, insecure: str, changes: bool) -> None:
    service = await serve(TWO, api_host=host, api_insecure=insecure)
    for method, path, operation in operations(service):
        # A client of an existing file may send a token that this daemon does not need.
        status, body = await answer(service.tcp, method, path.replace("{name}", "web"), "whatever")
        refused = operation.get("x-required-role") == "admin" and method != "GET" and not changes
        assert (status == 403) is refused, (method, path, body)
        assert status != 401
        if refused:
            assert b"this needs the role admin: set api_auth or api_tokens" in body


async def test_changes_are_shown_to_whom_their_processes_are(serve: Serve) -> None:
    service = await serve(TWO, api_tokens=TOKENS)
    supervisor = service.house.supervisor
    ids = {name: supervisor.stop(name).id for name in ("web", "worker-1")}
    both = supervisor.changes.open("restart", ("web", "worker-1"))
    supervisor.changes.done(both)
    supervisor.changes.done(supervisor.changes.open("reload", ("*",)))
    path = "/api/v1/changes"

    async def shown(token: str) -> list[str]:
        reply = await service.tcp.get(path, headers=headers_of(token))
        return [one["kind"] + " " + one["process"] for one in reply.json()["changes"]]

    assert await shown("the-token-of-web-reader") == ["stop web"]
    assert await shown("the-token-of-the-viewer") == ["reload *", "restart *", "stop worker-1", "stop web"]
    for identity in (ids["worker-1"], both.id):
        reply = await service.tcp.get(
            f"{path}/{identity}?wait=5s", headers=headers_of("the-token-of-web-reader")
        )
        assert (reply.status_code, reply.json()) == (404, {"error": f"there is no change {identity!r}"})
    reply = await service.tcp.get(f"{path}?process=worker-1", headers=headers_of("the-token-of-web-reader"))
    assert reply.status_code == 403
    reply = await service.tcp.delete(f"{path}/{ids['web']}", headers=headers_of("the-token-of-worker"))
    assert reply.status_code == 404
