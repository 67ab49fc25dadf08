"""What the tests of notifications share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.supervisor.notifications.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()
