"""What we tell the program that started us, where it asks to be told (``NOTIFY_SOCKET``, sd_notify(3))."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbox_init.system.notify import NotifySocket

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cbox_init.supervisor.runtime import Runtime


class ServiceManager:
    """READY=1 when all has started, STOPPING=1 when the end begins, WATCHDOG=1 while the loop turns."""

    def __init__(self, address: str, watchdog_s: float | None, runtime: Runtime) -> None:
        self._socket = NotifySocket(address)
        self._runtime = runtime
        self._every_s = None if watchdog_s is None else watchdog_s / 2
        self._next_at = runtime.now()
        if self._every_s is not None:
            runtime.run_queue.wake(self)

    def reconcile(self, stop_at: float) -> float | None:
        """Send the sign of life that is due. Looks come from the event loop: no loop, no sign."""
        if self._every_s is None:
            return None
        now = self._runtime.now()
        if now >= self._next_at:
            self._socket.send("WATCHDOG=1")
            self._next_at = now + self._every_s
        return self._next_at

    def ready(self) -> None:
        """All that should run does."""
        self._tell("READY=1")

    def stopping(self) -> None:
        """The end has begun."""
        self._tell("STOPPING=1")

    def close(self) -> None:
        """Tell nothing more."""
        self._runtime.run_queue.forget(self)
        self._socket.close()

    def _tell(self, state: str) -> None:
        if error := self._socket.send(state):
            self._runtime.log.warn("The service manager cannot be told", state=state, error=error)


def service_manager(environ: Mapping[str, str], runtime: Runtime, pid: int) -> ServiceManager | None:
    """The one that ``environ`` names, None where there is none. ``pid`` is ours."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address:
        return None
    if address[0] not in "/@":
        runtime.log.warn("NOTIFY_SOCKET is no path and no abstract socket (@NAME), and is ignored")
        return None
    return ServiceManager(address, _watchdog_s(environ, pid), runtime)


def _watchdog_s(environ: Mapping[str, str], pid: int) -> float | None:
    """Within how many seconds signs of life are wanted of us, if they are."""
    text = environ.get("WATCHDOG_USEC", "")
    if not (text.isascii() and text.isdigit()) or environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    return int(text) / 1e6 or None
