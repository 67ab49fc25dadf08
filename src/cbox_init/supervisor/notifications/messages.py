"""The messages of one notification that wait to be sent: what is joined, what is dropped. Pure.

Events about the same are joined: all of one kind of one process, or, where the receiver knows incidents, all
about the same problem. Of those only the last is sent, with the number of them. So no more waits for a slow
receiver than there are subjects, however many events there are.
"""

from __future__ import annotations

from collections import OrderedDict
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace

from cbox_init.config.event_kinds import PROBLEMS
from cbox_init.supervisor.notifications.wording import is_problem, problem_key, recovered_keys

if TYPE_CHECKING:
    from collections.abc import Hashable

    from cbox_init.config.model import NotificationConfig
    from cbox_init.supervisor.events import Event

#: Messages that wait at most; further ones are dropped.
MOST_WAITING: Final = 500
#: Subjects whose last message is remembered.
_MOST_REMEMBERED: Final = 4 * MOST_WAITING
_MOST_INCIDENTS: Final = 1000
#: From this number of due messages of one kind on, they become one.
_MANY: Final = 5


class MessageStatus(StrEnum):
    """What a message means: a problem, the end of one, something else, or nothing at all."""

    PROBLEM = "problem"
    RECOVERY = "recovery"
    INFO = "info"
    TEST = "test"


class Message(Struct, frozen=True, kw_only=True):
    """One message to send: the last of ``count`` events about the same.

    ``others`` are further processes and instances that the same has happened to; ``count`` is of all.
    """

    event: Event
    status: MessageStatus
    key: str
    count: int = 1
    since_unix: float = 0.0
    others: tuple[str, ...] = ()


class MessageQueue:
    """The messages of one notification, in the order of their first events.

    ``incidents``: the receiver keeps problems open until it learns that they are over.
    """

    def __init__(self, config: NotificationConfig) -> None:
        self.dropped = 0
        """How many events were dropped, as too many waited."""
        self._waiting: OrderedDict[Hashable, Message] = OrderedDict()
        self._sent_at: dict[Hashable, float] = {}
        self._open: set[str] = set()
        self._settles_at: dict[Hashable, float] = {}
        """When recoveries that wait count as lasting."""
        self._flushing = False
        self.configure(config)

    def configure(self, config: NotificationConfig) -> None:
        """Choose and join by this configuration from now on."""
        self._config = config
        self._incidents = config.webhook is not None and config.webhook.template == "pagerduty"
        if not self._incidents:
            self._open.clear()
            self._settles_at.clear()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, event: Event, now: float) -> bool:
        """Take in an event; gives whether there is anything new to send."""
        if self._incidents:
            return self._add_to_incidents(event, now)
        if not self._wants(event):
            return False
        status = MessageStatus.PROBLEM if is_problem(event) else MessageStatus.INFO
        if recovered_keys(event):
            status = MessageStatus.RECOVERY
        return self._join((event.process, event.kind), event, status, problem_key(event))

    def take(self, now: float) -> Message | None:
        """The first message that is due, which is no longer in the queue then, nor are those joined with it.

        At the end those of the daemon itself come first.
        """
        due = [group for group in self._waiting if self._due_at(group) <= now]
        if not due:
            return None
        group = due[0]
        if self._flushing:
            group = next((one for one in due if not self._waiting[one].event.process), group)
        first = self._waiting[group]
        alike = [one for one in due if self._waiting[one].event.kind == first.event.kind and one != group]
        if self._incidents or len(alike) + 1 < _MANY or not first.event.process:
            alike = []
        joined = [self._remove(one, now) for one in (group, *alike)]
        if not alike:
            return first
        return replace(
            first,
            count=sum(one.count for one in joined),
            since_unix=min(one.since_unix for one in joined),
            others=tuple(one.event.instance or one.event.process for one in joined[1:]),
        )

    def next_at(self) -> float | None:
        """When a message is due; None when none waits."""
        return min(map(self._due_at, self._waiting), default=None)

    def flush(self) -> None:
        """Let all that waits be due now, and do not join what was sent."""
        self._flushing = True

    def clear(self) -> int:
        """Drop all that waits; gives the number of messages."""
        left = len(self._waiting)
        self._waiting.clear()
        self._settles_at.clear()
        return left

    def _remove(self, group: Hashable, now: float) -> Message:
        message = self._waiting.pop(group)
        if self._settles_at.pop(group, None) is not None:
            self._open.discard(message.key)
        self._remember(group, now)
        return message

    def _wants(self, event: Event) -> bool:
        config = self._config
        if config.processes and not any(fnmatchcase(event.process, one) for one in config.processes):
            return False
        for pattern in config.events or (PROBLEMS,):
            if is_problem(event) if pattern == PROBLEMS else fnmatchcase(event.kind, pattern):
                return True
        return False

    def _add_to_incidents(self, event: Event, now: float) -> bool:
        """A problem opens an incident; the recovery ends it, whatever ``events`` says.

        A recovery counts when it has lasted for ``min_interval``: what crashes all the time is one incident.
        """
        new = False
        recovered = recovered_keys(event)
        for key in recovered:
            if key in self._open:
                new |= self._recover(key, event, now)
        if not recovered and self._wants(event):
            key, status = problem_key(event), MessageStatus.PROBLEM
            if key not in self._open and len(self._open) >= _MOST_INCIDENTS:
                self.dropped += 1
                return new
            self._waiting.pop((key, MessageStatus.RECOVERY), None)
            self._settles_at.pop((key, MessageStatus.RECOVERY), None)
            if self._join((key, status), event, status, key):
                self._open.add(key)
                new = True
        return new

    def _recover(self, key: str, event: Event, now: float) -> bool:
        if self._was_sent(key):
            self._waiting.pop((key, MessageStatus.PROBLEM), None)  # it would only repeat that
        group = (key, MessageStatus.RECOVERY)
        self._settles_at.setdefault(group, now + self._config.min_interval)
        return self._join(group, event, MessageStatus.RECOVERY, key)

    def _was_sent(self, key: str) -> bool:
        problem, recovery = (key, MessageStatus.PROBLEM), (key, MessageStatus.RECOVERY)
        return problem in self._sent_at and self._sent_at[problem] > self._sent_at.get(recovery, -1.0)

    def _join(self, group: Hashable, event: Event, status: MessageStatus, key: str) -> bool:
        before = self._waiting.get(group)
        if before is None and len(self._waiting) >= MOST_WAITING:
            self.dropped += 1
            return False
        self._waiting[group] = Message(
            event=event,
            status=status,
            key=key,
            count=1 if before is None else before.count + 1,
            since_unix=event.unix if before is None else before.since_unix,
        )
        return True

    def _due_at(self, group: Hashable) -> float:
        if not self._flushing and group in self._settles_at:
            return self._settles_at[group]
        if self._flushing or group not in self._sent_at:
            return 0.0
        return self._sent_at[group] + self._config.min_interval

    def _remember(self, group: Hashable, now: float) -> None:
        if len(self._sent_at) >= _MOST_REMEMBERED:
            since = now - self._config.min_interval
            kept = {one: at for one, at in self._sent_at.items() if at > since}
            self._sent_at = kept if len(kept) < _MOST_REMEMBERED else {}
        self._sent_at.pop(group, None)
        self._sent_at[group] = now
