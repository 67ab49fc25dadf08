"""One-time login codes, and the sessions that are begun with them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from msgspec import UNSET

from cbox_init.api import queries
from cbox_init.api.authentication import session_token_of
from cbox_init.api.bodies import read_body
from cbox_init.api.caller import address_of, caller_of
from cbox_init.api.guards import NotVerifiedError
from cbox_init.api.replies import BadRequestError, error_response, json_response
from cbox_init.api.resource import LOGIN_PATH, Operation, Parameter, Reply, Resource, answering
from cbox_init.api.schemas_sessions import LoginCode, SessionEnded, SessionReply, SessionRequest
from cbox_init.config.acl import parse_address
from cbox_init.config.model.enums import Role
from cbox_init.errors import Conflict

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from cbox_init.api.authentication import Credentials
    from cbox_init.api.context import Context
    from cbox_init.config.model import GlobalConfig

_ROLE: Final = Parameter(
    "role",
    "The role of the session, at most that of the caller, which it has by default.",
    {"type": "string", "enum": [role.value for role in Role]},
)
#: What must not be kept by anything between the daemon and the client.
_SECRET: Final = {"cache-control": "no-store"}
_UNKNOWN: Final = "the login code is unknown, was used, or is too old: get a new one with cbox-init open"


def resources(context: Context) -> tuple[Resource, ...]:
    """``/sessions``, ``/sessions/codes`` and ``/sessions/current``."""

    def credentials() -> Credentials:
        assert context.credentials is not None, "the daemon has them"
        return context.credentials

    async def new_code(request: Request) -> Response:
        caller, known = caller_of(request.scope), credentials()
        assert caller is not None, "this operation needs a role"
        settings = known.current()
        role = _role_of(request)
        issuer = known.issuer_of(request.scope, caller)
        if issuer is None:
            if caller.kind == "session":
                raise Conflict("a session begins no other: use a token, or cbox-init open on the machine")
            raise Conflict("no token is needed here: open the page without a login code")
        from cbox_init.api.sessions import CODE_TAKES_S

        try:
            code, given = known.open_sessions().new_code(caller, issuer, role)
        except NotVerifiedError as error:
            return _later(error)
        page, hint = page_of(settings)
        reply = LoginCode(
            code=code,
            expires_in=CODE_TAKES_S,
            role=given.value,
            login=known.identified,
            page=UNSET if page is None else page,
            hint=UNSET if hint is None else hint,
        )
        return json_response(reply, 201, _SECRET)

    async def begin(request: Request) -> Response:
        given = await read_body(request, SessionRequest)
        sessions = credentials().open_sessions()
        try:
            session = sessions.exchange(given.code, address_of(request.scope))
        except NotVerifiedError as error:
            return _later(error)
        if session is None:
            return error_response(401, "unauthorized", (_UNKNOWN,), {"www-authenticate": "Bearer"})
        reply = SessionReply(token=session.token, role=session.role.value, expires_at=session.expires_unix)
        return json_response(reply, 201, _SECRET)

    async def end(request: Request) -> Response:
        caller, token = caller_of(request.scope), session_token_of(request.scope)
        if caller is None or caller.kind != "session" or token is None:
            raise Conflict("this request was not sent with the token of a session")
        credentials().open_sessions().end(token)
        context.streams.end_refused()
        return json_response(SessionEnded("session ended"))

    return (
        Resource(
            f"{LOGIN_PATH}/codes",
            {
                "POST": Operation(
                    answering(new_code),
                    role=Role.VIEWER,
                    name="createLoginCode",
                    summary="A one-time code with which the web page, or another client, begins a session",
                    replies={201: Reply("It counts once, for a short time.", LoginCode)},
                    errors=(400, 409),
                    parameters=(_ROLE,),
                )
            },
        ),
        Resource(
            LOGIN_PATH,
            {
                "POST": Operation(
                    answering(begin),
                    role=None,
                    name="beginSession",
                    summary="Exchange a login code for the token of a session",
                    replies={201: Reply("The session has begun.", SessionReply)},
                    errors=(400, 401, 408),
                    body=SessionRequest,
                )
            },
        ),
        Resource(
            f"{LOGIN_PATH}/current",
            {
                "DELETE": Operation(
                    answering(end),
                    role=Role.VIEWER,
                    name="endSession",
                    summary="End the session whose token this request was sent with",
                    replies={200: Reply("The token counts no more.", SessionEnded)},
                    errors=(409,),
                )
            },
        ),
    )


def _role_of(request: Request) -> Role | None:
    given = request.query_params.get("role")
    try:
        return Role(given) if given is not None else None
    except ValueError:
        words = ", ".join(role.value for role in Role)
        raise BadRequestError(f"role must be one of {words}, not {queries.shown(given or '')}") from None


def page_of(settings: GlobalConfig) -> tuple[str | None, str | None]:
    """The address of the web page as this machine reaches it; else None, and what to do."""
    if not settings.api_enabled:
        return None, "there is no web page: set global.api_enabled: true and start the daemon again"
    if not settings.api_ui:
        return None, "there is no web page: remove global.api_ui: false and start the daemon again"
    scheme = "https" if settings.api_tls is not None and settings.api_tls.enabled else "http"
    host = settings.api_host
    address = parse_address(host)
    if not host or (address is not None and address.number == 0):  # every address of this machine
        host = "localhost"
    elif ":" in host:
        host = f"[{host.strip('[]')}]"
    return f"{scheme}://{host}:{settings.api_port}/", None


def _later(error: NotVerifiedError) -> Response:
    return error_response(error.status, str(error), (), {"retry-after": str(math.ceil(error.wait_s))})
