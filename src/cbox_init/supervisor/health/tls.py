"""TLS of health checks; imported for a check that uses it, and with it the ssl module."""

from __future__ import annotations

import os
import ssl
from asyncio import shield
from typing import TYPE_CHECKING, Final, TypeVar

from cbox_init.errors import CheckFailed, is_shortage
from cbox_init.supervisor.health.resolve import in_words
from cbox_init.threads import begin_in_thread

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Callable, Sequence

    from cbox_init.config.model import HealthTlsConfig
    from cbox_init.supervisor.health.wire import Wire

T = TypeVar("T")

_READ_BYTES: Final = 16 * 1024

#: Where distributions have the authorities that the system trusts. OpenSSL knows the place of the one that it
#: was built for, which may not be that of the image.
_SYSTEMS: Final = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Alpine, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora and its relatives
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",
)


class TlsClient:
    """The TLS of one process's checks: whom they trust, as its configuration says.

    Certificates are read in a thread, for the first check, and again after a server was not trusted: they may
    have been replaced since.
    """

    def __init__(self, config: HealthTlsConfig, *, protocols: Sequence[str] = ()) -> None:
        self._config = config
        self._protocols = list(protocols)
        self._context: ssl.SSLContext | None = None
        self._loading: Future[ssl.SSLContext] | None = None

    async def wrap(self, wire: Wire, host: str) -> Wire:
        """The connection with TLS, the handshake done, with a server that proves to be ``host``.

        Raises CheckFailed, and OSError for a connection that breaks and for what this machine lacks.
        """
        context = self._context or await self._load()
        try:
            tls = TlsWire(wire, context, host)
            await tls.shake_hands()
        except ssl.SSLCertVerificationError as error:
            self._context = None
            hint = "" if self._config.ca_file else "; set health_check.tls.ca_file"
            raise CheckFailed(f"the certificate is not trusted: {error.verify_message}{hint}") from error
        except ssl.SSLError as error:
            raise CheckFailed(f"the TLS handshake failed: {_reason(error)}") from error
        except ValueError as error:
            raise CheckFailed(f"{host!r} cannot be the name of a TLS server: {error}") from error
        return tls

    async def _load(self) -> ssl.SSLContext:
        """The context, which a single thread makes however many checks wait for it."""
        if self._loading is None:
            self._loading = begin_in_thread(self._make, name="certificates")
            self._loading.add_done_callback(self._loaded)
        try:
            return await shield(self._loading)
        except OSError as error:
            if is_shortage(error):
                raise
            text = _reason(error) if isinstance(error, ssl.SSLError) else in_words(error)
            raise CheckFailed(f"tls.ca_file {self._config.ca_file}: {text}") from error

    def _loaded(self, loading: Future[ssl.SSLContext]) -> None:
        """Keep the result, also when the check that began to wait for it has ended by its timeout."""
        self._loading = None
        if not loading.cancelled() and loading.exception() is None:
            self._context = loading.result()

    def _make(self) -> ssl.SSLContext:
        """Read the certificates. Blocks. Raises OSError."""
        context = ssl.create_default_context(cafile=self._config.ca_file or _file_of_the_system())
        if not self._config.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self._protocols:
            context.set_alpn_protocols(self._protocols)
        return context


class TlsWire:
    """TLS over another connection. Raises ssl.SSLError, which is an OSError."""

    def __init__(self, wire: Wire, context: ssl.SSLContext, host: str) -> None:
        self._wire = wire
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=host)

    async def shake_hands(self) -> None:
        """Do the handshake, before anything is sent or received."""
        await self._do(self._tls.do_handshake)

    async def send(self, data: bytes) -> None:
        """Send all of it."""
        await self._do(lambda: self._tls.write(data))

    async def receive(self) -> bytes:
        """What comes next; empty when the other side has closed."""
        try:
            return await self._do(lambda: self._tls.read(_READ_BYTES))
        except ssl.SSLZeroReturnError:
            return b""

    async def _do(self, step: Callable[[], T]) -> T:
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                await self._flush()
                data = await self._wire.receive()
                if data:
                    self._in.write(data)
                else:
                    self._in.write_eof()
            else:
                await self._flush()
                return result

    async def _flush(self) -> None:
        if data := self._out.read():
            await self._wire.send(data)


def _file_of_the_system() -> str | None:
    """The authorities of the system, where they are not at OpenSSL's place; None to have it look there."""
    place = ssl.get_default_verify_paths()
    if place.cafile or place.capath:
        return None
    return next((path for path in _SYSTEMS if os.path.isfile(path)), None)


def _reason(error: ssl.SSLError) -> str:
    """OpenSSL's reason, such as "wrong version number" for a server without TLS."""
    if isinstance(error, ssl.SSLEOFError):
        return "the connection was closed"
    return error.reason.lower().replace("_", " ") if error.reason else str(error)
