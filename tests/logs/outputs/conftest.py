"""Waiting for threads."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.logs.conftest import DEADLINE_S

if TYPE_CHECKING:
    from collections.abc import Callable


def wait_for(condition: Callable[[], object], what: str = "") -> None:
    """Until ``condition`` holds, for tests without an event loop."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.002)
