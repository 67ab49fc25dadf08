"""The transports over httpx, with connections that are kept: of AsyncClient, of Client, and for https.

httpx-sse parses the events of a stream. Importing this module takes 70 ms of CPU.
"""

from __future__ import annotations

import re
from collections import deque
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import httpx
from httpx_sse import EventSource as SseSource

from cbox_init.client.address import CA_VARIABLE, CERTIFICATE_VARIABLE, KEY_VARIABLE
from cbox_init.client.answers import (
    broken,
    check_event_stream,
    cut_off,
    not_connected,
    not_http,
    reason_of,
    refusal,
    too_late,
)
from cbox_init.client.events import LARGEST_EVENT, ServerEvent, too_large
from cbox_init.client.transport import SILENCE_S, RawAnswer
from cbox_init.errors import ClientError, DaemonUnreachable

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Iterator

    from httpx_sse import ServerSentEvent

    from cbox_init.client.address import ClientSettings, DaemonAddress
    from cbox_init.client.calls import Call

_STREAM_HEADERS = {"Accept": "text/event-stream"}
_EVENT_END = re.compile(rb"(?<=\n\n)|(?<=\r\r)|(?<=\n\r\n)")


class HttpxTransport:
    """Sends calls with an ``httpx.Client``."""

    def __init__(self, settings: ClientSettings) -> None:
        self.settings = settings
        transport = httpx.HTTPTransport(**_transport_options(settings))
        self._http = httpx.Client(transport=transport, **_client_options(settings))

    def send(self, call: Call[Any]) -> RawAnswer:
        with _translated(self.settings.address):
            response = self._http.request(
                call.method,
                call.path,
                content=call.body,
                headers=call.headers(),
                timeout=_timeout(self.settings, call.timeout_s),
            )
        return RawAnswer(response.status_code, response.content)

    @contextmanager
    def stream(self, path: str) -> Iterator[HttpxEventSource]:
        address = self.settings.address
        timeout = _timeout(self.settings, SILENCE_S)
        request = self._http.build_request("GET", path, headers=_STREAM_HEADERS, timeout=timeout)
        with _translated(address):
            response = self._http.send(request, stream=True)
        try:
            if response.status_code != 200:
                with _translated(address):
                    response.read()
                raise refusal(response.status_code, response.content, address)
            check_event_stream(response.headers.get("Content-Type", ""), address)
            yield HttpxEventSource(response, address)
        finally:
            response.close()

    def close(self) -> None:
        self._http.close()


class AsyncHttpxTransport:
    """The same for asynchronous code, with an ``httpx.AsyncClient``."""

    def __init__(self, settings: ClientSettings) -> None:
        self.settings = settings
        transport = httpx.AsyncHTTPTransport(**_transport_options(settings))
        self._http = httpx.AsyncClient(transport=transport, **_client_options(settings))

    async def send(self, call: Call[Any]) -> RawAnswer:
        with _translated(self.settings.address):
            response = await self._http.request(
                call.method,
                call.path,
                content=call.body,
                headers=call.headers(),
                timeout=_timeout(self.settings, call.timeout_s),
            )
        return RawAnswer(response.status_code, response.content)

    @asynccontextmanager
    async def stream(self, path: str) -> AsyncIterator[AsyncHttpxEventSource]:
        address = self.settings.address
        timeout = _timeout(self.settings, SILENCE_S)
        request = self._http.build_request("GET", path, headers=_STREAM_HEADERS, timeout=timeout)
        with _translated(address):
            response = await self._http.send(request, stream=True)
        try:
            if response.status_code != 200:
                with _translated(address):
                    await response.aread()
                raise refusal(response.status_code, response.content, address)
            check_event_stream(response.headers.get("Content-Type", ""), address)
            source = AsyncHttpxEventSource(response, address)
            try:
                yield source
            finally:
                await source.close()
        finally:
            await response.aclose()

    async def close(self) -> None:
        await self._http.aclose()


class HttpxEventSource:
    """The events of a response, parsed by httpx-sse."""

    def __init__(self, response: httpx.Response, address: DaemonAddress) -> None:
        self._address = address
        self._pieces = EventPieces()
        stream = _Pieces(response, self._pieces)
        self._events = SseSource(httpx.Response(200, headers=response.headers, stream=stream)).iter_sse()

    @property
    def pending(self) -> bool:
        return self._pieces.pending

    def __next__(self) -> ServerEvent:
        with _translated(self._address):
            return _event(next(self._events))


class AsyncHttpxEventSource:
    """The same for asynchronous code."""

    def __init__(self, response: httpx.Response, address: DaemonAddress) -> None:
        self._address = address
        self._pieces = EventPieces()
        stream = _AsyncPieces(response, self._pieces)
        self._events = SseSource(httpx.Response(200, headers=response.headers, stream=stream)).aiter_sse()

    @property
    def pending(self) -> bool:
        return self._pieces.pending

    async def __anext__(self) -> ServerEvent:
        with _translated(self._address):
            return _event(await anext(self._events))

    async def close(self) -> None:
        await self._events.aclose()


class EventPieces:
    """Cuts a stream behind each event, to limit the size of an event and to see whether another one has come.

    httpx-sse does neither.
    """

    def __init__(self, largest: int = LARGEST_EVENT) -> None:
        self._largest = largest
        self._size = 0
        self._pieces: deque[bytes] = deque()

    @property
    def pending(self) -> bool:
        """Whether an event with data has come that was not taken yet."""
        return any(b"data" in piece and _EVENT_END.search(piece) for piece in self._pieces)

    def feed(self, chunk: bytes) -> None:
        """Add what has come. Raises ClientError for an event that is too large."""
        *whole, rest = _EVENT_END.split(chunk)
        self._pieces += whole
        self._size = len(rest) if whole else self._size + len(rest)
        if self._size > self._largest:
            raise too_large(self._largest)
        if rest:
            self._pieces.append(rest)

    def take(self) -> Iterator[bytes]:
        """Take one piece after another."""
        while self._pieces:
            yield self._pieces.popleft()


