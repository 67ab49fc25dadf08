"""What only a collection of garbage can free."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Of asyncio's own objects, those of a connection.
_OURS = ("cbox_init.", "asyncio.selector_events.")


@contextmanager
def no_cycles() -> Iterator[None]:
    """AssertionError when objects of ours that became garbage in the block are parts of cycles."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        names = sorted(f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        if was_on:
            gc.enable()
    ours = [name for name in names if name.startswith(_OURS)]
    assert not ours, f"freed by collections alone: {', '.join(dict.fromkeys(ours))}"
