"""The OpenAPI document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cbox_init.api.openapi import document
from cbox_init.api.replies import send_body
from cbox_init.api.resource import Operation, Reply, Resource
from cbox_init.config.model.enums import Role
from cbox_init.threads import NoThreadError, in_thread

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import Receive, Scope, Send

PATH: Final = "/api/v1/openapi.json"
_TAKES_S: Final = 10.0


def resources(others: Iterable[Resource]) -> tuple[Resource, ...]:
    """``/openapi.json``, which describes ``others`` and itself; generated at the first request."""
    body = b""

    def make() -> bytes:
        return document((*others, itself))

    async def get(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal body
        # In a thread: 60 ms. A daemon that can start none makes it in the event loop.
        if not body:
            try:
                body = await in_thread(make, name="api-openapi", timeout_s=_TAKES_S)
            except (NoThreadError, TimeoutError):
                body = make()
        await send_body(send, body)

    operation = Operation(
        get,
        role=Role.VIEWER,
        name="getOpenApi",
        summary="This document",
        replies={200: Reply("OpenAPI 3.1.")},
    )
    itself = Resource(PATH, {"GET": operation})
    return (itself,)
