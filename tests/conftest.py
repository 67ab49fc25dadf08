"""What all tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbox_init.system.cgroup import Cgroups

if TYPE_CHECKING:
    import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs a cgroup v2 where none can be had: the closing line then names them deselected.

    A kernel that keeps its controllers in cgroup v1 has none, whatever is installed.
    """
    marked = [item for item in items if item.get_closest_marker("cgroup")]
    if marked and (Cgroups().lacks("memory") or Cgroups().lacks("cpu")):
        config.hook.pytest_deselected(items=marked)
        items[:] = [item for item in items if item not in marked]
