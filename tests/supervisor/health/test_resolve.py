"""Names, and a resolver that hangs."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from cbox_init.config.endpoints import Endpoint
from cbox_init.supervisor.health import resolve
from cbox_init.supervisor.health.resolve import Resolver
from cbox_init.threads import NoThreadError

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", [(socket.AF_INET, ("127.0.0.1", 80))]),
        ("::1", [(socket.AF_INET6, ("::1", 80, 0, 0))]),
        ("LocalHost", [(socket.AF_INET, ("127.0.0.1", 80)), (socket.AF_INET6, ("::1", 80, 0, 0))]),
    ],
)
async def test_what_needs_no_lookup(host: str, expected: list[object]) -> None:
    assert await Resolver().addresses(Endpoint(host, 80)) == expected


async def test_a_name_that_is_not_known() -> None:
    for host in ("no-such-host.invalid", "a" * 300, "a..b"):
        with pytest.raises(OSError):
            await Resolver().addresses(Endpoint(host, 80))


async def test_a_lookup_that_hangs_holds_up_nobody_and_is_not_begun_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name server that does not answer: the system's resolver sits there for half a minute."""
    answers, asked = threading.Event(), []

    def hang(host: str) -> list[resolve.Address]:
        asked.append(host)
        answers.wait(20)
        return [resolve.Address(socket.AF_INET, ("192.0.2.1", 0))]

    _replace(monkeypatch, hang)
    resolver = Resolver()
    for port in (1, 2):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await resolver.addresses(Endpoint("db.example", port))
    assert asked == ["db.example"]
    late = asyncio.create_task(resolver.addresses(Endpoint("db.example", 3)))
    await asyncio.sleep(0)
    answers.set()
    assert await late == [(socket.AF_INET, ("192.0.2.1", 3))]
    assert asked == ["db.example"]
    await resolver.addresses(Endpoint("db.example", 3))
    assert asked == ["db.example"] * 2, "each check resolves the name again"


def _replace(monkeypatch: pytest.MonkeyPatch, lookup: Callable[[str], object]) -> None:
    monkeypatch.setattr(resolve, "_system_lookup", lookup)


async def test_a_lookup_without_a_thread_is_begun_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    resolver = Resolver()
    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", refused)
        with pytest.raises(NoThreadError):
            await resolver.addresses(Endpoint("some.invalid", 80))
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda *_, **__: [(socket.AF_INET, 1, 6, "", ("192.0.2.1", 0))]
    )
    assert await resolver.addresses(Endpoint("some.invalid", 80)) == [(socket.AF_INET, ("192.0.2.1", 80))]
