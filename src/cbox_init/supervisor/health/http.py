"""The check by a request of HTTP/1.1, and whether the answer is as expected."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

import httptools
from msgspec.structs import replace

from cbox_init.config.endpoints import Url, parse_url
from cbox_init.config.scalars import format_statuses
from cbox_init.errors import CheckFailed
from cbox_init.supervisor.health.wire import connected

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cbox_init.config.secret import Secret
    from cbox_init.supervisor.health.resolve import Resolver
    from cbox_init.supervisor.health.tls import TlsClient
    from cbox_init.supervisor.health.wire import Wire

    Statuses = tuple[tuple[int, int], ...]

#: Redirects that are followed, within the check's one timeout.
MOST_REDIRECTS: Final = 5
#: What is read of a body in search of the expected text.
MOST_BODY_BYTES: Final = 2**20
_MOST_HEAD_BYTES: Final = 2**16
_REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))
#: Redirects that repeat the request with its method; those of `_REDIRECTS` that are not here ask with GET.
_SAME_METHOD: Final = frozenset((307, 308))
#: Methods whose requests say how long their body is, although it is empty.
_WITH_LENGTH: Final = frozenset(("POST", "PUT", "PATCH"))


class Expected(NamedTuple):
    """The answer that is a success: a status in one of the ranges, and ``body`` in it unless that is None."""

    statuses: Statuses
    body: str | None = None


class HttpProbe:
    """Sends a request to a URL. A redirect is followed unless its status is an expected one.

    Of the answer no more is read than is needed: the head, and the body up to the expected text.
    """

    def __init__(
        self,
        url: Url,
        *,
        expected: Expected,
        resolver: Resolver,
        method: str = "GET",
        headers: Mapping[str, Secret] | None = None,
        tls: Callable[[], TlsClient],
        server_name: str | None = None,
    ) -> None:
        self.where = url.shown
        self._url = url
        self._method = method.upper()
        self._headers = dict(headers or {})
        for name, value in self._headers.items():
            if not value.reveal().isascii() or not value.reveal().isprintable():
                raise ValueError(f"the header {name} holds more than printable ASCII")
        self._expected_status = expected.statuses
        self._expected_body = None if expected.body is None else expected.body.encode()
        self._resolver = resolver
        self._tls = tls
        self._server_name = server_name

    async def __call__(self) -> None:
        url, method, headers = self._url, self._method, self._headers
        self.where = url.shown
        for _ in range(MOST_REDIRECTS + 1):
            answer = await self._ask(url, method, headers)
            if answer.location is None or is_expected(answer.status, self._expected_status):
                self._judge(answer)
                return
            before, url = url, _redirected(url, answer.location)
            if not _same_server(before, url):
                headers = {}  # they may be keys
            if method != "HEAD" and answer.status not in _SAME_METHOD:
                method = "GET"
            self.where = f"{url.shown} (redirected from {self._url.shown})"
        raise CheckFailed(f"more than {MOST_REDIRECTS} redirects")

    async def body(self, most_bytes: int) -> bytes:
        """Ask once, without following a redirect; gives the whole body of the answer.

        Raises CheckFailed also when the body is longer than ``most_bytes``.
        """
        answer = await self._ask(self._url, self._method, self._headers, most_bytes)
        self._judge(answer)
        if len(answer.body) > most_bytes:
            raise CheckFailed(f"the answer is longer than {most_bytes >> 10} KiB")
        return bytes(answer.body)

    def _judge(self, answer: Answer) -> None:
        if not is_expected(answer.status, self._expected_status):
            raise CheckFailed(f"status {answer.status}, expected {format_statuses(self._expected_status)}")
        if not answer.found:
            raise CheckFailed(
                f"the expected text is not in the first {MOST_BODY_BYTES >> 20} MiB of the body"
                if len(answer.body) > MOST_BODY_BYTES
                else "the expected text is not in the body"
            )

    async def _ask(
        self, url: Url, method: str, headers: Mapping[str, Secret], most_bytes: int | None = None
    ) -> Answer:
        async with connected(self._resolver, url.endpoint) as plain:
            wire: Wire = plain
            if url.tls:
                wire = await self._with_tls(plain, url)
            await wire.send(_request(url, method, headers))
            answer = Answer(
                self._expected_status, self._expected_body, has_body=method != "HEAD", most_bytes=most_bytes
            )
            while not answer.enough:
                data = await wire.receive()
                if not data:
                    break
                answer.feed(data)
            if not answer.status:
                raise CheckFailed("the connection was closed before an answer")
            return answer

    async def _with_tls(self, wire: Wire, url: Url) -> Wire:
        own = self._server_name if _same_server(self._url, url) else None
        return await self._tls().wrap(wire, own or url.endpoint.host)


class Answer:
    """The answer to a request, as far as it has come. ``status`` is 0 until the head is complete.

    With ``most_bytes`` the body is wanted, up to about this length.
    """

    def __init__(
        self,
        expected_status: Statuses,
        expected_body: bytes | None,
        *,
        has_body: bool = True,
        most_bytes: int | None = None,
    ) -> None:
        self.status = 0
        self.location: str | None = None
        self.body = bytearray()
        self.found = expected_body is None
        self._expected_status = expected_status
        self._expected_body = expected_body or b""
        self._searched = 0
        self._has_body = has_body
        self._most_bytes = most_bytes
        self._complete = False
        self._head_bytes = 0
        self._parser = httptools.HttpResponseParser(self)

    @property
    def enough(self) -> bool:
        """Whether the rest of it is not needed."""
        if not self.status:
            return False
        unexpected = not is_expected(self.status, self._expected_status)
        if self._most_bytes is not None:
            return unexpected or self._complete or len(self.body) > self._most_bytes
        return unexpected or self.found or self._complete or len(self.body) > MOST_BODY_BYTES

    def feed(self, data: bytes) -> None:
        """Take in what came next. Raises CheckFailed when it is not HTTP."""
        try:
            with suppress(httptools.HttpParserUpgrade):
                self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            raise CheckFailed("the answer is not HTTP") from error
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
            self._complete = not self._has_body
        if status not in _REDIRECTS:
            self.location = None

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self._complete |= bool(self.status)


def is_expected(status: int, statuses: Statuses) -> bool:
    """Whether a status is in one of the ranges."""
    return any(first <= status <= last for first, last in statuses)


def _request(url: Url, method: str, headers: Mapping[str, Secret]) -> bytes:
    """The head of the request. ``headers`` replace those of the same name."""
    standard = {
        "Host": url.authority,
        "User-Agent": "cbox-init",
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Connection": "close",
    }
    if method in _WITH_LENGTH:
        standard["Content-Length"] = "0"
    if url.userinfo is not None:
        from base64 import b64encode
        from urllib.parse import unquote_to_bytes

        standard["Authorization"] = f"Basic {b64encode(unquote_to_bytes(url.userinfo)).decode()}"
    replaced = {name.lower() for name in headers}
    lines = [f"{name}: {value}" for name, value in standard.items() if name.lower() not in replaced]
    lines += [f"{name}: {value.reveal()}" for name, value in headers.items()]
    return "\r\n".join([f"{method} {url.target} HTTP/1.1", *lines, "", ""]).encode()


def _redirected(url: Url, location: str) -> Url:
    """The URL that a redirect leads to. User and password go with it to the same server only."""
    from urllib.parse import urljoin

    try:
        target = parse_url(urljoin(str(url), location.strip()))
    except ValueError as error:
        raise CheckFailed(f"the redirect leads nowhere: {error}") from error
    if _same_server(url, target) and target.userinfo is None:
        return replace(target, userinfo=url.userinfo)
    return target


def _same_server(one: Url, other: Url) -> bool:
    return one.endpoint == other.endpoint and one.tls == other.tls
