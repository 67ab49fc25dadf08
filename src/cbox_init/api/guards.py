"""Checks in front of the application: the rate of requests, the size of a body."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final

from cbox_init.api.http.places import address_key
from cbox_init.api.replies import BodyTooLargeError, send_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_ADDRESSES: Final = 4096
"""Client addresses that are tracked; beyond that the least recently seen one is dropped."""


class NotVerifiedError(Exception):
    """A token could not be compared with the hashes; ``wait_s`` seconds until it is worth another try.

    ``status`` is 429 after too many unknown tokens, 503 when this machine cannot compute the hash now.
    """

    def __init__(self, status: int, message: str, wait_s: float) -> None:
        super().__init__(message)
        self.status = status
        self.wait_s = wait_s


class TokenBuckets:
    """A bucket of ``burst`` requests for each key, which fills with ``rate`` requests a second.

    A bucket is one number: the time at which it will be full again (the generic cell rate algorithm). A
    full bucket need not be stored, and is dropped when other requests come, so no timer is needed.
    """

    def __init__(self, rate: float, burst: int, most_keys: int = MOST_ADDRESSES) -> None:
        self._cost_s = 1 / rate
        self._depth_s = max(burst, 1) / rate
        self._most_keys = most_keys
        self._full_at: dict[str | bytes, float] = {}  # in the order of their last requests

    def __len__(self) -> int:
        """Number of keys that are remembered."""
        return len(self._full_at)

    def take(self, key: str | bytes, now: float) -> float:
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
    """Answers 429 with Retry-After to a client address (IPv6: a /64) that sends too many requests."""

    def __init__(
        self, app: ASGIApp, rate: float, burst: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._app = app
        self._buckets = TokenBuckets(rate, burst)
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope["client"]
        wait_s = self._buckets.take(address_key(client[0]) if client else "", self._clock())
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
