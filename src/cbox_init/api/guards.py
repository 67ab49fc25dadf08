"""Checks in front of the application: the bearer token, the rate of requests, the size of a body."""

from __future__ import annotations

import math
import time
from hmac import compare_digest
from typing import TYPE_CHECKING, Final

from cbox_init.api.caller import Caller, ProcessPatterns, set_caller
from cbox_init.api.http.asgi import EXCHANGE
from cbox_init.api.replies import BodyTooLargeError, send_error
from cbox_init.config.model.enums import Role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from cbox_init.api.caller import CallerKind
    from cbox_init.config.secret import Secret

OPEN_PATH = "/api/v1/health"
"""The one path that needs no token, so that a container's health check holds no secret."""

_CHALLENGE = ((b"www-authenticate", b"Bearer"),)

MOST_ADDRESSES: Final = 4096
"""Client addresses that are tracked; beyond that the least recently seen one is dropped."""


class RequireToken:
    """Passes requests with ``Authorization: Bearer TOKEN`` on, and answers 401 to others."""

    def __init__(self, app: ASGIApp, token: Secret) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if carries_token(scope["headers"], self._token):
            set_caller(scope, Caller("api_auth", "token", Role.ADMIN, ProcessPatterns(), address_of(scope)))
        elif scope["path"] != OPEN_PATH:
            await send_error(send, 401, "unauthorized", _CHALLENGE)
            return
        await self._app(scope, receive, send)


class NameCaller:
    """Notes who sends requests that need no token: a process on the Unix socket, or anyone on TCP."""

    def __init__(self, app: ASGIApp, *, loopback: bool = False) -> None:
        self._app = app
        self._loopback = loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        peer = scope[EXCHANGE].peer
        if scope["client"] is None:
            name = f"uid:{peer.uid}"
            caller = Caller(name, "socket", Role.ADMIN, ProcessPatterns(), "", peer.uid, peer.pid)
        else:
            kind: CallerKind = "loopback" if self._loopback else "anonymous"
            caller = Caller(kind, kind, Role.ADMIN, ProcessPatterns(), address_of(scope))
        set_caller(scope, caller)
        await self._app(scope, receive, send)


def address_of(scope: Scope) -> str:
    """The address of the client, of IPv4 where it is mapped into IPv6; empty on the Unix socket."""
    client = scope["client"]
    if not client:
        return ""
    address: str = client[0]
    return address.removeprefix("::ffff:") if "." in address else address


def carries_token(headers: Iterable[tuple[bytes, bytes]], token: Secret) -> bool:
    """Whether the first Authorization header holds the token; compared in constant time."""
    for name, value in headers:
        if name == b"authorization":
            scheme, _, given = value.strip().partition(b" ")
            wanted = token.reveal().encode()
            return scheme.lower() == b"bearer" and compare_digest(given.lstrip(b" "), wanted)
    return False


class TokenBuckets:
    """A bucket of ``burst`` requests for each key, which fills with ``rate`` requests a second.

    A bucket is one number: the time at which it will be full again (the generic cell rate algorithm). A
    full bucket need not be stored, and is dropped when other requests come, so no timer is needed.
    """

    def __init__(self, rate: float, burst: int, most_keys: int = MOST_ADDRESSES) -> None:
        self._cost_s = 1 / rate
        self._depth_s = max(burst, 1) / rate
        self._most_keys = most_keys
        self._full_at: dict[str, float] = {}  # in the order of their last requests

    def __len__(self) -> int:
        """Number of keys that are remembered."""
        return len(self._full_at)

    def take(self, key: str, now: float) -> float:
        """Take one request from the bucket: 0.0, or the seconds until there will be one.

        ``now`` is a time in seconds that never goes back.
        """
        full_at = max(self._full_at.pop(key, now), now) + self._cost_s
        wait_s = full_at - self._depth_s - now
        if wait_s > 1e-9:  # the sums of a long burst are not exact
            self._full_at[key] = full_at - self._cost_s
            return wait_s
        self._full_at[key] = full_at
        self._forget(now)
        return 0.0

    def _forget(self, now: float) -> None:
        """Drop up to two keys, more than one request can add."""
        for _ in range(2):
            oldest = next(iter(self._full_at))
            if self._full_at[oldest] > now and len(self._full_at) <= self._most_keys:
                return
            del self._full_at[oldest]


class RateLimit:
    """Answers 429 with Retry-After to a client address that sends too many requests."""

    def __init__(
        self, app: ASGIApp, rate: float, burst: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._app = app
        self._buckets = TokenBuckets(rate, burst)
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope["client"]
        wait_s = self._buckets.take(client[0] if client else "", self._clock())
        if wait_s:
            retry_after = (b"retry-after", str(math.ceil(wait_s)).encode())
            await send_error(send, 429, "rate limit exceeded", (retry_after,))
        else:
            await self._app(scope, receive, send)


class LimitBody:
    """Answers 413 to a body of more than ``most_bytes``.

    A declared length is refused at once; a chunked body is read up to the limit.
    """

    def __init__(self, app: ASGIApp, most_bytes: int) -> None:
        self._app = app
        self._most_bytes = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        for name, value in scope["headers"]:
            if name == b"content-length":
                if int(value) > self._most_bytes:  # the HTTP parser has made sure that it is a number
                    await send_error(send, 413, str(BodyTooLargeError(self._most_bytes)))
                    return
            elif name == b"transfer-encoding":
                receive = _Counted(receive, self._most_bytes)
        await self._app(scope, receive, send)


class _Counted:
    """A ``receive`` that raises BodyTooLargeError when the body has become too large."""

    def __init__(self, receive: Receive, most_bytes: int) -> None:
        self._receive = receive
        self._most_bytes = most_bytes
        self._size = 0

    async def __call__(self) -> Message:
        message = await self._receive()
        self._size += len(message.get("body", b""))
        if self._size > self._most_bytes:
            raise BodyTooLargeError(self._most_bytes)
        return message
