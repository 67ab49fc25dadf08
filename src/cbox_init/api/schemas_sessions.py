"""The JSON of one-time login codes and of sessions."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

RoleName = Annotated[str, Meta(extra_json_schema={"enum": ["viewer", "operator", "admin"]})]


class LoginCode(Struct, frozen=True, kw_only=True):
    """A code that begins one session, for whoever has it."""

    code: str
    expires_in: Annotated[int, Meta(ge=1, description="Seconds until it counts no more.")]
    role: RoleName
    login: Annotated[bool, Meta(description="Whether the page needs it; not where the port needs no token.")]
    page: Annotated[str, Meta(description="The address of the web page, without the code.")] | UnsetType = (
        UNSET
    )
    hint: Annotated[str, Meta(description="Where there is no page: why not, and what to do.")] | UnsetType = (
        UNSET
    )


class SessionRequest(Struct, frozen=True):
    """A login code; it counts once."""

    code: Annotated[str, Meta(min_length=1, max_length=200)]


class SessionReply(Struct, frozen=True, kw_only=True):
    """A session has begun. Its token is sent as a bearer token, as those of ``api_tokens`` are."""

    token: str
    role: RoleName
    expires_at: Annotated[float, Meta(ge=0, description="When it ends, in Unix seconds.")]


class SessionEnded(Struct, frozen=True):
    """The session has ended."""

    message: str
