"""What happens to processes and to the daemon, as events: the latest are kept, and listeners are called."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Final, TypeAlias

from msgspec import Struct, field

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cbox_init.sensitive import KnownSecrets
    from cbox_init.supervisor.defects import Defects

Scalar: TypeAlias = str | int | float | bool | None

KINDS: Final[Mapping[str, str]] = {
    "instance.started": "The instance was started.",
    "instance.start_failed": "It could not be started.",
    "instance.exited": "Its main process has ended.",
    "instance.restarting": "It is restarted, at once or after a delay.",
    "instance.given_up": "It has failed and is not restarted.",
    "instance.killed": "It did not stop in time and was killed.",
    "instance.suspended": "It was suspended, and does nothing.",
    "instance.continued": "It runs again after it was suspended.",
    "instance.health": "Its health has changed.",
    "instance.ready": "It is ready.",
    "instance.not_ready": "It is ready no more.",
    "hook.started": "A hook has begun, of an instance or of the stack.",
    "hook.ended": "It is over, with all its tries.",
    "process.state": "The state of the process has changed.",
    "process.blocked": "It waits for its dependencies.",
    "process.timeout": "Its dependencies were not ready in time.",
    "rollout.started": "A rollout has begun.",
    "rollout.step": "A new instance has replaced an old one.",
    "rollout.complete": "All instances are replaced.",
    "rollout.failed": "The rollout has stopped; the remaining old instances stay.",
    "rollout.rolled_back": "It failed, and the former configuration is in force again.",
    "schedule.run_started": "A run of the schedule has begun.",
    "schedule.run_ended": "The run is over.",
    "schedule.run_skipped": "A run was left out.",
    "schedule.overdue": "No run has succeeded in time.",
    "schedule.paused": "The schedule was paused.",
    "schedule.resumed": "It was resumed.",
    "config.changed": "Another configuration is in force.",
    "config.failed": "A configuration was refused; the former one stays in force.",
    "change.started": "A command was accepted.",
    "change.progress": "A part of the change is done.",
    "change.ended": "The change is over.",
    "log.dropped": "Log lines were dropped.",
    "autoscale.decided": "The number of instances is changed for the load.",
    "autoscale.failed": "The load could not be measured.",
    "notification.failed": "A notification could not be delivered.",
    "daemon.started": "The daemon has begun to start processes.",
    "daemon.ready": "All that starts by itself is ready.",
    "daemon.not_ready": "It is ready no more.",
    "daemon.stopping": "The shutdown has begun.",
    "daemon.defect": "An unexpected error was contained.",
}
"""Every kind of event, with its meaning."""

#: Characters of a text in an event; the rest is cut.
LONGEST_TEXT: Final = 1000

#: Events that are kept of one process, and of the daemon, at most.
KEPT_EACH: Final = 128

#: Events that are kept of all processes together; each keeps `KEPT_LEAST` even when there are more.
KEPT: Final = 4096
KEPT_LEAST: Final = 5


class Event(Struct, frozen=True, gc=False):
    """Something that has happened. Events are numbered from 1 on, over all processes; ``unix`` is the time in
    seconds.

    ``process`` is empty for the daemon's own, ``change`` is the id of the change that it belongs to.
    """

    number: int
    unix: float
    kind: str
    process: str = ""
    instance: str = ""
    change: str = ""
    reason: str = ""
    data: Mapping[str, Scalar] = field(default_factory=dict)


class Events:
    """The events of one daemon. For the event loop's thread.

    Each process has a history of its own, so that one that crashes all the time pushes out only its own
    events.
    """

    def __init__(
        self, secrets: KnownSecrets, defects: Defects, unix: Callable[[], float] = time.time
    ) -> None:
        self._secrets = secrets
        self._defects = defects
        self._unix = unix
        self._listeners: tuple[Callable[[Event], object], ...] = ()
        self._histories: dict[str, deque[Event]] = {}
        self._kept = 0
        self._each = KEPT_EACH
        self._reporting = False
        self.last = 0
        """The number of the latest event, 0 before the first."""

    def emit(
        self,
        kind: str,
        process: str = "",
        instance: str = "",
        *,
        change: str = "",
        reason: str | None = "",
        **data: Scalar,
    ) -> None:
        """Keep an event and call the listeners. Never raises, never blocks. Secrets are masked in ``reason``
        and ``data``, long texts are cut, and data without a value is left out."""
        try:
            shown = {
                key: self._text(value) if isinstance(value, str) else value
                for key, value in data.items()
                if value is not None
            }
            event = Event(
                self.last + 1, self._unix(), kind, process, instance, change, self._text(reason or ""), shown
            )
            self._keep(event)
        except Exception as error:  # noqa: BLE001  # whoever emits is in the middle of what has happened
            self._report("an event could not be kept", error)
            return
        for listener in self._listeners:
            try:
                listener(event)
            except Exception as error:  # noqa: BLE001  # the others are called nevertheless
                self._report("an event could not be handled", error)

    def listen(self, listener: Callable[[Event], object]) -> Callable[[], None]:
        """Call ``listener`` at once with each event from now on; returns the function that ends that."""
        self._listeners = (*self._listeners, listener)

        def leave() -> None:
            self._listeners = tuple(one for one in self._listeners if one is not listener)

        return leave

    def history(self, process: str) -> tuple[Event, ...]:
        """The events that are kept of a process, oldest first."""
        return tuple(self._histories.get(process, ()))

    def _keep(self, event: Event) -> None:
        history = self._histories.get(event.process)
        if history is None:
            history = self._histories[event.process] = deque()
            self._each = max(KEPT_LEAST, min(KEPT_EACH, KEPT // len(self._histories)))
        history.append(event)
        self._kept += 1
        self.last = event.number
        if len(history) > self._each:
            self._trim(history)
        if self._kept > max(KEPT, KEPT_LEAST * len(self._histories)):
            for each in self._histories.values():
                self._trim(each)

    def _trim(self, history: deque[Event]) -> None:
        while len(history) > self._each:
            history.popleft()
            self._kept -= 1

    def _text(self, text: str) -> str:
        if not text or (text.isalpha() and text.islower()):  # a word like that is never a known secret
            return text
        text = self._secrets.masked(text)
        return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…"

    def _report(self, where: str, error: Exception) -> None:
        """Report a defect, unless it is the event of that defect which fails."""
        if self._reporting:
            return
        self._reporting = True
        try:
            self._defects.report(where, error)
        finally:
            self._reporting = False
