"""From the writer's thread to the event loop."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


def call_in_loop(loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> None:
    """Call ``callback`` in the thread of ``loop``; nothing when that loop has been closed meanwhile."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(callback)
