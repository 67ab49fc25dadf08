"""The socket on which a service manager listens for the state of what it started (sd_notify(3))."""

from __future__ import annotations

import contextlib
import socket


class NotifySocket:
    """Sends datagrams to ``address``: a path, or ``@NAME`` in the abstract namespace. Never blocks."""

    def __init__(self, address: str) -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    def send(self, state: str) -> str | None:
        """Send one assignment, such as "READY=1". Gives why it could not be sent, None when it was."""
        try:
            self._socket.sendto(state.encode(), self._address)
        except OSError as error:
            return error.strerror or str(error)
        return None

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.close()
