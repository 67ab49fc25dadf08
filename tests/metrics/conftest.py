"""Supervisors with real children whose metrics are scraped over real sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.metrics.scraped import Scrape, Scraped
from tests.supervisor.conftest import adopted_orphans, build  # noqa: F401  # the fixtures

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.supervisor.house import Build


@pytest.fixture
async def scrape(build: Build) -> AsyncIterator[Scrape]:  # noqa: F811
    """Makes supervisors with metrics from ``processes`` and further keys; ended after the test."""
    made: list[Scraped] = []

    async def make(processes: str, *, more: str = "", **settings: str) -> Scraped:
        scraped = Scraped(build, processes, more, settings)
        made.append(scraped)
        await scraped.serve()
        return scraped

    yield make
    for scraped in made:
        await scraped.server.close()
