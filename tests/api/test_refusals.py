"""What cannot be done gets its 4xx, with a reason; nothing that a client sends is a 500."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbox_init.api import bodies
from cbox_init.api.bodies import parse_body
from cbox_init.api.replies import InvalidBodyError
from cbox_init.api.schemas import ScaleRequest
from tests.api.service import read_answer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.api.service import Serve, Service

PROCESSES = "/api/v1/processes"
SCALE = f"{PROCESSES}/web/scale"
INVALID = b'{"error":"invalid request body"}'


UNKNOWN_PATHS = [
    "/api",
    "/api/v1",
    "/api/v1/",
    "/api/v2/processes",
    f"{PROCESSES}/",
    f"{PROCESSES}/web/",
    f"{PROCESSES}/web/frobnicate",
    f"{PROCESSES}/web/restart/",
    "/api/v1%2Fprocesses",
    "//api/v1/processes",
    "/api/v1/../v1/processes",
    "/API/V1/PROCESSES",
]


async def test_unknown_path(service: Service) -> None:
    for path in UNKNOWN_PATHS:
        data = await service.raw(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
        assert data.startswith(b"HTTP/1.1 404 "), path
        assert data.endswith(b'\r\n\r\n{"error":"not found"}'), path


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("nobody", "nobody"),
        ("%77%65%62x", "webx"),
        ("%00", "\0"),
        ("a%0d%0aset-cookie:%20b", "a\r\nset-cookie: b"),
        ("%ff%fe", "\ufffd\ufffd"),
        ("%zz", "%zz"),
        ("%", "%"),
        ("%F0%9F%90%98", "🐘"),
        ("x" * 8192, "x" * 8192),
        (".", "."),
        ("'\"<script>", "'\"<script>"),
    ],
)
async def test_unknown_process(service: Service, name: str, shown: str) -> None:
    async with service.connection() as (reader, writer):
        for method, tail in (("GET", ""), ("GET", "/logs"), ("POST", "/stop"), ("POST", "/scale")):
            writer.write(f"{method} {PROCESSES}/{name}{tail} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
            answer = await read_answer(reader)
            assert answer.status == 404
            assert json.loads(answer.body) == {"error": f"process not found: {shown}"}


async def test_a_name_may_be_percent_encoded(service: Service) -> None:
    reply = await service.tcp.post(f"{PROCESSES}/%77%65%62/start")
    change = reply.json()["change"]
    assert reply.json() == {"message": "start initiated", "process": "web", "change": change}


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/api/v1/health", {"GET", "HEAD"}),
        (PROCESSES, {"GET", "HEAD", "POST"}),
        (f"{PROCESSES}/web", {"GET", "HEAD", "PUT", "DELETE"}),
        (f"{PROCESSES}/web/start", {"POST"}),
        (f"{PROCESSES}/web/stop", {"POST"}),
        (f"{PROCESSES}/web/restart", {"POST"}),
        (SCALE, {"POST"}),
        (f"{PROCESSES}/web/logs", {"GET", "HEAD"}),
        ("/api/v1/config", {"GET", "HEAD"}),
        ("/api/v1/config/validate", {"POST"}),
        ("/api/v1/sessions", {"POST"}),
        ("/api/v1/sessions/codes", {"POST"}),
        ("/api/v1/sessions/current", {"DELETE"}),
        ("/api/v1/config/reload", {"POST"}),
        ("/api/v1/config/save", {"POST"}),
        ("/api/v1/shutdown", {"POST"}),
        ("/api/v1/logs", {"GET", "HEAD"}),
        ("/api/v1/logs/stream", {"GET", "HEAD"}),
        ("/api/v1/events", {"GET", "HEAD"}),
        (f"{PROCESSES}/web/events", {"GET", "HEAD"}),
        ("/api/v1/openapi.json", {"GET", "HEAD"}),
    ],
)
async def test_methods(service: Service, path: str, allowed: set[str]) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PURGE", "HEAD", "GET"):
        if path.endswith(("logs/stream", "v1/events")) and method == "GET":
            continue  # goes on for ever: see test_log_stream and test_events
        reply = await service.tcp.request(method, path)
        if method in allowed:
            assert reply.status_code in (200, 202, 400, 409)
            continue
        assert reply.status_code == 405
        assert set(reply.headers["allow"].split(", ")) == allowed
        assert reply.content == (b"" if method == "HEAD" else b'{"error":"method not allowed"}')


@pytest.mark.parametrize("path", ["/api/v1/health", PROCESSES, "/api/v1/logs", "/api/v1/openapi.json"])
async def test_head_is_get_without_a_body(service: Service, path: str) -> None:
    before, head, after = [await service.tcp.request(method, path) for method in ("GET", "HEAD", "GET")]
    while before.content != after.content:  # figures and logs may be others at each request
        before, head, after = after, await service.tcp.head(path), await service.tcp.get(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == after.headers["content-length"]


WRONG = [
    b"",
    b" ",
    b"{",
    b"nonsense",
    b"null",
    b"5",
    b"[]",
    b"[5]",
    b'"5"',
    b"{}",
    b'{"count": 5}',
    b'{"scale": null}',
    b'{"scale": "5"}',
    b'{"scale": 2.5}',
    b'{"scale": 1e30}',
    b'{"scale": 1e999}',
    b'{"delta": 0.5}',
    b'{"scale": true}',
    b'{"scale": [2]}',
    b'{"scale": {}}',
    b'{"scale": 02}',
    b'{"scale": NaN}',
    b'{"scale": 1' + b"0" * 30 + b"}",
    b'{"scale": 1' + b"0" * 10_000 + b"}",
    b'{"scale": -1' + b"0" * 30 + b"}",
    b'{"scale": 1, "scale": 2}',
    b'{"scale": 2, "desired": 2}',
    b'{"desired": 2, "delta": 2}',
    b'{"scale": 2, "desired": 2, "delta": 2}',
    b'{"delta": "1"}',
    b'{"scale": 2}{"scale": 2}',
    b'{"scale": 2}x',
    b"\xef\xbb\xbf{",
    b"\xff\xfe",
    b'{"scale": "\xff"}',
    b"\0" * 100,
    b"scale=2",
    b"<scale>2</scale>",
]


TOO_MUCH = [
    (b"[" * 200_000, "more than 20000 values, counted by the signs , [ and {"),
    (
        b'{"scale": 2, "x": [' + b"[]," * 60_000 + b"1]}",
        "more than 20000 values, counted by the signs , [ and {",
    ),
    *(
        (body, "lists and objects are nested deeper than 64 levels")
        for body in (
            b"[" * 9_000,
            b'{"a":' * 9_000,
            b'{"scale": 2, "x": ' + b"[" * 9_000 + b"]" * 9_000 + b"}",
            b'{"scale": 2, "x": ' + b"[" * 64 + b"]" * 64 + b"}",
        )
    ),
]

#: Not deep: the signs are in a text, or side by side.
SHALLOW = [
    b'{"scale": 2, "x": "' + b"[" * 100 + b'"}',
    b'{"scale": 2, "x": "\\"' + b"[" * 100 + b'"}',
    b'{"scale": 2, "x": ' + b"[" * 63 + b"]" * 63 + b"}",
    b'{"scale": 2, "x": [' + b"[]," * 100 + b"1]}",
]


async def test_wrong_body(service: Service) -> None:
    for body in WRONG:
        reply = await service.unix.post(SCALE, content=body)
        assert (reply.status_code, reply.content) == (400, INVALID), body[:50]
    for body, detail in TOO_MUCH:
        reply = await service.unix.post(SCALE, content=body)
        assert reply.status_code == 400
        assert reply.json() == {"error": "invalid request body", "details": [detail]}
    assert service.house.status("web").desired_scale == 2
    for body in SHALLOW:
        assert (await service.unix.post(SCALE, content=body)).status_code == 202, body[:50]


@pytest.mark.parametrize(
    ("body", "count"),
    [(b'{"scale": 3.0}', 3), (b'{"scale": 1e0}', 1), (b'{"desired": 1.0}', 1), (b'{"delta": 1.0}', 3)],
)
async def test_a_whole_number_may_have_a_point(service: Service, body: bytes, count: int) -> None:
    reply = await service.unix.post(SCALE, content=body)
    assert reply.status_code in (200, 202)
    assert b"." not in reply.content
    assert service.house.status("web").desired_scale == count


@settings(deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_body_is_more_than_invalid(body: bytes) -> None:
    try:
        parse_body(body, ScaleRequest)
    except InvalidBodyError as error:
        assert (error.status, str(error)) == (400, "invalid request body")


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"scale": -1}, "scale must be at least 0, not -1"),
        ({"scale": 6}, "scale must be at most 5, not 6"),
        ({"desired": -1}, "scale must be at least 0, not -1"),
        ({"desired": 1000}, "scale must be at most 5, not 1000"),
        ({"delta": 4}, "scale must be at most 5, not 6"),
    ],
)
async def test_scale_outside_of_the_limits_says_them(service: Service, body: object, detail: str) -> None:
    reply = await service.tcp.post(SCALE, json=body)
    assert reply.status_code == 400
    assert reply.json()["error"] == "invalid request body"
    assert reply.json()["details"][0].startswith(detail)
    assert service.house.status("web").desired_scale == 2


@pytest.mark.parametrize("media", [None, "text/plain", "application/x-www-form-urlencoded", "nonsense", ""])
async def test_no_content_type_is_demanded(service: Service, media: str | None) -> None:
    headers = {} if media is None else {"content-type": media}
    reply = await service.tcp.post(SCALE, content=b'{"scale":1}', headers=headers)
    assert reply.status_code == 202


async def test_members_that_are_not_known_are_ignored(service: Service) -> None:
    reply = await service.tcp.post(SCALE, json={"scale": 1, "reason": "night"})
    assert reply.status_code == 202


async def test_locked_scale_is_a_conflict(serve: Serve) -> None:
    service = await serve("\n  web: {command: [sleep, '1000'], scale_locked: true}")
    for body in ({"scale": 2}, {"desired": 2}, {"delta": 1}):
        reply = await service.unix.post(SCALE, json=body)
        assert reply.status_code == 409
        assert "scale_locked" in reply.json()["error"]


async def test_a_hundred_commands_at_once(service: Service) -> None:
    """Each is answered; what counts in the end is the last that was taken."""
    commands = [
        service.unix.post(f"{PROCESSES}/web/{action}", json={"scale": n % 6})
        for n, action in enumerate(["restart", "scale", "stop", "start"] * 25)
    ]
    replies = await asyncio.gather(*commands)
    assert [reply.status_code for reply in replies] == [202] * 100
    assert (await service.unix.post(SCALE, json={"scale": 3})).status_code == 202
    assert (await service.unix.post(f"{PROCESSES}/web/start")).status_code == 202
    await service.house.supervisor.settled("web")
    assert len(service.house.pids("web")) == 3


# -- bodies that are too large ---------------------------------------------------------------------------


async def test_body_above_the_limit(serve: Serve) -> None:
    service = await serve(api_max_request_body=1000)
    fits = b'{"scale":1}'.ljust(1000)
    assert (await service.tcp.post(SCALE, content=fits)).status_code == 202
    for path in (SCALE, f"{PROCESSES}/web/start"):
        reply = await service.tcp.post(path, content=fits + b" ")
        assert reply.status_code == 413
        assert "1000 bytes" in reply.json()["error"]


async def test_chunked_body_above_the_limit(serve: Serve) -> None:
    service = await serve(api_max_request_body=1000)

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield b" " * 100

    reply = await service.tcp.post(SCALE, content=chunks())
    assert reply.status_code == 413


async def test_endless_body_is_refused_before_it_ends(serve: Serve) -> None:
    service = await serve(api_max_request_body=1000)
    async with service.connection() as (reader, writer):
        writer.write(f"POST {SCALE} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".encode())
        writer.write(b"3e9\r\n" + b" " * 0x3E9 + b"\r\n")
        assert (await read_answer(reader)).status == 413


async def test_declared_length_is_enough_to_refuse(service: Service) -> None:
    async with service.connection() as (reader, writer):
        writer.write(f"POST {SCALE} HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n\r\n".encode())
        assert (await read_answer(reader)).status == 413


async def test_the_default_limit(service: Service) -> None:
    for size, status in ((2**20, 202), (2**20 + 1, 413)):
        reply = await service.unix.post(SCALE, content=b'{"scale":1}'.ljust(size))
        assert reply.status_code == status


async def test_large_body_within_the_limit(serve: Serve) -> None:
    service = await serve(api_max_request_body="8MiB")
    for content in (b'{"scale":1}'.ljust(900_000), b'{"x":[' + b"{}," * 5_000 + b'{}],"scale":1}'):
        reply = await service.unix.post(SCALE, content=content)
        assert reply.status_code == 202


async def test_a_large_body_is_not_parsed_in_the_event_loop(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []

    def parse(body: bytes, kind: type[ScaleRequest]) -> ScaleRequest:
        threads.append(threading.get_ident())
        return parse_body(body, kind)

    monkeypatch.setattr(bodies, "parse_body", parse)
    for size in (100, 1_000_000):
        assert (await service.unix.post(SCALE, content=b'{"scale":1}'.ljust(size))).status_code == 202
    assert threads[0] == threading.get_ident() != threads[1]


# -- queries ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/v1/logs", f"{PROCESSES}/web/logs"])
async def test_wrong_limit(service: Service, path: str) -> None:
    for limit in ("abc", "", "0", "-1", "10001", "1.5", "1e3", "٣", "%205", "%00", "%ff", "9" * 5000):
        reply = await service.tcp.get(f"{path}?limit={limit}")
        assert reply.status_code == 400, limit
        assert reply.json()["error"].startswith("limit must be a whole number from 1 to 10000, not ")
        assert len(reply.content) < 200


@pytest.mark.parametrize("query", ["order=up", "order=", "level=loud", "level="])
async def test_wrong_query(service: Service, query: str) -> None:
    reply = await service.tcp.get(f"/api/v1/logs?{query}")
    assert reply.status_code == 400
    assert " must be " in reply.json()["error"]


@pytest.mark.parametrize("query", ["?", "?&&&", "?%", "?=", "?x=1", "?limit=1&limit=2", "?%ff=%fe"])
async def test_odd_queries_do_no_harm(service: Service, query: str) -> None:
    assert (await service.tcp.get(f"/api/v1/logs{query}")).status_code == 200
    assert (await service.tcp.get(f"{PROCESSES}{query}")).status_code == 200
