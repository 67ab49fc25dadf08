"""The OpenAPI document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cbox_init.api.openapi import document
from cbox_init.api.replies import send_body
from cbox_init.api.resource import Operation, Reply, Resource
from cbox_init.config.model.enums import Role

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import Receive, Scope, Send

PATH: Final = "/api/v1/openapi.json"


def resources(others: Iterable[Resource]) -> tuple[Resource, ...]:
    """``/openapi.json``, which describes ``others`` and itself; generated at the first request."""
    body = b""

    async def get(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal body
        body = body or document((*others, itself))
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
