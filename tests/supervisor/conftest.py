"""Supervisors with real children."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cbox_init.system.subreaper import become_subreaper
from tests.supervisor.house import Build, House

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def build(tmp_path: Path) -> AsyncIterator[Build]:
    """Makes supervisors from the text of a configuration; started, and ended after the test."""
    become_subreaper()
    houses: list[House] = []

    def make(text: str, *, start: bool = True) -> House:
        folder = tmp_path / str(len(houses))
        folder.mkdir()
        house = House(folder, text)
        houses.append(house)
        if start:
            house.supervisor.start_all()
        house.attach()
        return house

    yield make
    for house in houses:
        await house.close()
