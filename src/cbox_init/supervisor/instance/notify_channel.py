"""Receives the notifications of one run of an instance (sd_notify(3)), and runs its watchdog.

The socket belongs to the run, as its output does: it exists from before the spawn until the main process has
ended, also when the configuration changes meanwhile. Only processes of ``type: notify`` have one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cbox_init.core.notify import NotifyState, read_message, silent_for
from cbox_init.system.notify import NotifyReceiver
from cbox_init.system.tree import descends_from

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cbox_init.core.notify import NotifyMessage
    from cbox_init.supervisor.runtime import Runtime

#: How many messages are read at a time; the event loop then does other work first.
_MOST_AT_A_TIME: Final = 16

#: How many are read before a watchdog expires: more than any queue holds (net.unix.max_dgram_qlen).
_MOST_QUEUED: Final = 1000

#: How long to wait for the event loop at a time, while the daemon starts; in seconds.
_LOOP_WAIT_S: Final = 0.02

#: A watchdog that is this many seconds late was delayed itself: the daemon was suspended, and the instance
#: perhaps too. It then gets its whole time again.
_DELAYED_S: Final = 1.0


class NotifyChannel:
    """Calls ``on_message`` with the pid of the main process and each notification of the instance.

    A message counts when a process of the instance has sent it: the main process, its descendants, and those
    of them that have lost their parent or left the group. Signs of life (WATCHDOG=1) only set the watchdog.
    """

    def __init__(
        self,
        name: str,
        *,
        runtime: Runtime,
        watchdog_s: float,
        on_message: Callable[[int, NotifyMessage], None],
    ) -> None:
        self._name = name
        self._runtime = runtime
        self._watchdog_s = watchdog_s
        self._on_message = on_message
        self._receiver = NotifyReceiver()
        self._pid = 0
        self._reading = False
        self._watched = False
        self._expires_at: float | None = None
        self._complained = False

    @property
    def variables(self) -> Mapping[str, str]:
        """What to add to the environment of the instance."""
        variables = {"NOTIFY_SOCKET": self._receiver.address}
        if self._watchdog_s:
            variables["WATCHDOG_USEC"] = str(max(1, round(self._watchdog_s * 1e6)))
        return variables

    def follow(self, pid: int) -> None:
        """The main process runs: take messages from it and its descendants from now on."""
        self._pid = pid
        self._runtime.run_queue.wake(self)

    def close(self) -> None:
        """The main process has ended, or was never started: take no more messages."""
        loop = self._runtime.run_queue.loop
        if self._reading and loop is not None:
            loop.remove_reader(self._receiver.fileno())
        self._runtime.run_queue.forget(self)
        self._receiver.close()
        self._pid = 0

    def reconcile(self, stop_at: float) -> float | None:
        """Begin to read once there is an event loop, and see whether the watchdog has expired."""
        loop, now = self._runtime.run_queue.loop, self._runtime.now()
        if not self._pid:
            return None
        if loop is None:
            return now + _LOOP_WAIT_S
        if not self._reading:
            loop.add_reader(self._receiver.fileno(), self._read)
            self._reading = True
        if self._expires_at is not None and self._expires_at <= now:
            self._expire(now)
        return self._expires_at

    def _expire(self, now: float) -> None:
        assert self._expires_at is not None
        delayed = now - self._expires_at > _DELAYED_S
        self._expires_at = now + self._watchdog_s if delayed else None
        self._read(_MOST_QUEUED)  # a message that arrived while the daemon was busy was in time
        if self._watched and self._expires_at is None and self._pid:
            self._watched = False
            self._on_message(self._pid, silent_for(self._watchdog_s))

    def _read(self, most: int = _MOST_AT_A_TIME) -> None:
        for datagram in self._receiver.receive(most):
            if not self._pid:  # closed because of the message before
                return
            if not self._is_member(datagram.pid):
                self._complain("A message of no process of the instance is ignored", datagram.pid)
            elif datagram.data is None:
                self._complain("A message of more than 4096 bytes is ignored", datagram.pid)
            else:
                self._take(read_message(datagram.data))

    def _take(self, message: NotifyMessage) -> None:
        if self._watchdog_s:
            self._watch(message)
        if message.has_news:
            self._on_message(self._pid, message)

    def _watch(self, message: NotifyMessage) -> None:
        """Set the watchdog. It runs from READY=1 until the instance reports that it stops."""
        before = self._watched
        for word in message.states:
            self._watched = word is NotifyState.READY or (self._watched and word is NotifyState.RELOADING)
        if not self._watched:
            self._expires_at = None
        elif message.alive or not before:
            self._expires_at = self._runtime.now() + self._watchdog_s
            if not before:
                self._runtime.run_queue.wake(self)

    def _is_member(self, pid: int) -> bool:
        if pid == self._pid or descends_from(pid, self._pid):
            return True
        return any(stray.pid == pid for stray in self._runtime.strayed(self._name, self._pid))

    def _complain(self, message: str, sender: int) -> None:
        """Log a warning, once for each run, so that a flood of messages is not a flood of log lines."""
        if self._complained:
            return
        self._complained = True
        self._runtime.log.warn(message, instance_id=self._name, pid=self._pid, sender=sender)
