"""Work that may stall, such as reading a file, off the event loop."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, TypeVar

from cbox_init.logs.threads import call_in_loop

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")


async def in_thread(work: Callable[[], _T], *, name: str, timeout_s: float) -> _T:
    """What ``work`` returns or raises; TimeoutError when it takes longer.

    The thread is of its own and does not keep the daemon from ending, also when a file system never answers.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_T] = loop.create_future()

    def settle(result: _T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        try:
            result = work()
        except Exception as error:  # noqa: BLE001  # it is raised where the work was asked for
            caught = error
            call_in_loop(loop, lambda: settle(None, caught))
        else:
            call_in_loop(loop, lambda: settle(result, None))

    threading.Thread(target=run, name=name, daemon=True).start()
    async with asyncio.timeout(timeout_s):
        return await done
