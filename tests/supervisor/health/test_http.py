"""What the HTTP check makes of servers, well and ill."""

from __future__ import annotations

import asyncio
import base64

import pytest

from cbox_init.config.endpoints import parse_url
from cbox_init.errors import CheckFailed
from cbox_init.supervisor.health.http import HttpProbe
from cbox_init.supervisor.health.resolve import Resolver
from tests.supervisor.health.servers import answering, dripping, endless, endless_head, serving, silent

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


async def ask(url: str, *, status: int = 200, body: str | None = None) -> None:
    probe = HttpProbe(
        parse_url(url), expected_status=((status, status),), expected_body=body, resolver=Resolver()
    )
    async with asyncio.timeout(10):
        await probe()


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
        ([b"SSH-2.0-OpenSSH\r\n"], None, "the answer is no HTTP"),
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
    async with serving(silent) as port:
        pass
    with pytest.raises(OSError, match=r"[Rr]efused|failed"):
        await ask(f"http://127.0.0.1:{port}/")


async def test_the_name_of_this_machine_is_tried_by_both_protocols() -> None:
    async with serving(answering(OK)) as port:
        await ask(f"http://localhost:{port}/")
