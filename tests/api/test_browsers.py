"""What a browser is made to send by pages of other sites, and what it may read."""

from __future__ import annotations

from socket import gethostname
from typing import TYPE_CHECKING

import pytest

from cbox_init.api.browsers import host_of

if TYPE_CHECKING:
    import httpx

    from tests.api.service import Serve, Service

PROCESSES = "/api/v1/processes"
STOP = f"{PROCESSES}/web/stop"
ADMIN = "https://admin.example.com"


@pytest.fixture
async def local(serve: Serve) -> Service:
    return await serve(api_host="127.0.0.1", api_cors_origins=f"[{ADMIN}, 'http://localhost:3000']")


def is_forbidden(reply: httpx.Response) -> bool:
    return reply.status_code == 403 and reply.json()["error"] == "forbidden" and bool(reply.json()["details"])


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "LOCALHOST:9180", "localhost.", "app.localhost:80", "127.0.0.1", "127.0.0.1:9180",
        "[::1]:9180", "10.1.2.3", "admin.example.com", "admin.example.com:8080",
    ],
)  # fmt: skip
async def test_hosts_that_no_attacker_can_choose(local: Service, host: str) -> None:
    assert (await local.tcp.get(PROCESSES, headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:9180", "127.0.0.1.evil.example", "localhost.evil.example", "x", "", "[x]"],
)
@pytest.mark.parametrize("path", [PROCESSES, "/api/v1/health", "/nowhere"])
async def test_a_name_that_leads_here_is_refused(local: Service, host: str, path: str) -> None:
    assert is_forbidden(await local.tcp.get(path, headers={"Host": host}))


async def test_a_second_host_is_no_http(local: Service) -> None:
    head = f"GET {PROCESSES} HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    assert b" 400 " in (await local.raw(head.encode())).partition(b"\r\n")[0]


async def test_a_request_without_a_host_is_of_no_browser(local: Service) -> None:
    answer = await local.raw(f"GET {PROCESSES} HTTP/1.0\r\n\r\n".encode())
    assert b" 200 " in answer.partition(b"\r\n")[0]


CROSS_SITE = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://localhost:3001"},
    {"Origin": ""},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"},
]


@pytest.mark.parametrize("headers", CROSS_SITE)
async def test_a_form_of_another_site_is_refused(local: Service, headers: dict[str, str]) -> None:
    await local.house.until(lambda: len(local.house.pids("web")) == 2)
    form = {"Content-Type": "text/plain", **headers}
    assert is_forbidden(await local.tcp.post(STOP, headers=form, content="{}"))
    assert is_forbidden(await local.tcp.delete(f"{PROCESSES}/web", headers=headers))
    assert len(local.house.pids("web")) == 2


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "cross-site", "Origin": ADMIN},
        {"Origin": "http://localhost:3000"},
    ],
)
async def test_others_are_not(local: Service, headers: dict[str, str]) -> None:
    assert (await local.tcp.post(STOP, headers=headers)).status_code == 202


async def test_a_page_of_the_port_itself_is_not(local: Service) -> None:
    headers = {"Origin": local.url, "Sec-Fetch-Site": "same-origin"}
    assert (await local.tcp.post(STOP, headers=headers)).status_code == 202


async def test_where_others_reach_the_port_any_name_is_right_but_forms_are_refused(serve: Serve) -> None:
    service = await serve()
    assert (await service.tcp.get(PROCESSES, headers={"Host": "app.internal"})).status_code == 200
    assert is_forbidden(await service.tcp.post(STOP, headers={"Origin": "https://evil.example"}))


@pytest.mark.parametrize("origin", ["http://evil.example:9180", None])
async def test_a_page_under_a_name_that_leads_here_changes_nothing(serve: Serve, origin: str | None) -> None:
    service = await serve()
    await service.house.until(lambda: len(service.house.pids("web")) == 2)
    headers = {"Host": "evil.example:9180", "Sec-Fetch-Site": "same-origin"}
    if origin:
        headers["Origin"] = origin
    reply = await service.tcp.post(STOP, headers=headers)
    assert is_forbidden(reply)
    assert "set api_auth" in reply.json()["details"][0]
    assert len(service.house.pids("web")) == 2


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("app.internal", None),
        ("10.1.2.3:9180", "http://10.1.2.3:9180"),
        ("[::1]:9180", "http://[::1]:9180"),
        ("localhost:9180", "http://localhost:9180"),
        (gethostname(), f"http://{gethostname()}"),
        ("admin.example.com", ADMIN),
    ],
)
async def test_programs_and_pages_under_names_of_ours_act(
    serve: Serve, host: str, origin: str | None
) -> None:
    service = await serve(api_cors_origins=f"[{ADMIN}]")
    headers = {"Host": host, **({"Origin": origin} if origin else {})}
    assert (await service.tcp.post(STOP, headers=headers)).status_code == 202


async def test_the_token_is_enough(serve: Serve) -> None:
    service = await serve(api_host="127.0.0.1", api_auth="open sesame")
    headers = {"Authorization": "Bearer open sesame", "Host": "app.internal", "Origin": ADMIN}
    assert (await service.tcp.post(STOP, headers=headers)).status_code == 202


async def test_the_unix_socket_is_open_to_no_browser(local: Service) -> None:
    headers = {"Host": "unix", "Origin": "https://evil.example"}
    assert (await local.unix.post(STOP, headers=headers)).status_code == 202


async def test_without_origins_no_page_may_read(serve: Serve) -> None:
    service = await serve()
    service.tcp.event_hooks = {}
    headers = {"Origin": ADMIN, "Access-Control-Request-Method": "POST"}
    for reply in (
        await service.tcp.get(PROCESSES, headers=headers),
        await service.tcp.options(PROCESSES, headers=headers),
    ):
        assert not [name for name in reply.headers if name.startswith("access-control-")]


async def test_pages_of_the_origins_may_read(local: Service) -> None:
    reply = await local.tcp.get(PROCESSES, headers={"Origin": ADMIN})
    assert reply.headers["access-control-allow-origin"] == ADMIN
    assert reply.headers["vary"] == "Origin"
    reply = await local.tcp.get(PROCESSES, headers={"Origin": "https://evil.example"})
    assert reply.status_code == 200
    assert "access-control-allow-origin" not in reply.headers
    assert reply.headers["vary"] == "Origin"


async def test_a_browser_that_asks_first_needs_no_token(serve: Serve) -> None:
    service = await serve(api_auth="open sesame", api_cors_origins=f"[{ADMIN}]")
    service.tcp.event_hooks = {}  # the document has no OPTIONS
    headers = {"Origin": ADMIN, "Access-Control-Request-Method": "POST"}
    reply = await service.tcp.options(STOP, headers=headers)
    assert (reply.status_code, reply.content) == (204, b"")
    assert reply.headers["access-control-allow-origin"] == ADMIN
    assert "authorization" in reply.headers["access-control-allow-headers"]
    assert "POST" in reply.headers["access-control-allow-methods"]
    other = {**headers, "Origin": "https://evil.example"}
    assert (await service.tcp.options(STOP, headers=other)).status_code == 401
    reply = await service.tcp.post(STOP, headers={"Origin": ADMIN})
    assert (reply.status_code, reply.headers["access-control-allow-origin"]) == (401, ADMIN)


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        ("A.b:80", "a.b"),
        ("[::1]:80", "::1"),
        ("[::1", "::1"),
        ("[::1]b.c", ""),
        ("a.", "a"),
        (":80", ""),
        ("", ""),
    ],
)
def test_the_host_of_an_authority(authority: str, host: str) -> None:
    assert host_of(authority) == host
