"""Keeps web pages of other sites away from the TCP port, and lets in those of ``api_cors_origins``.

A browser on this machine, or behind the firewall, sends requests for any page: a form of another site, or
a request to a name of an attacker that leads to 127.0.0.1 (DNS rebinding).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cbox_init.api.replies import encode, send_body
from cbox_init.api.schemas import ErrorReply
from cbox_init.config.acl import parse_address

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_WITHOUT_EFFECT: Final = ("GET", "HEAD", "OPTIONS")
_FROM_OUR_PAGES: Final = (b"same-origin", b"none")

_OTHER_HOST: Final = "the Host header is neither localhost nor an address; see api_cors_origins"
_ANY_NAME: Final = "a page under a name that leads here has sent this; set api_auth, or see api_cors_origins"
_OTHER_SITE: Final = "a page of another site has sent this; see api_cors_origins"

_PREFLIGHT: Final = (
    (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, DELETE"),
    (b"access-control-allow-headers", b"authorization, content-type, last-event-id"),
    (b"access-control-max-age", b"600"),
)


class RefuseOtherSites:
    """Answers 403 to requests that change something and come from pages of other sites, or under a name that
    an attacker could have given to our address.

    No attacker can choose an address, ``names``, and the hosts of the ``origins``. With ``only_these`` every
    request with another Host header is refused, whoever sends it.
    """

    def __init__(
        self, app: ASGIApp, origins: Iterable[str], names: Iterable[str], *, only_these: bool
    ) -> None:
        self._app = app
        self._origins = _as_sent(origins)
        hosts = (host_of(origin.partition("://")[2]) for origin in origins)
        self._names = {*map(str.lower, names), *hosts}
        self._only_these = only_these

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (reason := self._reason(scope)) is not None:
            await _forbid(send, reason)
        else:
            await self._app(scope, receive, send)

    def _reason(self, scope: Scope) -> str | None:
        """Why a request is refused."""
        ours = all(map(self._is_ours, _values(scope, b"host")))
        if self._only_these and not ours:
            return _OTHER_HOST
        if scope["method"] in _WITHOUT_EFFECT:
            return None
        if self._is_of_another_site(scope):
            return _OTHER_SITE
        # A browser that is led here by such a name has no certificate of it.
        if not ours and scope["scheme"] == "http" and self._is_of_a_page(scope):
            return _ANY_NAME
        return None

    def _is_of_a_page(self, scope: Scope) -> bool:
        """Whether a page has sent it whose origin is not one of ours."""
        origins = [origin.lower() for origin in _values(scope, b"origin")]
        if origins:
            return not self._origins.issuperset(origins)
        return any(_values(scope, b"sec-fetch-site"))

    def _is_ours(self, authority: bytes) -> bool:
        host = host_of(authority.decode("latin-1"))
        return host in self._names or host.endswith(".localhost") or parse_address(host) is not None

    def _is_of_another_site(self, scope: Scope) -> bool:
        """What is not sent by a browser has neither header."""
        origins = [origin.lower() for origin in _values(scope, b"origin")]
        if origins and self._origins.issuperset(origins):
            return False
        ours = {
            scheme + host.lower() for host in _values(scope, b"host") for scheme in (b"http://", b"https://")
        }
        return not ours.issuperset(origins) or any(
            site not in _FROM_OUR_PAGES for site in _values(scope, b"sec-fetch-site")
        )


class AllowOrigins:
    """Lets pages of ``origins`` read the replies, and answers what browsers ask before a request (CORS)."""

    def __init__(self, app: ASGIApp, origins: Iterable[str]) -> None:
        self._app = app
        self._origins = _as_sent(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        origin = next(_values(scope, b"origin"), None)
        headers = [(b"vary", b"Origin")]
        if origin is not None and origin.lower() in self._origins:
            headers.append((b"access-control-allow-origin", origin))
            if scope["method"] == "OPTIONS" and any(_values(scope, b"access-control-request-method")):
                await send({"type": "http.response.start", "status": 204, "headers": [*headers, *_PREFLIGHT]})
                await send({"type": "http.response.body", "body": b""})
                return
            headers.append((b"access-control-expose-headers", b"retry-after"))

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *headers]
            await send(message)

        await self._app(scope, receive, send_with_headers)


def host_of(authority: str) -> str:
    """The host of ``HOST``, ``HOST:PORT`` or ``[ADDRESS]:PORT``, in lower case, without a last dot.

    It is empty when something else follows the address.
    """
    if authority.startswith("["):
        address, _, port = authority[1:].partition("]")
        return address.lower() if port[:1] in ("", ":") else ""
    return authority.partition(":")[0].lower().removesuffix(".")


def _as_sent(origins: Iterable[str]) -> frozenset[bytes]:
    return frozenset(origin.lower().encode() for origin in origins)


def _values(scope: Scope, wanted: bytes) -> Iterator[bytes]:
    return (value.strip() for name, value in scope["headers"] if name == wanted)


async def _forbid(send: Send, reason: str) -> None:
    await send_body(send, encode(ErrorReply("forbidden", (reason,))), 403)