class _Pieces(httpx.SyncByteStream):
    def __init__(self, response: httpx.Response, pieces: EventPieces) -> None:
        self._response = response
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._response.iter_raw():
            self._pieces.feed(chunk)
            yield from self._pieces.take()


class _AsyncPieces(httpx.AsyncByteStream):
    def __init__(self, response: httpx.Response, pieces: EventPieces) -> None:
        self._response = response
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._response.aiter_raw():
            self._pieces.feed(chunk)
            for piece in self._pieces.take():
                yield piece


def _event(found: ServerSentEvent) -> ServerEvent:
    return ServerEvent(found.event, found.data, found.id)


def _transport_options(settings: ClientSettings) -> dict[str, Any]:
    return {"verify": _verify(settings), "uds": settings.address.socket, "trust_env": False}


def _client_options(settings: ClientSettings) -> dict[str, Any]:
    address, headers, timeout_s = settings.address, settings.headers, settings.timeout_s
    return {"base_url": address.url, "headers": headers, "timeout": timeout_s, "trust_env": False}


def _verify(settings: ClientSettings) -> ssl.SSLContext | bool:
    """How https is verified: against the given file, SSL_CERT_FILE, SSL_CERT_DIR, or the public authorities.

    Raises ClientError for a file that cannot be used.
    """
    if not settings.address.url.startswith("https:"):
        return False  # nothing to verify, and loading the authorities takes 20 ms
    import ssl

    ca, certificate, key = settings.tls
    try:
        context = httpx.create_ssl_context() if ca is None else ssl.create_default_context(cafile=ca)
    except OSError as error:
        named = "SSL_CERT_FILE names" if ca is None else f"--cacert or {CA_VARIABLE} names, {ca}"
        raise ClientError(f"cannot read the certificates that {named}: {_file_problem(error)}") from None
    if certificate is not None:
        try:
            context.load_cert_chain(certificate, key, password=_no_passphrase)
        except OSError as error:
            files = f"{certificate} and {key}" if key else f"{certificate}, which must have the key as well,"
            raise ClientError(
                f"cannot use the client certificate in {files}: {_file_problem(error)}"
            ) from None
    elif key is not None:
        raise ClientError(
            f"the key {key} has no certificate; give it with --cert or in {CERTIFICATE_VARIABLE}"
        )
    return context


def _file_problem(error: OSError) -> str:
    return error.strerror or str(error)


def _no_passphrase() -> str:
    raise ClientError("the key of the client certificate is encrypted; decrypt it with `openssl pkey`")


def _timeout(settings: ClientSettings, read_s: float | None) -> httpx.Timeout:
    """The limits of one request; ``read_s`` if its answer may take longer than usual."""
    return httpx.Timeout(settings.timeout_s, read=settings.timeout_s if read_s is None else read_s)


# -- errors ------------------------------------------------------------------------------------------------


@contextmanager
def _translated(address: DaemonAddress) -> Iterator[None]:
    """Turn an error of httpx about a request to ``address`` into DaemonUnreachable."""
    try:
        yield
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise unreachable(error, address) from error


def unreachable(error: httpx.HTTPError | httpx.InvalidURL, address: DaemonAddress) -> DaemonUnreachable:
    """The error of the client for an error of httpx."""
    if (problem := _certificate_problem(str(error), address)) is not None:
        return DaemonUnreachable(problem)
    if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)):
        timed_out = isinstance(error, httpx.ConnectTimeout)
        return not_connected(address, _system_error(error), reason_of(error), timed_out=timed_out)
    if isinstance(error, httpx.TimeoutException):
        return too_late(address)
    if isinstance(error, httpx.RemoteProtocolError) and _is_cut_off(error):
        return cut_off(address)
    if isinstance(error, (httpx.ProtocolError, httpx.DecodingError)):
        return not_http(address, error)
    if isinstance(error, httpx.NetworkError):
        return broken(address, error)
    return DaemonUnreachable(f"the request to {address} failed: {reason_of(error)}")


def _certificate_problem(text: str, address: DaemonAddress) -> str | None:
    """What is wrong with a certificate, and how to fix it; None when OpenSSL says nothing of that."""
    if "ALERT_CERTIFICATE_REQUIRED" in text:
        return (
            f"{address} asks for a client certificate; give it with --cert and --key, "
            f"or in {CERTIFICATE_VARIABLE} and {KEY_VARIABLE}"
        )
    if "ALERT_UNKNOWN_CA" in text or "ALERT_BAD_CERTIFICATE" in text:
        return f"{address} does not accept the client certificate; it must be signed by the daemon's ca_file"
    if "CERTIFICATE_VERIFY_FAILED" in text:
        _, _, reason = text.partition("certificate verify failed: ")
        reason = reason.partition(" (_ssl.c")[0] or text
        return (
            f"the certificate of {address} is not trusted: {reason}; "
            f"give its authorities with --cacert or in {CA_VARIABLE}"
        )
    return None


def _is_cut_off(error: httpx.RemoteProtocolError) -> bool:
    """Whether a connection ended early: h11 has these two texts for it."""
    text = str(error)
    return "disconnected without" in text or "closed connection" in text


def _system_error(error: BaseException) -> OSError | None:
    """The error of the system at the root of the chain; asyncio and anyio group several at times."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno is not None:
            return cause
        if isinstance(cause, BaseExceptionGroup):
            cause = cause.exceptions[0]
        else:
            cause = cause.__cause__ or cause.__context__
    return None
