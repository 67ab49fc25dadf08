"""The certificate of a listener: read before the port opens, and again when the files change.

asyncio and ssl are imported only where TLS is enabled.
"""

from __future__ import annotations

import asyncio
import os
from functools import partial
from typing import TYPE_CHECKING, Final

from cbox_init.api.followed_files import FollowedFiles
from cbox_init.errors import TlsFileError, is_shortage
from cbox_init.supervisor.configuration.watch import fingerprint
from cbox_init.threads import OneThread

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable

    from cbox_init.config.model import TlsConfig
    from cbox_init.config.tls_files import LoadedTls, TlsRemark
    from cbox_init.logs.daemon import DaemonLog

#: How long the file system may take to give the files, in seconds.
_LOAD_TAKES_S: Final = 30.0
#: Time until files are read again that could not be read, in seconds.
TRY_AGAIN_S: Final = 5.0
#: Time between two warnings of a certificate that expires soon, in seconds.
DAY_S: Final = 86_400.0

_Seen = tuple[tuple[int, ...], ...]


class ListenerTls:
    """Keeps the TLS of one listener loaded. ``key`` is the path of its section, ``what`` names the listener.

    ``expires`` gets the time at which the server's certificate expires, in Unix seconds. A certificate that
    expires soon is a warning each day.

    ``opened`` is called when the files are read for the first time, and again later if it raises: until then
    the port stays shut. Later files that cannot be used leave those before them in force. ``distrusts`` is
    called when certificates of clients that were valid may not be any more.
    """

    def __init__(
        self,
        config: TlsConfig,
        key: str,
        what: str,
        log: DaemonLog,
        opened: Callable[[], None],
        expires: Callable[[int | None], None],
        distrusts: Callable[[], None],
    ) -> None:
        self._config = config
        self._key = key
        self._what = what
        self._log = log
        self._opened = opened
        self._expires = expires
        self._distrusts = distrusts
        self._loaded: LoadedTls | None = None
        self._is_open = False
        self._seen: _Seen | None = None
        followed = self._paths if config.auto_reload else ()
        self._files = FollowedFiles(followed, "certificate", self._read, log)
        self._thread = OneThread("certificates")
        self._daily: asyncio.Task[None] | None = None
        self._reported: str | None = None
        self._remarked: tuple[TlsRemark, ...] = ()

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read the files, and follow them when ``auto_reload`` is on."""
        self._files.start(loop)
        self._daily = loop.create_task(self._warn_daily())

    async def close(self) -> None:
        """Stop following the files."""
        if self._daily is not None:
            self._daily.cancel()
            await asyncio.gather(self._daily, return_exceptions=True)
        await self._files.close()

    def context(self) -> ssl.SSLContext:
        """What a new connection uses."""
        assert self._loaded is not None
        return self._loaded.context

    @property
    def _paths(self) -> tuple[str, ...]:
        config = self._config
        files = (config.cert_file, config.key_file, config.ca_file, config.crl_file)
        return tuple(dict.fromkeys(filter(None, files)))

    async def _read(self) -> float | None:
        interval_s = self._config.auto_reload_interval
        try:
            self._seen, loaded = await self._thread.run(
                partial(self._load, self._seen), timeout_s=_LOAD_TAKES_S
            )
            if loaded is not None:
                self._use(loaded)
        except TlsFileError as error:
            self._report(error.key, error.message, error.hint)
        except Exception as error:  # noqa: BLE001  # whatever it is, the files are read again
            if not is_shortage(error) or self._reported is None:
                self._report("", f"{type(error).__name__}: {error}", "")
        else:
            return interval_s if self._config.auto_reload else None
        self._seen = None
        return min(TRY_AGAIN_S, interval_s)

    def _load(self, seen: _Seen | None) -> tuple[_Seen, LoadedTls | None]:
        """Read the files unless they are as before. Blocks."""
        found = tuple(fingerprint(os.fspath(path)) for path in self._paths)
        if found == seen:
            return found, None
        from cbox_init.config.tls_files import load_tls

        return found, load_tls(self._config)

    def _use(self, loaded: LoadedTls) -> None:
        before, self._loaded = self._loaded, loaded
        if before is not None and not loaded.trusts_as(before):
            self._distrusts()
        self._expires(loaded.not_after_unix)
        remarks = loaded.remarks
        if remarks != self._remarked:
            self._remarked = remarks
            self._warn(remarks)
        if self._is_open:
            self._log.info("Certificate reloaded", section=self._key)
        else:
            self._opened()
            self._is_open = True
        self._reported = None

    async def _warn_daily(self) -> None:
        while True:
            await asyncio.sleep(DAY_S)
            if self._loaded is not None:
                for certificate in self._loaded.certificates:
                    self._warn(certificate.remarks())

    def _warn(self, remarks: Iterable[TlsRemark]) -> None:
        for key, message, hint, harmful in remarks:
            if harmful:
                self._log.warn(f"{self._key}.{key}: {message} ({hint})")

    def _report(self, key: str, message: str, hint: str) -> None:
        """Log a problem once, until it is another one."""
        where = f"{self._key}.{key}" if key else self._key
        text = f"{where}: {message}" + (f" ({hint})" if hint else "")
        if text == self._reported:
            return
        self._reported = text
        if not self._is_open:
            self._log.error(f"{self._what} until this is fixed: {text}")
        else:
            self._log.error(f"The certificate is not reloaded, the one before stays in use: {text}")
