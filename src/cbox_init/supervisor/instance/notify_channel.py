"""What one run of an instance says of itself (sd_notify(3)), and the watchdog that waits for signs of life.

The socket belongs to the run, as its output does: it is there from before the spawn until the main process
has ended, whatever becomes of the configuration meanwhile. Made for processes of ``type: notify`` alone.
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

#: How many messages are read at a time; the event loop then sees to others first.
_MOST_AT_A_TIME: Final = 16

#: How many are read before a watchdog rings: more than wait in any queue (net.unix.max_dgram_qlen).
_MOST_THAT_WAIT: Final = 1000

#: How long it waits for the event loop at a time, while the daemon starts; in seconds.
_LOOP_COMES_S: Final = 0.02

#: A watchdog that rings later than this was held up itself: the daemon was suspended, and so perhaps the
#: instance. In seconds.
_HELD_UP_S: Final = 1.0


class NotifyChannel:
    """Gives what the instance says to ``on_message``.

    Messages count when a process of the instance has sent them: the main process, what descends from it, and
    what of that has lost its parent or left its group. Signs of life stay here: they change nothing.
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
        self._silent_at: float | None = None
        self._complained = False

    @property
    def variables(self) -> Mapping[str, str]:
        """What the instance finds in its environment."""
        variables = {"NOTIFY_SOCKET": self._receiver.address}
        if self._watchdog_s:
            variables["WATCHDOG_USEC"] = str(max(1, round(self._watchdog_s * 1e6)))
        return variables

    def follow(self, pid: int) -> None:
        """The main process runs: take in what comes from it and its descendants."""
        self._pid = pid
        self._runtime.run_queue.wake(self)

    def close(self) -> None:
        """The main process has ended, or was never there: nothing that comes now counts."""
        loop = self._runtime.run_queue.loop
        if self._reading and loop is not None:
            loop.remove_reader(self._receiver.fileno())
        self._runtime.run_queue.forget(self)
        self._receiver.close()
        self._pid = 0

    def reconcile(self, stop_at: float) -> float | None:
        """See whether the watchdog has run out. Begins to read once there is an event loop."""
        loop, now = self._runtime.run_queue.loop, self._runtime.now()
        if not self._pid:
            return None
        if loop is None:
            return now + _LOOP_COMES_S
        if not self._reading:
            self._reading = True
            loop.add_reader(self._receiver.fileno(), self._read)
        if self._silent_at is not None and self._silent_at <= now:
            self._ring(now)
        return self._silent_at

    def _ring(self, now: float) -> None:
        assert self._silent_at is not None
        held_up = now - self._silent_at > _HELD_UP_S
        self._silent_at = now + self._watchdog_s if held_up else None
        self._read(_MOST_THAT_WAIT)  # what has come while we were busy was in time
        if self._watched and self._silent_at is None and self._pid:
            self._watched = False
            self._on_message(self._pid, silent_for(self._watchdog_s))

    def _read(self, most: int = _MOST_AT_A_TIME) -> None:
        for datagram in self._receiver.receive(most):
            if not self._pid:  # what it said has led to its end
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
        """The watchdog runs from READY=1 on, and no longer when the instance says that it stops."""
        before = self._watched
        for word in message.states:
            self._watched = word is NotifyState.READY or (self._watched and word is NotifyState.RELOADING)
        if not self._watched:
            self._silent_at = None
        elif message.alive or not before:
            self._silent_at = self._runtime.now() + self._watchdog_s
            if not before:
                self._runtime.run_queue.wake(self)

    def _is_member(self, pid: int) -> bool:
        if pid == self._pid or descends_from(pid, self._pid):
            return True
        return any(stray.pid == pid for stray in self._runtime.strayed(self._name, self._pid))

    def _complain(self, message: str, sender: int) -> None:
        """Once a run: whoever floods the socket does not flood the log."""
        if self._complained:
            return
        self._complained = True
        self._runtime.log.warn(message, instance_id=self._name, pid=self._pid, sender=sender)
