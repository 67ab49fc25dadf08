"""The bearer token."""

from __future__ import annotations

from hmac import compare_digest
from typing import TYPE_CHECKING

from cbox_init.api.replies import send_error

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from cbox_init.config.secret import Secret

OPEN_PATH = "/api/v1/health"
"""The one path that needs no token, so that a container's health check holds no secret."""

_CHALLENGE = ((b"www-authenticate", b"Bearer"),)


class RequireToken:
    """Passes on what carries ``Authorization: Bearer TOKEN``, and answers 401 to the rest."""

    def __init__(self, app: ASGIApp, token: Secret) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == OPEN_PATH or carries_token(scope["headers"], self._token):
            await self._app(scope, receive, send)
        else:
            await send_error(send, 401, "unauthorized", _CHALLENGE)


def carries_token(headers: Iterable[tuple[bytes, bytes]], token: Secret) -> bool:
    """Whether the first Authorization header holds the token; takes as long for a near miss as for any."""
    for name, value in headers:
        if name == b"authorization":
            scheme, _, given = value.strip().partition(b" ")
            wanted = token.reveal().encode()
            return scheme.lower() == b"bearer" and compare_digest(given.lstrip(b" "), wanted)
    return False
