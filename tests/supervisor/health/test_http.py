"""The HTTP check against servers that are healthy or not."""

from __future__ import annotations

import asyncio
import base64
import socket
from typing import TYPE_CHECKING

import pytest

from cbox_init.config.endpoints import parse_url
from cbox_init.config.model import HealthTlsConfig
from cbox_init.config.secret import Secret
from cbox_init.errors import CheckFailed
from cbox_init.supervisor.health import resolve
from cbox_init.supervisor.health.http import Expected, HttpProbe
from cbox_init.supervisor.health.resolve import Resolver
from cbox_init.supervisor.health.tls import TlsClient
from tests.ports import free_port
from tests.supervisor.health.servers import answering, dripping, endless, endless_head, serving, silent

if TYPE_CHECKING:
    from tests.supervisor.health.servers import Talk

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def probe_of(
    url: str,
    *,
    status: int = 200,
    body: str | None = None,
    method: str = "GET",
    headers: dict[str, str] | None = None,
) -> HttpProbe:
    return HttpProbe(
        parse_url(url),
        expected=Expected(((status, status),), body),
        resolver=Resolver(),
        method=method,
        headers={name: Secret(value) for name, value in (headers or {}).items()},
        tls=lambda: TlsClient(HealthTlsConfig()),
    )


async def ask(url: str, *, status: int = 200, body: str | None = None) -> None:
    async with asyncio.timeout(20):
        await probe_of(url, status=status, body=body)()


