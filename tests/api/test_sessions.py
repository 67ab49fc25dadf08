"""One-time login codes, and the sessions that are begun with them."""

from __future__ import annotations

import asyncio
import json
import os
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from msgspec.structs import replace

from cbox_init.api import sessions as module
from cbox_init.api.authentication import Credentials
from cbox_init.api.caller import Caller, ProcessPatterns
from cbox_init.api.guards import NotVerifiedError
from cbox_init.api.http.asgi import EXCHANGE
from cbox_init.api.http.peer import Peer
from cbox_init.api.routes.sessions import page_of
from cbox_init.api.sessions import MOST_CODES, MOST_SESSIONS, Sessions
from cbox_init.config.model import ApiCertificateRole, GlobalConfig, Role, TlsConfig
from tests.api.test_tokens import quick_hash, until
from tests.audit.trails import records

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

    from cbox_init.logs.daemon import DaemonLog
    from tests.api.service import Serve, Service

BASE = "/api/v1"
SESSIONS = f"{BASE}/sessions"
CODES = f"{BASE}/sessions/codes"
CURRENT = f"{BASE}/sessions/current"
PROCESSES = f"{BASE}/processes"
TOKEN = "the-token-of-the-daemon"
TOKENS = """[
    {name: reader, role: viewer, token: the-token-of-the-viewer, processes: ["w*"]},
    {name: boss, role: admin, token: the-token-of-the-admin}]"""


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def code_of(client: httpx.AsyncClient, token: str | None = None, **query: str) -> dict[str, Any]:
    reply = await client.post(CODES, params=query, headers=bearer(token) if token else {})
    assert reply.status_code == 201, reply.text
    assert reply.headers["cache-control"] == "no-store"
    found: dict[str, Any] = reply.json()
    return found


async def begun(service: Service, token: str | None = None, **query: str) -> dict[str, Any]:
    """A session that was begun by the Unix socket, or with a token by TCP."""
    code = await code_of(service.unix if token is None else service.tcp, token, **query)
    reply = await service.tcp.post(SESSIONS, json={"code": code["code"]})
    assert reply.status_code == 201, reply.text
    assert reply.headers["cache-control"] == "no-store"
    found: dict[str, Any] = reply.json()
    return found


async def status(service: Service, token: str, method: str = "GET", path: str = PROCESSES) -> int:
    return (await service.tcp.request(method, path, headers=bearer(token))).status_code


async def test_from_the_unix_socket_to_a_session_and_its_end(serve: Serve) -> None:
    service = await serve(api_auth=TOKEN)
    code = await code_of(service.unix)
    assert (code["expires_in"], code["role"], code["login"]) == (60, "admin", True)
    assert code["page"] == f"http://localhost:{service.port}/"
    reply = await service.tcp.post(SESSIONS, json={"code": code["code"]})
    assert (reply.status_code, reply.json()["role"]) == (201, "admin")
    session = reply.json()
    assert 0 < session["expires_at"] - time.time() <= 12 * 3600
    who = (await service.tcp.get(f"{BASE}/whoami", headers=bearer(session["token"]))).json()
    assert (who["name"], who["kind"], who["role"]) == (f"uid:{os.geteuid()}", "session", "admin")
    assert who["expires_at"] == session["expires_at"]
    again = await service.tcp.post(SESSIONS, json={"code": code["code"]})
    assert (again.status_code, again.json()["error"]) == (401, "unauthorized")
    assert "cbox-init open" in again.json()["details"][0]
    assert await status(service, session["token"], "DELETE", CURRENT) == 200
    assert await status(service, session["token"]) == 401
    assert await status(service, session["token"], "DELETE", CURRENT) == 401


async def test_a_change_names_the_session_that_asked_for_it(serve: Serve) -> None:
    service = await serve(api_tokens=TOKENS)
    session = await begun(service, "the-token-of-the-admin")
    reply = await service.tcp.post(f"{PROCESSES}/web/restart", headers=bearer(session["token"]))
    assert reply.status_code == 202
    change = (await service.unix.get(f"{BASE}/changes/{reply.json()['change']}")).json()
    assert (change["actor"]["type"], change["actor"]["id"]) == ("session", "boss")


