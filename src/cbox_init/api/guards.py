"""Checks in front of the application: the rate of requests, the size of a body."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final

from cbox_init.api.http.places import address_key
from cbox_init.api.replies import BodyTooLargeError, send_error
from cbox_init.token_buckets import TokenBuckets

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send


#: Requests that one page may need at once: a browser does not try again after 429.
_FILES_OF_A_PAGE: Final = 100


class NotVerifiedError(Exception):
    """A token could not be compared with the hashes; ``wait_s`` seconds until it is worth another try.

    ``status`` is 429 after too many unknown tokens, 503 when this machine cannot compute the hash now.
    """

    def __init__(self, status: int, message: str, wait_s: float) -> None:
        super().__init__(message)
        self.status = status
        self.wait_s = wait_s


class RateLimit:
    """Answers 429 with Retry-After to a client address (IPv6: a /64) that sends too many requests.

    ``open_path`` counts by itself, so that a probe is answered beside a busy client of the same address. So
    do the paths of ``pages``, each of which loads many files at once.
    """

    def __init__(
        self,
        app: ASGIApp,
        rate: float,
        burst: int,
        clock: Callable[[], float] = time.monotonic,
        *,
        open_path: str = "",
        pages: Callable[[str], bool] | None = None,
    ) -> None:
        self._app = app
        self._buckets = TokenBuckets(rate, burst)
        self._open_path = open_path
        self._probes = TokenBuckets(rate, burst)
        self._are_pages = pages
        self._pages = TokenBuckets(rate, max(burst, _FILES_OF_A_PAGE))
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope["client"]
        buckets = self._buckets
        if scope["path"] == self._open_path:
            buckets = self._probes
        elif self._are_pages is not None and self._are_pages(scope["path"]):
            buckets = self._pages
        wait_s = buckets.take(address_key(client[0]) if client else "", self._clock())
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
