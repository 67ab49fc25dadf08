"""The transport of the command line: HTTP/1.1 over a Unix socket or TCP, one connection for each call.

It needs only httptools and sockets, 3 ms of CPU at the start of a command; httpx takes 70 ms.
"""

from __future__ import annotations

import os
import socket as sockets
from collections import deque
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import httptools

from cbox_init.client.answers import (
    broken,
    check_event_stream,
    cut_off,
    not_connected,
    not_http,
    refusal,
    too_late,
)
from cbox_init.client.events import EventParser
from cbox_init.client.transport import SILENCE_S, RawAnswer
from cbox_init.errors import ClientError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cbox_init.client.address import ClientSettings, DaemonAddress
    from cbox_init.client.calls import Call
    from cbox_init.client.events import ServerEvent

LARGEST_BODY = 256 * 1024 * 1024
"""The most bytes of an answer that is not a stream. 10,000 long log lines have fewer."""

_LARGEST_HEAD = 64 * 1024
_CHUNK = 64 * 1024


class SocketTransport:
    """Sends each call on a connection of its own. TCP without TLS, or the Unix socket of the address."""

    def __init__(self, settings: ClientSettings, *, largest_body: int = LARGEST_BODY) -> None:
        self.settings = settings
        self._largest_body = largest_body
        parts = urlsplit(settings.address.url)
        self._authority = parts.netloc
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._base = quote(parts.path, safe="/%:@!$&'()*+,;=~")

    def send(self, call: Call[Any]) -> RawAnswer:
        timeout_s = self.settings.timeout_s if call.timeout_s is None else call.timeout_s
        with self._connected() as connection:
            answer = self._request(connection, call.method, call.path, call.headers(), call.body, timeout_s)
            return RawAnswer(answer.status, self._body(answer))

    @contextmanager
    def stream(self, path: str) -> Iterator[SocketEventSource]:
        address = self.settings.address
        with self._connected() as connection:
            headers = {"Accept": "text/event-stream"}
            answer = self._request(connection, "GET", path, headers, None, SILENCE_S)
            if answer.status != 200:
                raise refusal(answer.status, self._body(answer), address)
            check_event_stream(answer.headers.get("content-type", ""), address)
            yield SocketEventSource(answer)

    def close(self) -> None:
        """No connection outlives its call."""

    def _connected(self) -> sockets.socket:
        address = self.settings.address
        try:
            if address.socket is None:
                return sockets.create_connection((self._host, self._port), self.settings.timeout_s)
            connection = sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM)
            try:
                connection.settimeout(self.settings.timeout_s)
                connection.connect(os.fsencode(address.socket))
            except BaseException:
                connection.close()
                raise
            return connection
        except OSError as error:
            timed_out = isinstance(error, TimeoutError)
            raise not_connected(address, error, str(error), timed_out=timed_out) from error
        except UnicodeError as error:  # a host name with a label that is empty or too long
            raise not_connected(address, None, str(error), timed_out=False) from error

    def _request(
        self,
        connection: sockets.socket,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None,
        timeout_s: float,
    ) -> HttpAnswer:
        """Send a request and return its answer when the head of it is complete."""
        fields = {"Host": self._authority, **self.settings.headers, **headers, "Connection": "close"}
        if body is not None or method != "GET":
            fields["Content-Length"] = str(len(body or b""))
        lines = [f"{method} {self._base}{path} HTTP/1.1", *(f"{name}: {fields[name]}" for name in fields)]
        address = self.settings.address
        connection.settimeout(timeout_s)
        try:
            # A daemon that refuses the request may close before it has read all; its answer says why.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall("\r\n".join((*lines, "", "")).encode("ascii") + (body or b""))
        except TimeoutError as error:
            raise too_late(address) from error
        except OSError as error:
            raise broken(address, error) from error
        answer = HttpAnswer(connection, address)
        answer.read_head()
        return answer

    def _body(self, answer: HttpAnswer) -> bytes:
        body = bytearray()
        for chunk in answer.chunks():
            body += chunk
            if len(body) > self._largest_body:
                raise ClientError(
                    f"the answer of {self.settings.address} has more than {self._largest_body} bytes"
                )
        return bytes(body)


class HttpAnswer:
    """One answer, read from ``connection`` as far as it is needed."""

    def __init__(self, connection: sockets.socket, address: DaemonAddress) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self._connection = connection
        self._address = address
        self._parser = httptools.HttpResponseParser(self)
        self._chunks: deque[bytes] = deque()
        self._complete = False

    def read_head(self) -> None:
        """Read until status and headers are complete."""
        size = 0
        while not self.status:
            size += self._read()
            if size > _LARGEST_HEAD and not self.status:
                raise not_http(self._address, f"the headers have more than {_LARGEST_HEAD} bytes")
        if self.headers.get("content-encoding", "identity") != "identity":
            raise not_http(self._address, "the answer is compressed")

    def chunks(self) -> Iterator[bytes]:
        """The body, in pieces as they come, up to its end."""
        while True:
            while self._chunks:
                yield self._chunks.popleft()
            if self._complete:
                return
            self._read()

    def _read(self) -> int:
        """Read what comes next; return the number of bytes."""
        try:
            data = self._connection.recv(_CHUNK)
        except TimeoutError as error:
            raise too_late(self._address) from error
        except OSError as error:
            raise broken(self._address, error) from error
        if not data:
            if not self.status or self._has_length():
                raise cut_off(self._address)
            self._complete = True
            return 0
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            raise not_http(self._address, "it switches to another protocol") from None
        except httptools.HttpParserError as error:
            if not self._complete:
                raise not_http(self._address, error) from error
        return len(data)

    def _has_length(self) -> bool:
        """Whether the end of the body is marked; otherwise it is the end of the connection."""
        return "content-length" in self.headers or "transfer-encoding" in self.headers

    # -- called by the parser --------------------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.status:
            self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status >= 200:
            self.status = status
        else:  # the final answer follows
            self.headers.clear()

    def on_body(self, data: bytes) -> None:
        if not self._complete:
            self._chunks.append(data)

    def on_message_complete(self) -> None:
        self._complete = bool(self.status)


class SocketEventSource:
    """The events of a stream, parsed as they come."""

    def __init__(self, answer: HttpAnswer) -> None:
        self._chunks = answer.chunks()
        self._parser = EventParser()
        self._events: deque[ServerEvent] = deque()

    @property
    def pending(self) -> bool:
        return any(event.data for event in self._events)

    def __next__(self) -> ServerEvent:
        while not self._events:
            self._events += self._parser.feed(next(self._chunks))
        return self._events.popleft()
