"""Replies in JSON, and the status of each error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET, Raw, Struct
from msgspec.json import Encoder
from msgspec.structs import asdict
from starlette.exceptions import HTTPException
from starlette.responses import Response

from cbox_init.api.schemas import ErrorReply
from cbox_init.errors import (
    CboxError,
    ConfigError,
    Conflict,
    InvalidScale,
    NotAudited,
    NothingSelected,
    NotScheduled,
    RequestRefused,
    UnknownChange,
    UnknownInstance,
    UnknownNotification,
    UnknownProcess,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from starlette.requests import Request
    from starlette.types import ExceptionHandler, Send

_JSON = (b"content-type", b"application/json")

_ENCODER = Encoder()

_NOT_FOUND = (
    UnknownProcess,
    UnknownInstance,
    NothingSelected,
    NotScheduled,
    UnknownChange,
    UnknownNotification,
)

#: Levels of lists and objects that a reply keeps when it is too deep to be written.
_DEEPEST = 64


def encode(reply: object) -> bytes:
    """``reply`` as JSON.

    What JSON cannot hold, such as text that is not UTF-8, is replaced: a value that a child wrote must not
    make an error of the whole reply.
    """
    try:
        return _ENCODER.encode(reply)
    except (ValueError, TypeError, RecursionError):
        return _ENCODER.encode(_writable(reply, _DEEPEST))


def _writable(value: object, levels: int) -> object:
    """``value`` with text, names and depth that JSON can hold."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, Struct):
        value = {name: member for name, member in asdict(value).items() if member is not UNSET}
    if isinstance(value, dict):
        if not levels:
            return {}
        return {_writable(str(name), 0): _writable(member, levels - 1) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_writable(member, levels - 1) for member in value] if levels else []
    return value if isinstance(value, int | float | Raw | None) else str(value)


class RequestError(CboxError):
    """A request that the API refuses with ``status``; ``details`` has one entry for each problem."""

    status = 400

    def __init__(self, message: str, *details: str) -> None:
        super().__init__(message)
        self.details = details


class BadRequestError(RequestError):
    """A malformed request. The message says what is expected."""


class InvalidBodyError(RequestError):
    """A body that is malformed or invalid."""

    def __init__(self, *details: str) -> None:
        super().__init__("invalid request body", *details)


class BodyTooLargeError(RequestError):
    """A body above the limit."""

    status = 413

    def __init__(self, most_bytes: int) -> None:
        super().__init__(f"request body is larger than api_max_request_body ({most_bytes} bytes)")


class ForbiddenError(RequestError):
    """The caller may not do this; ``details`` say what is missing."""

    status = 403

    def __init__(self, *details: str) -> None:
        super().__init__("forbidden", *details)


class BodyTooSlowError(RequestError):
    """A body that did not arrive in time. The connection is closed: the rest would be read as a request."""

    status = 408

    def __init__(self) -> None:
        super().__init__("request body did not come in time")


def json_response(reply: Struct, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A reply of the API."""
    return Response(encode(reply), status, headers, "application/json")


def error_response(
    status: int, message: str, details: tuple[str, ...] = (), headers: Mapping[str, str] | None = None
) -> Response:
    """The reply to a request that failed."""
    return json_response(ErrorReply(message, details or UNSET), status, headers)


async def send_body(
    send: Send, body: bytes, status: int = 200, headers: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    """Send an encoded JSON body."""
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": status, "headers": [_JSON, length, *headers]})
    await send({"type": "http.response.body", "body": body})


async def send_error(
    send: Send, status: int, message: str, headers: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    """Send an error from outside the application."""
    await send_body(send, encode(ErrorReply(message)), status, headers)


async def _request_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    headers = {"connection": "close"} if isinstance(error, BodyTooSlowError) else None
    return error_response(error.status, str(error), error.details, headers)


async def _refused(request: Request, error: Exception) -> Response:
    """A command that the supervisor refuses."""
    if isinstance(error, InvalidScale):
        return await _request_error(request, InvalidBodyError(str(error)))
    if isinstance(error, NotAudited):
        return error_response(503, "the change is refused: audit_required is set", (str(error),))
    if isinstance(error, _NOT_FOUND):
        return error_response(404, str(error))
    return error_response(409 if isinstance(error, Conflict) else 422, str(error))


async def _bad_configuration(request: Request, error: Exception) -> Response:
    """A well-formed but invalid configuration; nothing was changed."""
    assert isinstance(error, ConfigError)
    details = tuple(str(problem) for problem in error.problems if problem.severity == "error")
    return error_response(422, "invalid configuration, nothing was changed", details)


async def _http_error(request: Request, error: Exception) -> Response:
    """An error of Starlette, such as an unknown path."""
    assert isinstance(error, HTTPException)
    return error_response(error.status_code, error.detail.lower(), headers=error.headers)


async def _defect(request: Request, error: Exception) -> Response:
    """A defect of the daemon; the error is logged by the server."""
    return error_response(500, "internal error: the log of the daemon says where")


EXCEPTION_HANDLERS: Mapping[type[Exception], ExceptionHandler] = {
    RequestError: _request_error,
    RequestRefused: _refused,
    ConfigError: _bad_configuration,
    HTTPException: _http_error,
    Exception: _defect,
}
