"""Runs the API in the daemon, at almost no cost until the first request.

Until the first connection only two sockets are watched. Then the HTTP stack is imported in a thread, so that
the event loop goes on, and the waiting connections are served.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from cbox_init.logs.daemon import RepeatedError
from cbox_init.threads import in_thread

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task, TimerHandle

    from cbox_init.api.listeners import Listeners
    from cbox_init.api.stack import Stack
    from cbox_init.api.tls import ListenerTls
    from cbox_init.build import DaemonParts
    from cbox_init.config.model import GlobalConfig
    from cbox_init.telemetry.vitals import Vitals


#: Time until the HTTP stack is imported again after a failure, in seconds.
TRY_AGAIN_S: Final = 5.0
#: How long the HTTP stack may take to be imported, in seconds (0.1 as a rule).
_IMPORT_TAKES_S: Final = 60.0


class ApiServer:
    """Serves the sockets of ``listeners`` and owns them: closing it closes them."""

    def __init__(
        self, listeners: Listeners, parts: DaemonParts, settings: GlobalConfig, vitals: Vitals
    ) -> None:
        self._listeners = listeners
        self._parts = parts
        self._settings = settings
        self._vitals = vitals
        self._log = parts.logs.daemon
        self._watching: AbstractEventLoop | None = None
        self._again: TimerHandle | None = None
        self._starting: Task[None] | None = None
        self._stack: Stack | None = None
        self._tls: ListenerTls | None = None
        again = f"The API cannot be served, and is tried again in {TRY_AGAIN_S:g} s"
        self._failed = RepeatedError(self._log, again)

    def attach(self, loop: AbstractEventLoop) -> None:
        """Wait for the first connection in ``loop``."""
        for reason in self._listeners.missing:
            self._log.error(reason)
        self._watch(loop)
        if self._listeners.tls is not None:
            from cbox_init.api.tls import ListenerTls

            key, what = "global.api_tls", "The API is not opened on TCP"
            expires = partial(self._vitals.expires, "api")
            self._tls = ListenerTls(
                self._listeners.tls, key, what, self._log, self._open_tcp, expires, self._distrust
            )
            self._tls.start(loop)
        if self._settings.api_preload:
            self._wake()

    async def close(self, timeout_s: float) -> None:
        """Stop accepting, let active requests end within ``timeout_s``, and close the sockets."""
        from asyncio import gather

        self._stop_watching()
        self._listeners.hide()
        if self._tls is not None:
            await self._tls.close()
        if self._starting is not None:
            await gather(self._starting, return_exceptions=True)
            self._stop_watching()
        if self._stack is not None:
            await self._stack.close(timeout_s)
        self._listeners.close()

    def _open_tcp(self) -> None:
        """The certificate is read: accept connections on TCP."""
        self._listeners.open_tcp()
        for address in self._listeners.tcp_urls():
            self._log.info("Management API listening", address=address)
        if self._stack is not None:
            self._stack.serve_tcp(self._listeners)
        elif self._watching is not None:
            self._watch(self._watching)

    def _distrust(self) -> None:
        if self._stack is not None:
            self._stack.distrust_certificates()

    def _watch(self, loop: AbstractEventLoop) -> None:
        self._watching = loop
        for listener in self._listeners.serving:
            loop.add_reader(listener, self._wake)

    def _stop_watching(self) -> None:
        if self._again is not None:
            self._again.cancel()
            self._again = None
        loop, self._watching = self._watching, None
        if loop is not None:
            for listener in self._listeners.sockets:
                loop.remove_reader(listener)

    def _wake(self) -> None:
        """The first client has connected: import the HTTP stack."""
        loop = self._watching
        assert loop is not None
        self._stop_watching()
        self._starting = loop.create_task(self._start(loop))

    async def _start(self, loop: AbstractEventLoop) -> None:
        try:
            stack = await in_thread(_stack, name="api-import", timeout_s=_IMPORT_TAKES_S)
            tls = self._tls.context if self._tls is not None else None
            self._stack = stack(self._parts, self._settings, self._vitals, tls)
        except Exception as error:  # noqa: BLE001  # whatever it is, the children are not to suffer
            # Threads, memory or descriptors may be short for a while; clients wait meanwhile.
            self._failed.report(error)
            self._again = loop.call_later(TRY_AGAIN_S, self._watch, loop)
            return
        try:
            self._stack.serve(self._listeners)
        except Exception as error:  # noqa: BLE001
            RepeatedError(self._log, "The API cannot be served").report(error)
            self._listeners.close()


def _stack() -> type[Stack]:
    from cbox_init.api.stack import Stack

    return Stack
