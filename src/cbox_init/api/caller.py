"""Who sends a request and what this caller may do, for the routes and the audit."""

from __future__ import annotations

from fnmatch import fnmatchcase
from math import inf
from typing import TYPE_CHECKING, Final, Literal, cast

from msgspec import Struct

from cbox_init.acting import Actor
from cbox_init.api.http.places import plain_address

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping
    from typing import Any

    from cbox_init.config.model.enums import Role

CallerKind = Literal["token", "certificate", "socket", "session", "loopback", "anonymous"]

#: How the token of a session begins, so that it is not compared with the hashes of others.
SESSION_PREFIX: Final = b"cbox-session-"

_KEY: Final = "cbox_init.caller"
_RECOGNISE: Final = "cbox_init.recognise"


class ProcessPatterns(Struct, frozen=True):
    """Names of processes, with ``*``, ``?`` and ``[…]`` as in a shell; none at all stands for every name."""

    patterns: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is a limit."""
        return bool(self.patterns)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.match(name)

    def match(self, name: str) -> bool:
        """Whether one of the patterns matches ``name``, or there is none."""
        return not self.patterns or any(fnmatchcase(name, pattern) for pattern in self.patterns)

    def __str__(self) -> str:
        return ", ".join(self.patterns) or "*"


class Caller(Struct, frozen=True):
    """Who sends a request.

    ``name`` is the name of a token (``api_auth`` for that one), the subject of a certificate, the user of the
    process at the other end of the Unix socket (``uid:1000``), else the kind. A caller without a ``role`` is
    known and may do nothing. ``address`` is empty on the Unix socket, ``uid`` and ``pid`` are None elsewhere.
    ``expires`` is the Unix time from which the caller is refused.
    """

    name: str
    kind: CallerKind
    role: Role | None
    processes: ProcessPatterns
    address: str
    uid: int | None = None
    pid: int | None = None
    expires: float = inf

    def __str__(self) -> str:
        """In words, for messages: ``the token deploy``."""
        match self.kind:
            case "token":
                return f"the token {self.name}"
            case "certificate":
                return f"the certificate of {self.name}"
            case "socket":
                return f"user {self.uid} on the Unix socket"
            case "session":
                return f"the session of {self.name}"
            case "loopback":
                return "a client of this machine"
        return "a client without a token"


def processes_shown_to(scope: MutableMapping[str, Any]) -> ProcessPatterns:
    """The processes that the caller of this request may see."""
    caller = caller_of(scope)
    return caller.processes if caller is not None else ProcessPatterns()


def set_caller(
    scope: MutableMapping[str, Any], caller: Caller, recognise: Callable[[], Caller | None]
) -> None:
    """Note in the ASGI scope of a request who sends it. ``recognise`` finds that out again, at once."""
    scope[_KEY] = caller
    scope[_RECOGNISE] = recognise


def is_still_allowed(scope: MutableMapping[str, Any]) -> bool:
    """Whether the caller of a request that goes on is still who it was, with the same role.

    Not when its token was taken out of the configuration or its file, has expired, or got another role.
    """
    caller = caller_of(scope)
    return caller is None or scope[_RECOGNISE]() == caller


def caller_of(scope: MutableMapping[str, Any]) -> Caller | None:
    """Who sends the request of this ASGI scope; None before the authentication, and where it has failed."""
    return cast("Caller | None", scope.get(_KEY))


def address_of(scope: MutableMapping[str, Any]) -> str:
    """The address of the client, of IPv4 where it is mapped into IPv6; empty on the Unix socket."""
    client = scope["client"]
    return plain_address(client[0]) if client else ""


def actor_of(scope: MutableMapping[str, Any]) -> Actor:
    """Who sends a request, as changes and the records of the audit show it."""
    caller = caller_of(scope)
    if caller is None:
        return Actor.anonymous(address_of(scope))
    role = None if caller.role is None else str(caller.role)
    return Actor(caller.kind, caller.name, caller.address, caller.uid, caller.pid, role)
