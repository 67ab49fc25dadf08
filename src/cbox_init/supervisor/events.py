"""What happens to processes and to the daemon, as events: the latest are kept, and listeners are called."""

from __future__ import annotations

import time
from collections import deque
from itertools import islice
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

#: The latest events of all, kept whatever process they are of: readers that keep up need only those.
LATEST: Final = 512

#: Processes that were removed and whose events are kept.
KEPT_REMOVED: Final = 32


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


class _History:
    """The events of one process; ``dropped_upto`` is the number of the last one that was dropped."""

    __slots__ = ("dropped_upto", "events")

    def __init__(self, dropped_upto: int = 0) -> None:
        self.events: deque[Event] = deque()
        self.dropped_upto = dropped_upto


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
        self._latest: deque[Event] = deque(maxlen=LATEST)
        self._histories: dict[str, _History] = {}
        self._removed: dict[str, None] = {}
        self._forgotten_upto = 0
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
        history = self._histories.get(process)
        return () if history is None else tuple(history.events)

    def processes(self) -> tuple[str, ...]:
        """The processes of which events are kept, also removed ones; "" is the daemon."""
        return tuple(self._histories)

    def latest_after(self, number: int) -> list[Event] | None:
        """All events after ``number``; None when they are no longer all among the latest."""
        count = self.last - number
        if count > len(self._latest):
            return None
        return list(islice(reversed(self._latest), max(0, count)))[::-1]

    def kept_after(self, number: int) -> list[Event]:
        """The events after ``number`` that are still kept, oldest first. Takes about a millisecond."""
        found = {
            event.number: event
            for history in self._histories.values()
            for event in history.events
            if event.number > number
        }
        found.update((event.number, event) for event in self._latest if event.number > number)
        return [found[key] for key in sorted(found)]

    def dropped_after(self, number: int, of: Callable[[str], bool]) -> bool:
        """Whether events after ``number`` of these processes may be kept no more."""
        return self._forgotten_upto > number or any(
            history.dropped_upto > number and of(name) for name, history in self._histories.items()
        )

    def forget(self, process: str) -> None:
        """Take in that a process was removed: its events are kept until as many others are removed."""
        if process not in self._histories:
            return
        self._removed.pop(process, None)
        self._removed[process] = None
        if len(self._removed) > KEPT_REMOVED:
            name = next(iter(self._removed))
            del self._removed[name]
            history = self._histories.pop(name)
            self._kept -= len(history.events)
            self._forgotten_upto = max(self._forgotten_upto, history.dropped_upto, history.events[-1].number)
            self._set_each()

    def _keep(self, event: Event) -> None:
        name = event.process
        history = self._histories.get(name)
        if history is None:
            history = self._histories[name] = _History(self._forgotten_upto)
            self._set_each()
        if self._removed:
            self._removed.pop(name, None)
        history.events.append(event)
        self._latest.append(event)
        self._kept += 1
        self.last = event.number
        if len(history.events) > self._each:
            self._trim(history)
        if self._kept > max(KEPT, KEPT_LEAST * len(self._histories)):
            for each in self._histories.values():
                self._trim(each)

    def _set_each(self) -> None:
        self._each = max(KEPT_LEAST, min(KEPT_EACH, KEPT // max(1, len(self._histories))))

    def _trim(self, history: _History) -> None:
        events = history.events
        while len(events) > self._each:
            history.dropped_upto = events.popleft().number
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
