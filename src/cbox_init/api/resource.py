"""A path with its methods, for the application and for the OpenAPI document."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from starlette.requests import Request

from cbox_init.api.replies import error_response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

JSON = "application/json"


class Parameter(NamedTuple):
    """One parameter of the query or of the path. ``schema`` is its JSON schema."""

    name: str
    description: str
    schema: Mapping[str, object]
    where: str = "query"


class Reply(NamedTuple):
    """One reply: its meaning, type and media type. Without a type it is any JSON, or any text."""

    description: str
    type: type | None = None
    media: str = JSON


class Operation(NamedTuple):
    """One method of a path.

    ``app`` serves it. ``name`` is its operationId. ``errors`` are the statuses of its own errors, in addition
    to those that all operations share.
    """

    app: ASGIApp
    name: str
    summary: str
    replies: Mapping[int, Reply]
    errors: tuple[int, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    body: object = None


class Resource:
    """One path. Other methods are answered with 405 and an Allow header."""

    def __init__(self, path: str, operations: Mapping[str, Operation]) -> None:
        self.path = path
        self.operations = operations
        self._apps = {method: operation.app for method, operation in operations.items()}
        if "GET" in self._apps:
            self._apps["HEAD"] = self._apps["GET"]
        self._allow = {"allow": ", ".join(sorted(self._apps))}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._apps.get(scope["method"])
        if app is None:
            response = error_response(405, "method not allowed", headers=self._allow)
            await response(scope, receive, send)
        else:
            await app(scope, receive, send)


def answering(handler: Callable[[Request], Awaitable[Response]]) -> ASGIApp:
    """An ASGI application from a function of a request; its errors become replies in the application."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        response = await handler(Request(scope, receive, send))
        await response(scope, receive, send)

    return app
