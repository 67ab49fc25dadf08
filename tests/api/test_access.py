"""The access list, tried from other addresses of this machine."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest

from tests.api.service import read_answer

if TYPE_CHECKING:
    from tests.api.service import Answer, Serve, Service

FORBIDDEN = b'{"error":"forbidden"}'
PROCESSES = "/api/v1/processes"
ACL = "{enabled: true, allow_list: [127.0.1.0/24, '::1'], deny_list: [127.0.1.66]}"

needs_ipv6 = pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")


async def ask(
    service: Service, source: str, path: str = PROCESSES, *headers: str, method: str = "GET"
) -> Answer:
    """The reply to a request from the address ``source``."""
    host = "::1" if ":" in source else "127.0.0.1"
    reader, writer = await asyncio.open_connection(host, service.port, local_addr=(source, 0))
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", ""]
    writer.write("\r\n".join(lines).encode())
    try:
        return await read_answer(reader)
    finally:
        writer.close()


async def test_who_is_allowed(serve: Serve) -> None:
    service = await serve(api_acl=ACL)
    assert (await ask(service, "127.0.1.1")).status == 200
    assert (await ask(service, "127.0.1.255")).status == 200
    for source in ("127.0.0.1", "127.0.2.0", "127.0.1.66"):
        answer = await ask(service, source)
        assert (answer.status, answer.body) == (403, FORBIDDEN), source
        assert answer.headers["connection"] == "close"


@needs_ipv6
async def test_an_ipv6_client_that_is_allowed(serve: Serve) -> None:
    service = await serve(api_acl=ACL)
    assert (await ask(service, "::1")).status == 200


@needs_ipv6
async def test_ipv6_and_mapped_addresses_that_are_denied(serve: Serve) -> None:
    service = await serve(api_acl="{enabled: true, mode: deny, deny_list: ['::1', 127.0.1.1]}")
    assert (await ask(service, "::1")).status == 403
    assert (await ask(service, "127.0.1.1")).status == 403
    assert (await ask(service, "127.0.0.1")).status == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/health"),
        ("GET", "/nowhere"),
        ("GET", "/api/v1/logs/stream"),
        ("POST", f"{PROCESSES}/web/stop"),
        ("DELETE", "/"),
        ("OPTIONS", "*"),
        ("GET", "http://localhost/api/v1/health"),
    ],
)
async def test_every_path_is_refused_with_or_without_the_token(serve: Serve, method: str, path: str) -> None:
    service = await serve(api_acl=ACL, api_auth="open sesame")
    for headers in ([], ["Authorization: Bearer open sesame"], ["X-Forwarded-For: 127.0.1.1"]):
        answer = await ask(service, "127.0.0.1", path, *headers, method=method)
        assert (answer.status, answer.body) == (403, FORBIDDEN)
    assert len(service.house.pids("web")) == 2


async def test_a_body_of_a_refused_client_is_not_read(serve: Serve) -> None:
    service = await serve(api_acl=ACL)
    answer = await ask(
        service, "127.0.0.1", PROCESSES, "Content-Length: 5000000", "Expect: 100-continue", method="POST"
    )
    assert answer.status == 403


async def test_the_unix_socket_has_no_list(serve: Serve) -> None:
    service = await serve(api_acl="{enabled: true}")
    assert (await service.unix.get(PROCESSES)).status_code == 200
    assert (await service.tcp.get(PROCESSES)).status_code == 403


async def test_a_list_that_is_off_refuses_nobody(serve: Serve) -> None:
    service = await serve(api_acl="{enabled: false, deny_list: [127.0.0.1], trust_proxy: true}")
    assert (await service.tcp.get(PROCESSES)).status_code == 200


async def test_a_client_behind_a_proxy(serve: Serve) -> None:
    service = await serve(
        api_acl="{enabled: true, allow_list: [203.0.113.0/24], trusted_proxies: [127.0.1.1]}"
    )
    allowed, other = "X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 198.51.100.1"
    assert (await ask(service, "127.0.1.1", PROCESSES, allowed)).status == 200
    assert (await ask(service, "127.0.1.1", PROCESSES, other, allowed)).status == 200
    assert (await ask(service, "127.0.1.1", PROCESSES, allowed, other)).status == 403
    assert (await ask(service, "127.0.1.1", PROCESSES, other)).status == 403
    assert (await ask(service, "127.0.1.1")).status == 403
    assert (await ask(service, "127.0.1.2", PROCESSES, allowed)).status == 403


async def test_the_rate_limit_is_for_the_client_behind_the_proxy(serve: Serve) -> None:
    acl = "{enabled: true, mode: deny, trusted_proxies: [127.0.1.1]}"
    service = await serve(api_acl=acl, api_rate_limit=0.01, api_rate_burst=1)
    first, second = "X-Forwarded-For: 203.0.113.1", "X-Forwarded-For: 203.0.113.2"
    assert (await ask(service, "127.0.1.1", PROCESSES, first)).status == 200
    assert (await ask(service, "127.0.1.1", PROCESSES, first)).status == 429
    assert (await ask(service, "127.0.1.1", PROCESSES, second)).status == 200
    # who is no proxy cannot choose an address
    assert (await ask(service, "127.0.1.2", PROCESSES, "X-Forwarded-For: 203.0.113.3")).status == 200
    assert (await ask(service, "127.0.1.2", PROCESSES, "X-Forwarded-For: 203.0.113.4")).status == 429


async def test_a_refused_client_uses_up_no_rate(serve: Serve) -> None:
    service = await serve(api_acl=ACL, api_rate_limit=0.01, api_rate_burst=1)
    assert [(await ask(service, "127.0.0.1")).status for _ in range(3)] == [403] * 3