async def test_a_session_may_do_no_more_than_its_issuer(serve: Serve) -> None:
    service = await serve(api_tokens=TOKENS)
    session = await begun(service, "the-token-of-the-viewer", role="admin")
    assert session["role"] == "viewer"
    token = session["token"]
    assert await status(service, token, "POST", f"{PROCESSES}/web/restart") == 403
    who = (await service.tcp.get(f"{BASE}/whoami", headers=bearer(token))).json()
    assert (who["role"], who["processes"]) == ("viewer", ["w*"])
    lower = await begun(service, "the-token-of-the-admin", role="operator")
    assert lower["role"] == "operator"
    assert await status(service, lower["token"], "POST", f"{PROCESSES}/web/restart") == 202
    assert await status(service, lower["token"], "GET", f"{BASE}/config") == 403
    assert (await service.unix.post(CODES, params={"role": "root"})).status_code == 400


async def test_who_can_get_no_code(serve: Serve) -> None:
    service = await serve(api_tokens=TOKENS)
    for headers in ({}, bearer("no-such-token-at-all")):
        assert (await service.tcp.post(CODES, headers=headers)).status_code == 401
    session = await begun(service, "the-token-of-the-admin")
    refused = await service.tcp.post(CODES, headers=bearer(session["token"]))
    assert (refused.status_code, refused.json()["error"][:28]) == (409, "a session begins no other: u")
    other = await service.tcp.delete(CURRENT, headers=bearer("the-token-of-the-admin"))
    assert other.status_code == 409
    assert (await service.unix.delete(CURRENT)).status_code == 409


async def test_where_no_token_is_needed(serve: Serve) -> None:
    service = await serve(api_host="127.0.0.1")
    assert (await code_of(service.unix))["login"] is False
    refused = await service.tcp.post(CODES)
    assert (refused.status_code, refused.json()["error"]) == (
        409,
        "no token is needed here: open the page without a login code",
    )


@pytest.mark.parametrize("change", ["removed", "another", "role", "none"])
async def test_it_ends_when_its_issuer_may_not_do_the_same_any_more(serve: Serve, change: str) -> None:
    service = await serve(api_tokens=TOKENS)
    reader = await begun(service, "the-token-of-the-viewer")
    boss = await begun(service, "the-token-of-the-admin")
    local = await begun(service)
    tokens = [one["token"] for one in (reader, boss, local)]
    assert [await status(service, token) for token in tokens] == [200, 200, 200]
    text = service.house.file.read_text()
    now = {
        "removed": text.replace("{name: reader", "#{name: reader"),
        "another": text.replace("the-token-of-the-viewer", "another-token-of-the-viewer"),
        "role": text.replace("role: viewer", "role: operator"),
        "none": text,
    }[change]
    service.house.file.write_text(now)
    assert (await service.unix.post(f"{BASE}/config/reload")).status_code == 200
    expected = 200 if change == "none" else 401
    assert [await status(service, token) for token in tokens] == [expected, 200, 200]
    service.house.file.write_text(now.replace("the-token-of-the-admin", "another-token-of-the-admin"))
    await service.unix.post(f"{BASE}/config/reload")
    assert [await status(service, token) for token in tokens] == [expected, 401, 200]


async def test_of_api_auth_and_of_a_user_without_a_role(serve: Serve) -> None:
    service = await serve(api_auth=TOKEN)
    one, local = await begun(service, TOKEN), await begun(service)
    text = service.house.file.read_text()
    service.house.file.write_text(text.replace(TOKEN, TOKEN + "-2"))
    await service.unix.post(f"{BASE}/config/reload")
    assert [await status(service, session["token"]) for session in (one, local)] == [401, 200]


