"""The sockets of sd_notify(3): `NotifyReceiver` for our children, `NotifySocket` to our service manager.

The receiver's address is abstract: it needs no writable directory, nothing remains when the daemon is killed,
it works from a chroot, and children of other users may send to it. Any other process may too, so messages
are accepted by the sender's pid, which the kernel supplies.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from cbox_init.system.descriptors import in_reserve, out_of_descriptors

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The longest message, in bytes; systemd's limit too. What is longer is no message.
LONGEST: Final = 4096

_CREDENTIALS: Final = struct.Struct("3i")  # struct ucred: pid, uid, gid


class Datagram(NamedTuple):
    """``pid`` is the sender's in our pid namespace, 0 when it has none there; ``data`` None when too long."""

    pid: int
    data: bytes | None


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


class NotifyReceiver:
    """Receives datagrams; ``address`` is what belongs in a child's NOTIFY_SOCKET. Never blocks.

    Raises SpawnError when there are too many open files; the last few are left for the daemon itself.
    """

    def __init__(self) -> None:
        try:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        except OSError as error:
            raise out_of_descriptors(error) from error
        if in_reserve(self._socket.fileno()):
            self._socket.close()
            raise out_of_descriptors(OSError(errno.EMFILE, os.strerror(errno.EMFILE)))
        name = f"cbox-init/{os.urandom(12).hex()}"
        self.address = f"@{name}"
        # Before there is an address: every datagram comes with its sender's credentials.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind(f"\0{name}")

    def fileno(self) -> int:
        return self._socket.fileno()

    def receive(self, most: int) -> Iterator[Datagram]:
        """What has come, at most ``most`` datagrams.

        Descriptors that a sender attached are never opened here: there is room for the credentials alone,
        and the kernel closes what has none. That is also what BARRIER=1 waits for.
        """
        for _ in range(most):
            try:
                data, ancillary, flags, _address = self._socket.recvmsg(
                    LONGEST, socket.CMSG_SPACE(_CREDENTIALS.size)
                )
            except OSError:  # nothing more has come
                return
            pid = 0
            for level, kind, value in ancillary:
                if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
                    pid, _uid, _gid = _CREDENTIALS.unpack_from(value)
            yield Datagram(pid, None if flags & socket.MSG_TRUNC else data)

    def close(self) -> None:
        """Who sends from now on is refused."""
        self._socket.close()
