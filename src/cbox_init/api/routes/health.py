"""Whether the API answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cbox_init.api.replies import encode, send_body
from cbox_init.api.resource import OPEN_PATH, Operation, Reply, Resource
from cbox_init.api.schemas import Health

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

_BODY: Final = encode(Health("healthy"))


async def _health(scope: Scope, receive: Receive, send: Send) -> None:
    await send_body(send, _BODY)


def resources() -> tuple[Resource, ...]:
    """``/health``."""
    get = Operation(
        _health,
        role=None,
        name="getHealth",
        summary="Whether the API answers; needs no token",
        replies={200: Reply("It answers.", Health)},
    )
    return (Resource(OPEN_PATH, {"GET": get}),)
