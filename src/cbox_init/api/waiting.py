"""Waiting for something on behalf of a client, for as long as it is there."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from starlette.requests import Request

T = TypeVar("T")


@asynccontextmanager
async def while_connected(
    request: Request, work: Coroutine[Any, Any, T], timeout_s: float | None = None
) -> AsyncIterator[asyncio.Task[T]]:
    """Wait until ``work`` is done, its client has gone, or the time is up; gives it as a task.

    It is cancelled when it is not done by the end of the block.
    """
    done = asyncio.create_task(work)
    gone = asyncio.create_task(_until_gone(request))
    try:
        await asyncio.wait((done, gone), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        yield done
    finally:
        done.cancel()
        gone.cancel()


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
