from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cbox_init.system.spawn import Spawner

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def spawner() -> Iterator[Spawner]:
    spawner = Spawner()
    yield spawner
    spawner.close()
