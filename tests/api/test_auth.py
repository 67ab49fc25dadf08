"""The bearer token."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbox_init.api.authentication import bearer, is_token
from cbox_init.config.secret import Secret

if TYPE_CHECKING:
    from tests.api.service import Serve, Service

TOKEN = "open sesame"
PROCESSES = "/api/v1/processes"


@pytest.fixture
async def guarded(serve: Serve) -> Service:
    return await serve(api_auth=TOKEN)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer  "])
async def test_the_token_opens(guarded: Service, scheme: str) -> None:
    reply = await guarded.tcp.get(PROCESSES, headers={"Authorization": f"{scheme} {TOKEN}"})
    assert reply.status_code == 200


WRONG = [
    None,
    b"",
    b"Bearer",
    TOKEN.encode(),
    b"Bearer open",
    b"Bearer open sesam",
    b"Bearer open sesame!",
    b"Bearer OPEN SESAME",
    b"Bearer Bearer open sesame",
    b"Basic b3BlbiBzZXNhbWU=",
    b"Token open sesame",
    b"Bearer\topen sesame",
    b"Bearer \xff\xfe",
    b"Bearer " + b"x" * 8192,
    b'Bearer "open sesame"',
]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", PROCESSES),
        ("POST", f"{PROCESSES}/web/stop"),
        ("GET", "/api/v1/openapi.json"),
        ("GET", "/api/v1/logs/stream"),
        ("GET", "/nowhere"),
        ("DELETE", PROCESSES),
        ("GET", "/api/v1/health/"),
        ("GET", "/api/v1/health/../processes"),
    ],
)
async def test_anything_else_does_not(guarded: Service, method: str, path: str) -> None:
    for value in WRONG:
        headers = {} if value is None else {b"Authorization": value}
        reply = await guarded.tcp.request(method, path, headers=headers)
        assert (reply.status_code, reply.content) == (401, b'{"error":"unauthorized"}'), value
        assert reply.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "nonsense"}])
async def test_health_needs_none(guarded: Service, headers: dict[str, str]) -> None:
    reply = await guarded.tcp.get("/api/v1/health", headers=headers)
    assert (reply.status_code, reply.content) == (200, b'{"status":"healthy"}')


async def test_the_unix_socket_needs_none(guarded: Service) -> None:
    assert (await guarded.unix.get(PROCESSES)).status_code == 200


async def test_of_two_headers_the_first_counts(guarded: Service) -> None:
    right, wrong = ("Authorization", f"Bearer {TOKEN}"), ("Authorization", "Bearer wrong")
    assert (await guarded.tcp.get(PROCESSES, headers=[right, wrong])).status_code == 200
    assert (await guarded.tcp.get(PROCESSES, headers=[wrong, right])).status_code == 401


_tokens = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1)


@settings(deadline=None)
@given(_tokens, st.binary() | _tokens.map(str.encode))
def test_only_the_token_itself_is_taken(token: str, given_: bytes) -> None:
    for candidate in (given_, token.encode()):
        sent = bearer(b"Bearer " + candidate)
        taken = sent is not None and is_token(sent, Secret(token))
        assert taken == (candidate.strip() == token.encode())


@pytest.mark.parametrize("value", [b"Bearer ", b" ", b"Bearer \0", b"Bearer\n"])
def test_values_that_no_client_library_sends(value: bytes) -> None:
    sent = bearer(value)
    assert sent is None or not is_token(sent, Secret(TOKEN))