async def test_it_ends_with_the_token_in_a_file_and_stays_with_a_hash_after_a_reload(
    serve: Serve, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("the-old-token\n")
    hashed = repr(quick_hash("the-token-of-a-hash"))
    tokens = f"[{{name: a, role: viewer, token_file: {file}}}, {{name: b, role: viewer, hash: {hashed}}}]"
    service = await serve(api_tokens=tokens)
    one, other = await begun(service, "the-old-token"), await begun(service, "the-token-of-a-hash")
    text = service.house.file.read_text()
    service.house.file.write_text(text.replace("name: b, role", "name: c, role"))
    await service.unix.post(f"{BASE}/config/reload")
    assert [await status(service, session["token"]) for session in (one, other)] == [200, 200]
    file.write_text("the-new-token\n")

    async def ended() -> bool:
        return await status(service, one["token"]) == 401

    await until(ended)
    assert await status(service, other["token"]) == 200


@pytest.mark.parametrize("path", ["logs/stream", "events", "live"])
async def test_a_stream_ends_with_its_session(serve: Serve, path: str) -> None:
    service = await serve(api_tokens=TOKENS)
    session = await begun(service, "the-token-of-the-admin")
    async with service.tcp.stream(
        "GET",
        f"{BASE}/{path}",
        headers={**bearer(session["token"]), "accept": "text/event-stream"},
    ) as reply:
        assert reply.status_code == 200
        assert await status(service, session["token"], "DELETE", CURRENT) == 200

        async def to_its_end() -> None:
            async for _ in reply.aiter_bytes():
                pass

        await asyncio.wait_for(to_its_end(), 10)  # sooner than the next comment, after 15 s


async def test_failed_exchanges_are_limited_and_recorded(serve: Serve, tmp_path: Path) -> None:
    audit = tmp_path / "audit"
    service = await serve(api_tokens=TOKENS, audit_enabled="true", audit_output=audit)
    session = await begun(service, "the-token-of-the-admin")
    assert await status(service, session["token"]) == 200
    replies = [await service.tcp.post(SESSIONS, json={"code": f"guess-{n}"}) for n in range(14)]
    assert [one.status_code for one in replies[:5]] == [401] * 5
    assert replies[-1].status_code == 429
    assert int(replies[-1].headers["retry-after"]) >= 1
    trail = service.house.parts.runtime.audit
    assert trail is not None
    await service.house.until(lambda: trail.queued == 0)
    found = records(audit)
    kinds = [one["event_type"] for one in found if one["status"] == "denied"]
    assert {"auth.failure", "rate_limit.exceed"} <= set(kinds)
    accepted = [one["actor"] for one in found if one["event_type"] == "auth.success"]
    assert ("session", "boss") in [(one["type"], one["id"]) for one in accepted]  # type: ignore[index]
    text = audit.read_text()
    assert session["token"] not in text
    assert "guess-" not in text
    assert session["token"] not in json.dumps(service.house.messages())


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"code": 1}', b'{"code": ""}', b'{"code": "' + b"a" * 201 + b'"}']
)
async def test_a_body_without_a_code_is_400(serve: Serve, body: bytes) -> None:
    service = await serve(api_tokens=TOKENS)
    assert (await service.tcp.post(SESSIONS, content=body)).status_code == 400


# -- the store -----------------------------------------------------------------------------------------------


def caller(name: str = "one", role: Role = Role.ADMIN, expires: float = float("inf")) -> Caller:
    return Caller(name, "token", role, ProcessPatterns(), "", expires=expires)


def code_for(store: Sessions, who: Caller) -> str:
    return store.new_code(who, lambda: who)[0]


def test_a_code_and_a_session_end_with_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    store, clock = Sessions(), [1000.0]
    monkeypatch.setattr(module, "monotonic", lambda: clock[0])
    late, code = code_for(store, caller()), code_for(store, caller())
    clock[0] += 59.0
    session = store.exchange(code, "a")
    assert session is not None
    clock[0] += 1.0
    assert store.exchange(late, "a") is None
    clock[0] += 12 * 3600 - 2.0
    assert store.find(session.token.encode(), "a") is not None
    clock[0] += 1.0
    assert store.find(session.token.encode(), "a") is None


