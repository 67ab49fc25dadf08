"""Services with real children and real sockets."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.api.service import Serve, Service, server_for
from tests.supervisor.conftest import adopted_orphans, build  # noqa: F401  # the fixtures

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.supervisor.house import Build


@pytest.fixture
async def serve(build: Build) -> AsyncIterator[Serve]:  # noqa: F811
    """Makes services; ended after the test."""
    services: list[Service] = []
    yield server_for(build, services)
    for service in services:
        await service.close()
        shutil.rmtree(os.path.dirname(service.path))


@pytest.fixture
async def service(serve: Serve) -> Service:
    """A process ``web`` with two instances, no token, no rate limit."""
    made = await serve()
    await made.house.until(lambda: len(made.house.pids("web")) == 2)
    return made
