"""Who sends a request, as the routes and the audit see it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cbox_init.api import guards
from cbox_init.api.caller import Caller, ProcessPatterns, caller_of
from cbox_init.config.model.enums import Role

if TYPE_CHECKING:
    from starlette.types import Scope

    from tests.api.service import Serve

HEALTH = "/api/v1/health"


@pytest.fixture
def callers(monkeypatch: pytest.MonkeyPatch) -> list[Caller | None]:
    """The callers of requests, as the application behind the authentication sees them."""
    seen: list[Caller | None] = []
    plain = guards.LimitBody.__call__

    async def noting(self: guards.LimitBody, scope: Scope, receive: object, send: object) -> None:
        seen.append(caller_of(scope))
        await plain(self, scope, receive, send)  # type: ignore[arg-type]

    monkeypatch.setattr(guards.LimitBody, "__call__", noting)
    return seen


async def test_a_process_on_the_unix_socket(serve: Serve, callers: list[Caller | None]) -> None:
    service = await serve()
    callers.clear()
    await service.unix.get(HEALTH)
    (caller,) = callers
    assert caller is not None
    assert (caller.kind, caller.uid, caller.pid) == ("socket", os.getuid(), os.getpid())
    assert (caller.name, caller.address, caller.role) == (f"uid:{os.getuid()}", "", Role.ADMIN)


async def test_the_admin_token(serve: Serve, callers: list[Caller | None]) -> None:
    service = await serve(api_auth="open sesame")
    callers.clear()
    await service.tcp.get(HEALTH, headers={"Authorization": "Bearer open sesame"})
    await service.tcp.get(HEALTH)
    token, nobody = callers
    assert token == Caller("api_auth", "token", Role.ADMIN, ProcessPatterns(), "127.0.0.1")
    assert nobody is None


@pytest.mark.parametrize(("host", "kind"), [("127.0.0.1", "loopback"), ("all", "anonymous")])
async def test_anyone_without_a_token(
    serve: Serve, callers: list[Caller | None], host: str, kind: str
) -> None:
    service = await serve(api_host=host)
    callers.clear()
    await service.tcp.get(HEALTH)
    assert [caller and (caller.kind, caller.address) for caller in callers] == [(kind, "127.0.0.1")]


@pytest.mark.parametrize(
    ("patterns", "name", "matches"),
    [
        ((), "anything", True),
        (("*",), "anything", True),
        (("worker-*",), "worker-mail", True),
        (("worker-*",), "worker", False),
        (("worker-*",), "my-worker-mail", False),
        (("web", "worker-?"), "worker-1", True),
        (("web", "worker-?"), "worker-10", False),
        (("Web",), "web", False),
        (("w[ab]",), "wb", True),
        (("web",), "web\n", False),
    ],
)
def test_patterns_of_names(patterns: tuple[str, ...], name: str, matches: bool) -> None:
    assert ProcessPatterns(patterns).match(name) == matches


def test_each_role_may_do_what_those_before_it_may() -> None:
    assert [[one.includes(other) for other in Role] for one in Role] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]
