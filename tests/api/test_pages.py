"""The web pages on the listeners of the API: what is served, with which headers, and to whom."""

from __future__ import annotations

import gzip
import re
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from cbox_init.api import pages as api_pages
from cbox_init.threads import NoThreadError
from tests.api.service import read_answer
from tests.api.test_access import FORBIDDEN, ask

if TYPE_CHECKING:
    import httpx

    from tests.api.service import Serve, Service

MAIN = "/assets/app/main.js"
PAGES = ["/", "/docs"]


async def plain(client: httpx.AsyncClient, path: str, **headers: str) -> httpx.Response:
    """A reply as it is sent."""
    reply = await client.get(path, headers={"accept-encoding": "identity", **headers})
    assert "content-encoding" not in reply.headers
    return reply


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_needs_no_token(serve: Serve, path: str) -> None:
    service = await serve(api_auth="open sesame")
    for client in (service.tcp, service.unix):
        reply = await client.get(path)
        assert reply.status_code == 200
        assert reply.headers["content-type"] == "text/html; charset=utf-8"
        assert reply.headers["cache-control"] == "no-cache"
        assert '<html lang="en">' in reply.text
    assert (await service.tcp.get("/api/v1/processes")).status_code == 401


@pytest.mark.parametrize("path", [*PAGES, MAIN, "/assets/nothing"])
async def test_every_reply_has_the_strict_headers(service: Service, path: str) -> None:
    headers = (await service.tcp.get(path)).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "script-src 'self';" in policy
    assert "style-src 'self';" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("path", PAGES)
async def test_what_a_page_loads_is_kept_for_ever(service: Service, path: str) -> None:
    html = (await service.tcp.get(path)).text
    addresses = re.findall(r'(?:src|href)="(/assets/[^"]+)"', html)
    assert addresses
    for address in addresses:
        assert re.match(r"/assets/[0-9a-f]{16}/", address)
        reply = await service.tcp.get(address)
        assert reply.status_code == 200, address
        assert reply.headers["cache-control"] == "public, max-age=31536000, immutable"


async def test_an_address_of_another_version_is_unknown(service: Service) -> None:
    assert (await service.tcp.get("/assets/0123456789abcdef/app/main.js")).status_code == 404
    assert (await service.tcp.get(MAIN)).headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    ("accepted", "zipped"),
    [
        ("gzip", True),
        ("gzip, deflate, br", True),
        ("br;q=1.0, GZIP;q=0.5", True),
        ("*", True),
        ("gzip;q=0.001", True),
        ("", False),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip; q=0.0, *", False),
        ("*;q=0", False),
        ("gzip;q=yes", False),
        ("br", False),
        (";;,=,;q", False),
    ],
)
async def test_compressed_only_where_the_client_takes_it(
    service: Service, accepted: str, *, zipped: bool
) -> None:
    async with service.connection() as (reader, writer):
        writer.write(f"GET {MAIN} HTTP/1.1\r\nhost: x\r\naccept-encoding: {accepted}\r\n\r\n".encode())
        answer = await read_answer(reader)
    assert answer.headers["vary"] == "accept-encoding"
    assert (answer.headers.get("content-encoding") == "gzip") is zipped
    content = (await plain(service.tcp, MAIN)).content
    assert (gzip.decompress(answer.body) if zipped else answer.body) == content


async def test_etag(service: Service) -> None:
    first = await service.tcp.get(MAIN, headers={"accept-encoding": "gzip"})
    etag = first.headers["etag"]
    other = (await plain(service.tcp, MAIN)).headers["etag"]
    assert etag != other
    for given in (etag, f"W/{etag}", f'"x", {etag}', "*"):
        headers = {"accept-encoding": "gzip", "if-none-match": given}
        reply = await service.tcp.get(MAIN, headers=headers)
        assert (reply.status_code, reply.content) == (304, b"")
        assert reply.headers["etag"] == etag
        assert reply.headers["cache-control"] == "no-cache"
    for given in (other, '"x"', etag.strip('"'), ""):
        headers = {"accept-encoding": "gzip", "if-none-match": given}
        assert (await service.tcp.get(MAIN, headers=headers)).status_code == 200


