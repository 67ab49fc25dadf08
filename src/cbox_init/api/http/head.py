"""Reads the head of a request: its request line and headers. Pure; the parser is httptools."""

from __future__ import annotations

from typing import Final, NamedTuple

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from cbox_init.errors import CboxError

#: ``RequestHead.length`` of a body that comes in chunks.
CHUNKED: Final = -1

_NOT_HTTP: Final = "this is not HTTP as it is understood here"


class HttpError(CboxError):
    """A request that the server refuses by itself, with ``status``; the connection is closed after it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class RequestHead(NamedTuple):
    """A request without its body. Names of headers are in lower case.

    ``length`` is that of the body in bytes, or `CHUNKED`.
    """

    method: str
    target: bytes
    version: str
    headers: list[tuple[bytes, bytes]]
    length: int
    keep_alive: bool
    expects_continue: bool


class HeadParser:
    """Parses one head after another. Each is given as a whole, up to the empty line."""

    def __init__(self, most_headers: int) -> None:
        self._most_headers = most_headers
        self._parser = HttpRequestParser(self)
        self._headers: list[tuple[bytes, bytes]] = []
        self._problem: tuple[int, str] | None = None
        self._has_host = False
        self._begin()

    def parse(self, data: bytes) -> RequestHead:
        """The head in ``data``; raises HttpError when it is wrong or has too many headers."""
        self._begin()
        parser, reusable = self._parser, False
        try:
            parser.feed_data(data)
        except HttpParserUpgrade:
            pass  # another protocol is never taken; the request itself is answered in this one
        except HttpParserError:
            self._parser = HttpRequestParser(self)
            raise (HttpError(*self._problem) if self._problem else bad_request()) from None
        else:
            reusable = self._complete and not self._length
        version = parser.get_http_version()
        keep_alive = version == "1.1" and self._keep_alive
        head = RequestHead(
            parser.get_method().decode(),
            self._target,
            version,
            self._headers,
            self._length,
            keep_alive,
            self._expects_continue and version == "1.1",
        )
        if not (reusable and keep_alive):
            self._parser = HttpRequestParser(self)  # it expects a body now, or the end of the connection
        if not self._complete or version not in ("1.1", "1.0") or (self._chunked and version == "1.0"):
            raise bad_request()
        return head

    # -- what httptools calls --------------------------------------------------------------------------

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(self._headers) >= self._most_headers:
            self._problem = 431, f"more than {self._most_headers} headers"
            raise HttpError(*self._problem)
        name = name.lower()
        self._headers.append((name, value))
        if name == b"content-length":
            self._length = int(value)  # httptools has made sure that it is a number, and the only one
        elif name == b"transfer-encoding":
            if value.strip().lower() != b"chunked":
                self._problem = 400, "the only transfer-encoding that is understood is chunked"
                raise HttpError(*self._problem)
            self._length, self._chunked = CHUNKED, True
        elif name == b"host":
            if self._has_host:
                self._problem = 400, "more than one Host header"
                raise HttpError(*self._problem)
            self._has_host = True
        elif name == b"expect" and value.strip().lower() == b"100-continue":
            self._expects_continue = True

    def on_headers_complete(self) -> None:
        self._complete = True
        self._keep_alive = self._parser.should_keep_alive()  # it is reset behind the message

    def _begin(self) -> None:
        self._target = b""
        self._headers = []
        self._length = 0
        self._chunked = False
        self._has_host = False
        self._expects_continue = False
        self._complete = False
        self._keep_alive = False
        self._problem = None


def bad_request(message: str = _NOT_HTTP) -> HttpError:
    """The refusal of what cannot be understood."""
    return HttpError(400, message)
