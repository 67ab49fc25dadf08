"""Supervisors with real children."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import pytest

from cbox_init.system.reaper import become_subreaper
from tests.supervisor.house import Build, House

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path


@pytest.fixture
def adopted_orphans() -> Iterator[None]:
    """Orphans of this process's children become its children, as in the daemon."""
    assert become_subreaper()
    yield
    _be_no_subreaper()


@pytest.fixture
async def build(tmp_path: Path, adopted_orphans: None) -> AsyncIterator[Build]:
    """Makes supervisors from the text of a configuration; started, and ended after the test."""
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
    for house in reversed(houses):  # each puts back the signal handling of the one before
        await house.close()


def _be_no_subreaper() -> None:
    """Other tests count the children of this process, and must not inherit any."""
    pr_set_child_subreaper = 36
    assert ctypes.CDLL(None).prctl(pr_set_child_subreaper, 0, 0, 0, 0) == 0
