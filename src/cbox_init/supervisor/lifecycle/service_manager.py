"""Notifies the service manager that started the daemon, if it set ``NOTIFY_SOCKET`` (sd_notify(3))."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbox_init.system.notify import NotifySocket

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cbox_init.supervisor.runtime import Runtime


class ServiceManager:
    """Sends READY=1 when all is up, STOPPING=1 when the shutdown begins, WATCHDOG=1 while the loop turns."""

    def __init__(self, address: str, watchdog_s: float | None, runtime: Runtime) -> None:
        self._socket = NotifySocket(address)
        self._runtime = runtime
        self._every_s = None if watchdog_s is None else watchdog_s / 2
        self._next_at = runtime.now()
        if self._every_s is not None:
            runtime.run_queue.wake(self)

    def reconcile(self, stop_at: float) -> float | None:
        """Send WATCHDOG=1 when it is due. The event loop calls this, so a loop that hangs sends nothing."""
        if self._every_s is None:
            return None
        now = self._runtime.now()
        if now >= self._next_at:
            self._socket.send("WATCHDOG=1")
            self._next_at = now + self._every_s
        return self._next_at

    def ready(self) -> None:
        """Notify that all processes are up."""
        self._send("READY=1")

    def stopping(self) -> None:
        """Notify that the shutdown has begun."""
        self._send("STOPPING=1")

    def close(self) -> None:
        """Send nothing more."""
        self._runtime.run_queue.forget(self)
        self._socket.close()

    def _send(self, state: str) -> None:
        if error := self._socket.send(state):
            self._runtime.log.warn("The service manager could not be notified", state=state, error=error)


def service_manager(environ: Mapping[str, str], runtime: Runtime, pid: int) -> ServiceManager | None:
    """The service manager that ``environ`` names, None without one. ``pid`` is the daemon's."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address:
        return None
    if address[0] not in "/@":
        runtime.log.warn("NOTIFY_SOCKET is ignored: neither an absolute path nor an abstract socket (@NAME)")
        return None
    return ServiceManager(address, _watchdog_s(environ, pid), runtime)


def _watchdog_s(environ: Mapping[str, str], pid: int) -> float | None:
    """The interval within which the service manager expects WATCHDOG=1, in seconds; None without one."""
    text = environ.get("WATCHDOG_USEC", "")
    if not (text.isascii() and text.isdigit()) or environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    return int(text) / 1e6 or None