@pytest.mark.parametrize("path", [*PAGES, MAIN, "/assets/nothing"])
async def test_head(service: Service, path: str) -> None:
    got, head = await service.tcp.get(path), await service.tcp.head(path)
    assert head.status_code == got.status_code
    assert head.content == b""
    assert {**head.headers, "date": ""} == {**got.headers, "date": ""}


async def test_other_methods_are_refused(service: Service) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        reply = await service.tcp.request(method, "/", content=b"x")
        assert (reply.status_code, reply.content) == (405, b'{"error":"method not allowed"}')
        assert reply.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    "path",
    [
        "/assets/",
        "/assets/nothing.js",
        "/assets/index.html",
        "/assets/app",
        "/assets/app/",
        "/assets/../pack.py",
        "/assets/app/../../pack.py",
        "/assets/%2e%2e/pack.py",
        "/assets/..%2fpack.py",
        "/assets//etc/passwd",
        "/assets/%00",
        "/assets/app/main.js%00",
        "/assets/" + "a/" * 2000,
    ],
)
async def test_what_is_not_there(serve: Serve, path: str) -> None:
    service = await serve(api_auth="open sesame")
    data = await service.raw(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
    assert data.startswith(b"HTTP/1.1 404 ")
    assert data.endswith(b'\r\n\r\n{"error":"not found"}')


async def test_turned_off(serve: Serve) -> None:
    service = await serve(api_ui="false", api_auth="open sesame")
    for path in (*PAGES, MAIN, "/assets/nothing"):
        reply = await service.tcp.get(path)
        assert (reply.status_code, reply.content) == (401, b'{"error":"unauthorized"}')
        reply = await service.unix.get(path)
        assert (reply.status_code, reply.content) == (404, b'{"error":"not found"}')


async def test_turned_off_by_a_reload(service: Service) -> None:
    supervisor = service.house.supervisor
    before = supervisor.config
    assert (await service.tcp.get("/")).status_code == 200
    supervisor.config = replace(before, global_=replace(before.global_, api_ui=False))
    assert (await service.tcp.get("/")).status_code == 404
    supervisor.config = before
    assert (await service.tcp.get("/")).status_code == 200


async def test_the_access_list_applies(serve: Serve) -> None:
    service = await serve(api_acl="{enabled: true, allow_list: [127.0.1.1]}")
    for path in (*PAGES, MAIN):
        answer = await ask(service, "127.0.0.1", path)
        assert (answer.status, answer.body) == (403, FORBIDDEN)
        assert (await ask(service, "127.0.1.1", path)).status == 200


async def test_the_rate_limit_applies_for_itself(serve: Serve) -> None:
    """A page loads many files at once, which a limit for commands must not break."""
    service = await serve(api_rate_limit=0.001, api_rate_burst=1)
    assert (await service.tcp.get("/api/v1/processes")).status_code == 200
    assert (await service.tcp.get("/api/v1/processes")).status_code == 429
    statuses = [(await service.tcp.head(MAIN)).status_code for _ in range(101)]
    assert statuses == [200] * 100 + [429]
    assert (await service.unix.get("/")).status_code == 200


async def test_pages_that_cannot_be_read(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """The API goes on, and so do the pages when the cause is gone."""
    for error in (OSError("no such file"), ValueError("not complete"), NoThreadError("no thread")):
        with monkeypatch.context() as patch:

            def fail(former: object = None, error: Exception = error) -> None:
                raise error

            patch.setattr(api_pages, "load", fail)
            reply = await service.tcp.get("/")
            assert reply.status_code == 503
            assert reply.json()["error"] == "the web pages cannot be read"
            assert reply.headers["retry-after"] == "5"
        assert (await service.tcp.get("/api/v1/processes")).status_code == 200
    assert (await service.tcp.get("/")).status_code == 200