def test_it_ends_no_later_than_the_token_of_its_issuer() -> None:
    store, end = Sessions(), time.time() + 100
    session = store.exchange(code_for(store, caller(expires=end)), "a")
    assert session is not None
    assert session.expires_unix == end
    found = store.find(session.token.encode(), "b")
    assert found is not None
    assert (found.kind, found.name, found.address, found.expires) == ("session", "one", "b", end)


def test_it_ends_with_the_certificate_of_its_issuer() -> None:
    peer = Peer(subject=("CN=deploy",), expires=time.time() + 100)
    rule = ApiCertificateRole(subject="CN=deploy", role=Role.OPERATOR)
    settings = [GlobalConfig(api_enabled=True, api_certificate_roles=(rule,))]
    known = Credentials(lambda: settings[0], cast("DaemonLog", None))
    scope = {EXCHANGE: SimpleNamespace(peer=peer), "headers": ()}
    who = known.caller_of_certificate(peer, "a")
    assert who is not None
    issuer = known.issuer_of(scope, who)
    assert issuer is not None
    store = known.open_sessions()
    sessions = [store.exchange(store.new_code(who, issuer)[0], "a") for _ in range(2)]
    tokens = [one.token.encode() for one in sessions if one is not None]
    found = known.caller_of_session(tokens[0], "b")
    assert found is not None
    assert (found.name, found.role, found.expires) == ("CN=deploy", Role.OPERATOR, peer.expires)
    settings[0] = replace(settings[0], api_certificate_roles=())
    assert [known.caller_of_session(token, "b") for token in tokens] == [None, None]


def test_one_caller_has_a_quarter_and_all_of_them_no_more_than_the_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store, clock = Sessions(), [1000.0]
    monkeypatch.setattr(module, "monotonic", lambda: clock[0])
    first = code_for(store, caller())
    for _ in range(MOST_CODES // 4):
        code_for(store, caller())
    assert store.exchange(first, "a") is None  # its own oldest one
    for name in ("two", "three", "four"):
        for _ in range(MOST_CODES // 4):
            code_for(store, caller(name))
    with pytest.raises(NotVerifiedError) as raised:
        code_for(store, caller("five"))
    assert (raised.value.status, raised.value.wait_s) == (429, 60.0)
    clock[0] += 60.0
    code_for(store, caller("five"))


def test_the_oldest_session_of_a_caller_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    store, clock = Sessions(), [1000.0]
    monkeypatch.setattr(module, "monotonic", lambda: clock[0])
    begun_ = []
    for _ in range(MOST_SESSIONS // 4 + 1):
        clock[0] += 1.0
        session = store.exchange(code_for(store, caller()), "a")
        assert session is not None
        begun_.append(session.token.encode())
    assert store.find(begun_[0], "a") is None
    assert all(store.find(token, "a") for token in begun_[1:])


def test_neither_a_code_nor_a_token_is_kept() -> None:
    store = Sessions()
    code = code_for(store, caller())
    session = store.exchange(code, "a")
    assert session is not None
    kept = repr((store._codes, store._sessions, vars(store)))
    assert code not in kept
    assert session.token not in kept
    assert store.find(session.token.encode() + b"x", "a") is None


@pytest.mark.parametrize(
    ("keys", "page"),
    [
        ({}, "http://127.0.0.1:9180/"),
        ({"api_host": ""}, "http://localhost:9180/"),
        ({"api_host": "0.0.0.0"}, "http://localhost:9180/"),
        ({"api_host": "::"}, "http://localhost:9180/"),
        ({"api_host": "::1", "api_port": 99}, "http://[::1]:99/"),
        ({"api_host": "box.example", "api_tls": TlsConfig(enabled=True)}, "https://box.example:9180/"),
    ],
)
def test_the_address_of_the_page(keys: dict[str, Any], page: str) -> None:
    settings = GlobalConfig(**{"api_enabled": True, "api_host": "127.0.0.1", **keys})
    assert page_of(settings) == (page, None)


def test_without_a_page_it_says_what_to_do() -> None:
    assert "api_enabled: true" in str(page_of(GlobalConfig(api_enabled=False))[1])
    assert "api_ui: false" in str(page_of(GlobalConfig(api_enabled=True, api_ui=False))[1])
