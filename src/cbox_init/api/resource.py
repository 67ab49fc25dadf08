"""A path with its methods, for the application and for the OpenAPI document."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

from starlette.requests import Request

from cbox_init.acting import Acting, acting
from cbox_init.api.caller import actor_of, caller_of
from cbox_init.api.replies import ForbiddenError, error_response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

    from cbox_init.api.caller import Caller
    from cbox_init.config.model.enums import Role

JSON = "application/json"

OPEN_PATH: Final = "/api/v1/health"
"""The one path that needs no token, so that a container's health check holds no secret."""

LOGIN_PATH: Final = "/api/v1/sessions"
"""Where a one-time code is exchanged for a session token: whoever has the code may do that."""

_READS: Final = ("GET", "HEAD")

_NO_ROLE: Final = {
    "certificate": "see api_certificate_roles",
    "socket": "see api_socket_roles",
}


class Parameter(NamedTuple):
    """One parameter of the query or of the path. ``schema`` is its JSON schema."""

    name: str
    description: str
    schema: Mapping[str, object]
    where: str = "query"
    required: bool = False


class Reply(NamedTuple):
    """One reply: its meaning, type and media type. Without a type it is any JSON, or any text.

    ``also`` is another media type, as text, that it can have.
    It is of one of ``others`` where the request has asked for that. ``located``: whether
    with a header Location; by default when it names a change.
    """

    description: str
    type: type | None = None
    media: str = JSON
    also: str | None = None
    others: tuple[object, ...] = ()
    located: bool | None = None


class Operation(NamedTuple):
    """One method of a path.

    ``app`` serves it. ``role`` is the least that its caller needs, None for anyone; where the path names a
    process, the caller's ``processes`` have to match it. ``limited``: the reply shows only the processes that
    match. ``configuration``: it shows configuration. ``name`` is its operationId. ``errors`` are the statuses
    of its own errors, in addition to those that all operations share.
    """

    app: ASGIApp
    role: Role | None
    name: str
    summary: str
    replies: Mapping[int, Reply]
    errors: tuple[int, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    body: object = None
    limited: bool = False
    configuration: bool = False


class Resource:
    """One path. Other methods are answered with 405 and an Allow header."""

    def __init__(self, path: str, operations: Mapping[str, Operation]) -> None:
        self.path = path
        self.operations = operations
        self._by_method = dict(operations)
        if "GET" in operations:
            self._by_method["HEAD"] = operations["GET"]
        self._allow = {"allow": ", ".join(sorted(self._by_method))}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        operation = self._by_method.get(scope["method"])
        if operation is None:
            response = error_response(405, "method not allowed", headers=self._allow)
            await response(scope, receive, send)
            return
        if operation.role is not None:
            authorize(caller_of(scope), operation, scope["path_params"].get("name"))
        if scope["method"] in _READS:
            await operation.app(scope, receive, send)
            return
        with _asked_for_by(scope):
            await operation.app(scope, receive, send)


@contextmanager
def _asked_for_by(scope: Scope) -> Iterator[None]:
    """Carry out the block for the sender of a request, and as a part of its trace."""
    who = acting.set(Acting(actor_of(scope))) if acting.get() is None else None
    trace = None
    if any(name == b"traceparent" for name, _ in scope["headers"]):
        from cbox_init.tracing.context import from_headers, requested

        trace = requested.set(from_headers(scope["headers"]))
    try:
        yield
    finally:
        if who is not None:
            acting.reset(who)
        if trace is not None:
            trace.var.reset(trace)


def authorize(caller: Caller | None, operation: Operation, process: str | None) -> None:
    """Raise ForbiddenError when ``caller`` may not do this, with ``process`` where the path names one."""
    needed = operation.role
    assert needed is not None
    if caller is None:
        raise ForbiddenError("this needs a token")
    if caller.role is None:
        raise ForbiddenError(f"{caller} has no role: {_NO_ROLE.get(caller.kind, 'this needs a token')}")
    if not caller.role.includes(needed) and not (operation.configuration and caller.kind == "anonymous"):
        if caller.kind == "anonymous":
            raise ForbiddenError(
                f"this needs the role {needed}: set api_auth or api_tokens and send a token, "
                "or use the Unix socket"
            )
        raise ForbiddenError(f"this needs the role {needed}: {caller} has the role {caller.role}")
    if process is not None:
        check_process(caller, process)


def check_process(caller: Caller | None, process: str) -> None:
    """Raise ForbiddenError when the patterns of ``caller`` do not match ``process``."""
    if caller is not None and not caller.processes.match(process):
        raise ForbiddenError(f"{caller} is limited to the processes {caller.processes}: not {process}")


def answering(handler: Callable[[Request], Awaitable[Response]]) -> ASGIApp:
    """An ASGI application from a function of a request; its errors become replies in the application."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        response = await handler(Request(scope, receive, send))
        await response(scope, receive, send)

    return app
