"""Records requests in the audit trail: who asks for a change, what comes of it, and who is refused.

Imported only where ``audit_enabled`` is set.
"""

from __future__ import annotations

import os
import time
from itertools import count
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from cbox_init.acting import Acting, acting
from cbox_init.api.authentication import bearer
from cbox_init.api.caller import actor_of
from cbox_init.api.replies import encode, send_body
from cbox_init.api.schemas import ErrorReply
from cbox_init.audit.record import Target
from cbox_init.config.secret import MASK
from cbox_init.errors import NotAudited
from cbox_init.sensitive import sounds_secret

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from cbox_init.acting import Actor
    from cbox_init.audit.record import Status
    from cbox_init.audit.trail import AuditTrail

_READS: Final = frozenset(("GET", "HEAD", "OPTIONS"))
_REQUEST_ID: Final = b"x-request-id"
_PROCESSES: Final = "/api/v1/processes"
_CONFIG: Final = "/api/v1/config/"

#: That a caller has authenticated is recorded once an hour for each address, of the last 1024 callers.
_KNOWN_FOR_S: Final = 3600.0
_MOST_KNOWN: Final = 1024

#: How many characters of a query or a header are shown.
_LONGEST: Final = 1000

#: A token that is shorter may be part of any text.
_SHORTEST_TOKEN: Final = 8


class RecordRequests:
    """Records each change that an authenticated client asks for, before and after it is made.

    With ``audit_required`` a change whose record cannot be written is refused with 503. Reads are recorded
    with ``audit_reads`` only, after the answer.
    """

    def __init__(self, app: ASGIApp, audit: AuditTrail) -> None:
        self._app = app
        self._audit = audit
        self._known: dict[tuple[str, str, str], float] = {}
        self._start = os.urandom(4).hex()
        self._numbers = count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        actor = actor_of(scope)
        request_id = f"{self._start}-{next(self._numbers)}"
        self._note_success(actor)
        begun = time.monotonic()
        status = 0

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (_REQUEST_ID, request_id.encode())]
            await send(message)

        action, target = _what(scope)
        if scope["method"] in _READS:
            await self._app(scope, receive, noting)
            if self._audit.reads:
                self._note_response(action, target, actor, request_id, status, begun)
            return
        given, agent = _header(scope, _REQUEST_ID), _header(scope, b"user-agent")
        token = acting.set(Acting(actor, request_id))
        try:
            await self._audit.require(
                "api.request",
                action,
                target,
                query=_query_of(scope),
                client_request_id=given,
                user_agent=agent,
            )
        except NotAudited as error:
            await _refuse(noting, error)
        else:
            await self._app(scope, receive, noting)
        finally:
            acting.reset(token)
            self._note_response(action, target, actor, request_id, status, begun)

    def _note_response(
        self, action: str, target: Target, actor: Actor, request_id: str, status: int, begun: float
    ) -> None:
        self._audit.note(
            "api.response",
            action,
            target,
            actor=actor,
            status=_outcome(status),
            request_id=request_id,
            http_status=status or None,
            duration_ms=round((time.monotonic() - begun) * 1000, 1),
        )

    def _note_success(self, actor: Actor) -> None:
        """Record that a token, a certificate or a session was accepted, now and then."""
        if actor.type not in ("token", "certificate", "session"):
            return
        key, now = (actor.type, actor.id, actor.ip), time.monotonic()
        known_at = self._known.pop(key, None)
        if known_at is None or now - known_at > _KNOWN_FOR_S:
            known_at = now
            self._audit.note("auth.success", "authenticate", Target("api", "api", "api"), actor=actor)
        self._known[key] = known_at
        if len(self._known) > _MOST_KNOWN:
            del self._known[next(iter(self._known))]


class RecordRefusals:
    """Records requests that are answered with 401, 403 or 429, as many as `audit.limits` allows."""

    def __init__(self, app: ASGIApp, audit: AuditTrail) -> None:
        self._app = app
        self._audit = audit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] in (401, 403, 429):
                self._note(scope, message["status"])
            await send(message)

        await self._app(scope, receive, noting)

    def _note(self, scope: Scope, status: int) -> None:
        event_type = "rate_limit.exceed" if status == 429 else "auth.failure"
        self._audit.note(
            event_type,
            *_what(scope),
            actor=actor_of(scope),
            status="denied",
            message={401: "token missing or wrong", 403: "not permitted", 429: "too many requests"}[status],
            http_status=status,
        )


def _what(scope: Scope) -> tuple[str, Target]:
    """The action and the target of a request."""
    path = _without_token(scope, scope["path"])
    return f"{scope['method']} {path}", _target_of(path)


def _target_of(path: str) -> Target:
    if path.startswith(_PROCESSES):
        name = path.removeprefix(_PROCESSES).strip("/").partition("/")[0]
        return Target("process", name, name)
    if path.startswith(_CONFIG):
        return Target("config", "configuration", "configuration")
    return Target("api", path, path)


def _query_of(scope: Scope) -> str | None:
    """The query, with the values of parameters that sound secret masked."""
    query: str = _without_token(scope, scope["query_string"].decode("latin-1"))[:_LONGEST]
    return "&".join(map(_masked, query.split("&"))) or None


def _masked(parameter: str) -> str:
    name, sign, _ = parameter.partition("=")
    return f"{name}={MASK}" if sign and sounds_secret(unquote(name)) else parameter


def _header(scope: Scope, wanted: bytes) -> str | None:
    for name, value in scope["headers"]:
        if name == wanted:
            return _without_token(scope, bytes(value).decode("latin-1"))[:_LONGEST]
    return None


def _without_token(scope: Scope, text: str) -> str:
    """``text`` without the token that the request was sent with, as a client may have it elsewhere too.

    The tokens of files are not among the known secrets.
    """
    for name, value in scope["headers"]:
        if name == b"authorization":
            token = (bearer(value) or b"").decode("latin-1")
            if len(token) >= _SHORTEST_TOKEN:
                text = text.replace(token, MASK)
    return text


def _outcome(status: int) -> Status:
    if status in (401, 403):
        return "denied"
    return "success" if 200 <= status < 400 else "failure"


async def _refuse(send: Send, error: NotAudited) -> None:
    reply = ErrorReply("the change is refused: audit_required is set", (str(error),))
    await send_body(send, encode(reply), 503)
