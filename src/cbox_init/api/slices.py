"""Long work in the event loop, cut so that other requests need not wait for it."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Final

#: How long one request may work in one turn of the event loop, in seconds.
_SLICE_S: Final = 0.002


class Slices:
    """The part that one request has of the event loop's turns."""

    def __init__(self) -> None:
        self._end = monotonic() + _SLICE_S

    async def breathe(self) -> None:
        """Let the others have their turn, if this one has lasted long enough. To be called often."""
        if monotonic() >= self._end:
            await asyncio.sleep(0)
            self._end = monotonic() + _SLICE_S
