"""A GET of HTTP/1.1, and whether the answer is the expected one."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import httptools
from msgspec.structs import replace

from cbox_init.config.endpoints import Url, parse_url
from cbox_init.config.scalars import format_statuses
from cbox_init.errors import CheckFailed
from cbox_init.supervisor.health.wire import Wire, connected, with_tls

if TYPE_CHECKING:
    from ssl import SSLContext

    from cbox_init.supervisor.health.resolve import Resolver

    StatusRanges = tuple[tuple[int, int], ...]

#: Redirects that are followed, within the check's one timeout.
MOST_REDIRECTS = 5
#: What is read of a body in search of the expected text.
MOST_BODY_BYTES = 2**20
_MOST_HEAD_BYTES = 2**16
_REDIRECTS = frozenset((301, 302, 303, 307, 308))


class HttpProbe:
    """Asks a URL. A redirect is followed unless it is the expected status itself.

    Of the answer no more is read than is needed: the head, and the body up to the expected text.
    """

    def __init__(
        self, url: Url, *, expected_status: StatusRanges, expected_body: str | None, resolver: Resolver
    ) -> None:
        self.where = url.shown
        self._url = url
        self._expected_status = expected_status
        self._expected_body = None if expected_body is None else expected_body.encode()
        self._resolver = resolver
        self._context: SSLContext | None = None

    async def __call__(self) -> None:
        url = self._url
        for _ in range(MOST_REDIRECTS + 1):
            answer = await self._ask(url)
            if answer.location is None or is_expected(answer.status, self._expected_status):
                self._judge(answer)
                return
            url = _redirected(url, answer.location)
        raise CheckFailed(f"more than {MOST_REDIRECTS} redirects")

    def _judge(self, answer: Answer) -> None:
        if not is_expected(answer.status, self._expected_status):
            raise CheckFailed(f"status {answer.status}, expected {format_statuses(self._expected_status)}")
        if not answer.found:
            raise CheckFailed(
                f"the expected text is not in the first {MOST_BODY_BYTES >> 20} MiB of the body"
                if len(answer.body) > MOST_BODY_BYTES
                else "the expected text is not in the body"
            )

    async def _ask(self, url: Url) -> Answer:
        async with connected(self._resolver, url.endpoint) as plain:
            wire: Wire = plain
            if url.tls:
                wire = await with_tls(plain, self._tls_context(), url.endpoint.host)
            await wire.send(_request(url))
            answer = Answer(self._expected_status, self._expected_body)
            while not answer.enough:
                data = await wire.receive()
                if not data:
                    break
                answer.feed(data)
            if not answer.status:
                raise CheckFailed("the connection was closed before an answer")
            return answer

    def _tls_context(self) -> SSLContext:
        if self._context is None:
            from ssl import create_default_context

            self._context = create_default_context()
        return self._context


class Answer:
    """What has come so far. ``status`` is 0 until the head is there."""

    def __init__(self, expected_status: StatusRanges, expected_body: bytes | None) -> None:
        self.status = 0
        self.location: str | None = None
        self.body = bytearray()
        self.found = expected_body is None
        self._expected_status = expected_status
        self._expected_body = expected_body or b""
        self._searched = 0
        self._complete = False
        self._head_bytes = 0
        self._parser = httptools.HttpResponseParser(self)

    @property
    def enough(self) -> bool:
        """Whether no more of it need be read."""
        if not self.status:
            return False
        unexpected = not is_expected(self.status, self._expected_status)
        return unexpected or self.found or self._complete or len(self.body) > MOST_BODY_BYTES

    def feed(self, data: bytes) -> None:
        """Take in what came next. Raises CheckFailed when it is no HTTP."""
        try:
            with suppress(httptools.HttpParserUpgrade):
                self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            raise CheckFailed("the answer is no HTTP") from error
        if not self.status:
            self._head_bytes += len(data)
            if self._head_bytes > _MOST_HEAD_BYTES:
                raise CheckFailed(f"the head of the answer is longer than {_MOST_HEAD_BYTES >> 10} KiB")
        elif not self.found:
            start = max(0, self._searched - len(self._expected_body) + 1)
            self.found = self.body.find(self._expected_body, start) >= 0
            self._searched = len(self.body)

    # -- the parser's calls ----------------------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"location":
            self.location = value.decode("utf-8", "replace")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status >= 200 or status == 101:  # else the real answer follows
            self.status = status
        if status not in _REDIRECTS:
            self.location = None

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self._complete = bool(self.status)


def is_expected(status: int, ranges: StatusRanges) -> bool:
    """Whether a status is in one of the ranges."""
    return any(first <= status <= last for first, last in ranges)


def _request(url: Url) -> bytes:
    lines = [
        f"GET {url.target} HTTP/1.1",
        f"Host: {url.authority}",
        "User-Agent: cbox-init",
        "Accept: */*",
        "Accept-Encoding: identity",
        "Connection: close",
    ]
    if url.userinfo is not None:
        from base64 import b64encode
        from urllib.parse import unquote_to_bytes

        lines.append(f"Authorization: Basic {b64encode(unquote_to_bytes(url.userinfo)).decode()}")
    return "\r\n".join([*lines, "", ""]).encode()


def _redirected(url: Url, location: str) -> Url:
    """Where a redirect leads. What logs in goes to the same host alone."""
    from urllib.parse import urljoin

    try:
        target = parse_url(urljoin(str(url), location.strip()))
    except ValueError as error:
        raise CheckFailed(f"the redirect leads nowhere: {error}") from error
    if target.endpoint == url.endpoint and target.tls == url.tls and target.userinfo is None:
        return replace(target, userinfo=url.userinfo)
    return target