@pytest.mark.parametrize(
    ("parts", "status", "body"),
    [
        pytest.param([OK], 200, None, id="status"),
        pytest.param([OK], 200, "ell", id="body"),
        pytest.param([b"HTTP/1.0 200 OK\r\n\r\nhello"], 200, "hello", id="1.0, ends with the connection"),
        pytest.param([b"HTTP/1.1 204 No Content\r\n\r\n"], 204, None, id="another status"),
        pytest.param(
            [b"HTTP/1.1 200", b" OK\r\nContent-Le", b"ngth: 5\r\n\r\nhe", b"llo"], 200, "hello", id="cut up"
        ),
        pytest.param(
            [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n", b"3\r\nllo\r\n0\r\n\r\n"],
            200,
            "hello",
            id="chunked, the text in two chunks",
        ),
        pytest.param([b"HTTP/1.1 100 Continue\r\n\r\n", OK], 200, "hello", id="after a 100"),
        pytest.param(
            [b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\n\r\n"],
            302,
            None,
            id="a redirect that is expected",
        ),
        pytest.param(["HTTP/1.1 200 OK\r\n\r\ngrün".encode()], 200, "grün", id="other letters"),
    ],
)
async def test_well(parts: list[bytes], status: int, body: str | None) -> None:
    async with serving(answering(*parts)) as port:
        await ask(f"http://127.0.0.1:{port}/", status=status, body=body)


@pytest.mark.parametrize(
    ("parts", "body", "reason"),
    [
        ([b"HTTP/1.1 503 No\r\n\r\n"], None, "status 503, expected 200"),
        ([b"HTTP/1.1 201 Created\r\n\r\n"], None, "status 201, expected 200"),
        ([OK], "bye", "the expected text is not in the body"),
        ([b"SSH-2.0-OpenSSH\r\n"], None, "the answer is not HTTP"),
        ([b""], None, "the connection was closed before an answer"),
        ([b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n"], None, "more than 5 redirects"),
        ([b"HTTP/1.1 302 Found\r\nLocation: ftp://a/\r\n\r\n"], None, "the redirect leads nowhere"),
        ([b"HTTP/1.1 302 Found\r\n\r\n"], None, "status 302, expected 200"),
    ],
)
async def test_ill(parts: list[bytes], body: str | None, reason: str) -> None:
    async with serving(answering(*parts)) as port:
        with pytest.raises(CheckFailed, match=reason):
            await ask(f"http://127.0.0.1:{port}/", body=body)


async def test_an_endless_body_is_read_only_as_far_as_is_needed() -> None:
    async with serving(endless) as port:
        await ask(f"http://127.0.0.1:{port}/")
        await ask(f"http://127.0.0.1:{port}/", body="xxx")
        with pytest.raises(CheckFailed, match="not in the first 1 MiB"):
            await ask(f"http://127.0.0.1:{port}/", body="hello")


async def test_an_endless_head_is_given_up() -> None:
    async with serving(endless_head) as port:
        with pytest.raises(CheckFailed, match="longer than 64 KiB"):
            await ask(f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize("talk", [silent, dripping])
async def test_what_takes_for_ever_can_be_broken_off(talk: object) -> None:
    async with serving(talk) as port:  # type: ignore[arg-type]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await ask(f"http://127.0.0.1:{port}/")


async def test_a_redirect_is_followed_and_the_login_goes_to_the_same_host_alone() -> None:
    asked: list[bytes] = []

    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK)

    async with serving(elsewhere) as other:

        async def first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            request = await reader.readuntil(b"\r\n\r\n")
            asked.append(request)
            to = "up?a=1" if b"GET /deep/here" in request else f"http://127.0.0.1:{other}/"
            writer.write(f"HTTP/1.1 302 Found\r\nLocation: {to}\r\n\r\n".encode())

        async with serving(first) as port:
            await ask(f"http://me:s%20t@127.0.0.1:{port}/deep/here#part", body="hello")
    login = b"Authorization: Basic " + base64.b64encode(b"me:s t")
    assert [request.split(b" HTTP")[0] for request in asked] == [
        b"GET /deep/here",
        b"GET /deep/up?a=1",
        b"GET /",
    ]
    assert [login in request for request in asked] == [True, True, False]
    assert f"Host: 127.0.0.1:{port}\r\n".encode() in asked[0]


async def test_nobody_listens() -> None:
    port = free_port()
    with pytest.raises(CheckFailed, match=r"^Connection refused$"):
        await ask(f"http://127.0.0.1:{port}/")
    with pytest.raises(CheckFailed, match=rf"^127\.0\.0\.1:{port}: Connection refused; \[::1\]:{port}: "):
        await ask(f"http://localhost:{port}/")


async def test_the_name_of_this_machine_is_tried_by_both_protocols() -> None:
    async with serving(answering(OK)) as port:
        await ask(f"http://localhost:{port}/")


# -- the request -------------------------------------------------------------------------------------------


def recording(asked: list[list[str]], *answers: bytes) -> Talk:
    """Answers the first request with the first answer, and so on; the last one is for all that follow."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head.decode().strip().split("\r\n"))
        writer.write(answers[min(len(asked), len(answers)) - 1])

    return talk


async def test_headers_replace_those_of_the_same_name_and_the_host_too() -> None:
    asked: list[list[str]] = []
    async with serving(recording(asked, OK)) as port:
        headers = {"host": "shop.example", "USER-AGENT": "probe/1", "X-Key": "k"}
        await probe_of(f"http://127.0.0.1:{port}/", headers=headers)()
    (head,) = asked
    assert {"host: shop.example", "USER-AGENT: probe/1", "X-Key: k", "Accept: */*"} <= set(head)
    assert len([line for line in head if line.lower().startswith(("host:", "user-agent:"))]) == 2


async def test_headers_go_to_the_same_server_alone() -> None:
    asked: list[list[str]] = []
    async with serving(recording(asked, OK)) as other:
        there = f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{other}/\r\n\r\n".encode()
        async with serving(recording(asked, b"HTTP/1.1 302 No\r\nLocation: /b\r\n\r\n", there)) as port:
            await probe_of(f"http://127.0.0.1:{port}/a", headers={"X-Key": "k", "Host": "shop"})()
    assert [head[0] for head in asked] == ["GET /a HTTP/1.1", "GET /b HTTP/1.1", "GET / HTTP/1.1"]
    assert ["X-Key: k" in head for head in asked] == [True, True, False]
    assert ["Host: shop" in head for head in asked] == [True, True, False]
    assert f"Host: 127.0.0.1:{other}" in asked[2]


@pytest.mark.parametrize(
    ("method", "status", "then"),
    [
        ("post", 302, "GET"),
        ("POST", 303, "GET"),
        ("POST", 307, "POST"),
        ("PUT", 308, "PUT"),
        ("HEAD", 303, "HEAD"),
        ("GET", 301, "GET"),
    ],
)
async def test_a_method_and_what_becomes_of_it_by_a_redirect(method: str, status: int, then: str) -> None:
    asked: list[list[str]] = []
    redirect = f"HTTP/1.1 {status} Away\r\nLocation: /b\r\n\r\n".encode()
    async with serving(recording(asked, redirect, OK)) as port:
        await probe_of(f"http://127.0.0.1:{port}/a", method=method)()
    assert [head[0].split()[0] for head in asked] == [method.upper(), then]
    assert ["Content-Length: 0" in head for head in asked] == [
        one in ("POST", "PUT") for one in (method.upper(), then)
    ]


async def test_an_answer_to_head_has_no_body_to_wait_for() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        await reader.read()  # it does not close

    async with serving(talk) as port:
        async with asyncio.timeout(20):
            await probe_of(f"http://127.0.0.1:{port}/", method="HEAD")()
            with pytest.raises(CheckFailed, match="not in the body"):
                await probe_of(f"http://127.0.0.1:{port}/", method="HEAD", body="hello")()


@pytest.mark.parametrize("value", ["a\r\nX-Other: b", "gr\u00fcn"])
def test_a_header_that_cannot_be_sent(value: str) -> None:
    with pytest.raises(ValueError, match="the header X-Key holds"):
        probe_of("http://127.0.0.1/", headers={"X-Key": value})


# -- the reason --------------------------------------------------------------------------------------------


async def test_a_failure_after_a_redirect_names_where_it_was_and_the_next_check_starts_again() -> None:
    gone = free_port()
    asked: list[list[str]] = []
    away = f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{gone}/up?key=k\r\n\r\n".encode()
    async with serving(recording(asked, away, OK)) as port:
        probe = probe_of(f"http://127.0.0.1:{port}/a")
        with pytest.raises(CheckFailed, match="Connection refused"):
            await probe()
        assert probe.where == f"http://127.0.0.1:{gone}/up (redirected from http://127.0.0.1:{port}/a)"
        await probe()
        assert probe.where == f"http://127.0.0.1:{port}/a"


async def test_a_name_of_many_addresses_that_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    found = [resolve.Address(socket.AF_INET, (f"127.0.0.{last}", 0)) for last in range(1, 7)]
    monkeypatch.setattr(resolve, "_system_lookup", lambda host: found)
    with pytest.raises(CheckFailed) as failure:
        await ask(f"http://db.example:{port}/")
    refused = "; ".join(f"127.0.0.{last}:{port}: Connection refused" for last in (1, 2, 3))
    assert str(failure.value) == f"{refused}; and 3 more"
