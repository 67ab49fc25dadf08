"""Servers of ASGI applications."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import pytest

from cbox_init.api.http.asgi import AsgiHandler
from tests.api.http.running import Log, Run, Running
from tests.supervisor.health.certificates import make_certificate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.types import ASGIApp


@pytest.fixture
async def run() -> AsyncIterator[Run]:
    """Makes servers of ASGI applications; closed after the test."""
    made: list[tuple[Running, AsgiHandler]] = []

    def make(app: ASGIApp, **limits: Any) -> Running:
        log = Log()
        handler = AsgiHandler(app, log)
        made.append((Running(handler, log, **limits), handler))
        return made[-1][0]

    yield make
    for running, handler in made:
        await running.server.close(1)
        await handler.close()
        running.listener.close()


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], ssl.SSLContext]:
    certificate = make_certificate(tmp_path_factory.mktemp("tls"), "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.cert, certificate.key)
    return lambda: context
