"""Events for readers of the API. A reader is only a position: what is not read yet costs no memory."""

from __future__ import annotations

import re
from asyncio import get_running_loop
from fnmatch import translate
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec import UNSET

from cbox_init.api.replies import encode
from cbox_init.api.schemas_events import EventEntry, MissedEvents
from cbox_init.api.waiting import StreamReader
from cbox_init.logs.encode.base import Timestamps

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Iterable

    from cbox_init.api.caller import ProcessPatterns
    from cbox_init.supervisor.events import Event, Events

#: Events that are encoded at a time: about 0.3 ms.
_PIECE_EVENTS: Final = 64

#: Pieces that are kept for the next reader: readers that keep up need the same ones within a moment.
_KEPT_PIECES: Final = 32

#: Readers that are woken in one turn of the event loop.
_WOKEN_AT_ONCE: Final = 50

#: In a window of this length, in seconds, events wake the readers at once until this many were woken in
#: all, and some times at least; further ones come together at its end.
_WINDOW_S: Final = 0.2
_WOKEN_IN_WINDOW: Final = 2000
_LEAST_WAKES: Final = 3

#: From this many readers on they are woken once for all events of this time, in seconds: an exit and the
#: start that follows it are sent together, and the last reader has both sooner.
_MANY: Final = 20
_GATHERED_S: Final = 0.0015

_SECOND_NS: Final = 1_000_000_000
_LONGEST_NUMBER: Final = 18


class EventFilter:
    """Which events are wanted: of processes that one of ``patterns`` matches and that the caller may see, and
    of ``kinds`` (None: of all)."""

    def __init__(
        self, patterns: tuple[str, ...], kinds: frozenset[str] | None, allowed: ProcessPatterns
    ) -> None:
        self._key = (patterns, kinds, allowed)
        self._hash = hash(self._key)
        self._kinds = kinds
        self._allowed = allowed
        self._match = re.compile("|".join(map(translate, patterns))).match if patterns else None

    @property
    def takes_all(self) -> bool:
        """Whether there is no filter at all."""
        return self._match is None and self._kinds is None and not self._allowed

    def of_process(self, name: str) -> bool:
        """Whether events of a process are wanted."""
        return (self._match is None or self._match(name) is not None) and self._allowed.match(name)

    def takes(self, event: Event) -> bool:
        """Whether this event is wanted."""
        return (self._kinds is None or event.kind in self._kinds) and self.of_process(event.process)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, EventFilter) and self._key == other._key)


class EventPiece(NamedTuple):
    """The next events for a reader, encoded; it goes on after event number ``end``."""

    data: bytes
    end: int


class Batch(NamedTuple):
    """The next events for a reader, and what is missing before them."""

    events: list[Event]
    missed: MissedEvents | None


def entries(events: Iterable[Event]) -> tuple[EventEntry, ...]:
    """Events as the API shows them."""
    timestamp = Timestamps().nanoseconds
    return tuple(
        EventEntry(
            number=event.number,
            timestamp=timestamp(int(event.unix * _SECOND_NS)),
            kind=event.kind,
            process=event.process or UNSET,
            instance=event.instance or UNSET,
            change=event.change or UNSET,
            reason=event.reason or UNSET,
            data=dict(event.data) or UNSET,
        )
        for event in events
    )


def id_of(number: int, run: str) -> str:
    """The id of an event, unique among those of all runs of the daemon."""
    return f"{run}-{number}"


def number_of(id_: str) -> tuple[str, int] | None:
    """The run and the number that an id consists of; None for a text that is none."""
    run, dash, number = id_.partition("-")
    if not (run and dash and number.isascii() and number.isdigit() and len(number) <= _LONGEST_NUMBER):
        return None
    return run, int(number)


class EventFeed:
    """Encodes events once for all readers, and wakes those that wait. Listens only while there are readers.

    Many events in a short time wake the readers a few times, not once for each.
    """

    def __init__(self, events: Events, run: str) -> None:
        self.events = events
        self.run = run
        self._readers: set[EventReader] = set()
        self._leave: Callable[[], None] | None = None
        self._pieces: dict[tuple[EventFilter, int], EventPiece] = {}
        self._wakes = 0
        self._window_ends = 0.0
        self._due = False

    def __len__(self) -> int:
        """How many readers there are."""
        return len(self._readers)

    def enter(self, reader: EventReader) -> None:
        """Wake ``reader`` from now on."""
        self._readers.add(reader)
        if self._leave is None:
            self._leave = self.events.listen(self._heard)

    def leave(self, reader: EventReader) -> None:
        """Wake it no more."""
        self._readers.discard(reader)
        if not self._readers and self._leave is not None:
            self._leave()
            self._leave = None
            self._pieces.clear()

    def cached(self, chosen: EventFilter, after: int) -> EventPiece | None:
        """The next piece for a reader that keeps up, if it was encoded for another one."""
        return self._pieces.get((chosen, after))

    def piece(self, chosen: EventFilter, after: int) -> EventPiece | None:
        """The next piece for a reader that keeps up; None for one that does not."""
        piece = self.cached(chosen, after)
        if piece is not None:
            return piece
        latest = self.events.latest_after(after)
        if latest is None:
            return None
        wanted = [event for event in latest if chosen.takes(event)]
        first = wanted[:_PIECE_EVENTS]
        end = first[-1].number if len(wanted) > len(first) else self.events.last
        piece = self._pieces[chosen, after] = EventPiece(self.encoded(first), end)
        if len(self._pieces) > _KEPT_PIECES:
            del self._pieces[next(iter(self._pieces))]
        return piece

    def encoded(self, events: Iterable[Event]) -> bytes:
        """Events as messages of a stream."""
        return b"".join(
            b"id: %b\ndata: %b\n\n" % (id_of(entry.number, self.run).encode(), encode(entry))
            for entry in entries(events)
        )

    def _heard(self, _: Event) -> None:
        if self._due or not self._readers:
            return
        loop, now = get_running_loop(), monotonic()
        self._due = True
        if now >= self._window_ends:
            self._window_ends, self._wakes = now + _WINDOW_S, 0
        self._wakes += 1
        if self._wakes <= max(_LEAST_WAKES, _WOKEN_IN_WINDOW // len(self._readers)):
            if len(self._readers) >= _MANY:
                loop.call_later(_GATHERED_S, self._wake_all, loop)
                return
            # They run in the next turn of the loop, and take what else this one brings. One that has begun to
            # wait meanwhile is woken then.
            self._wake_all(loop)
            self._due = True
            loop.call_soon(self._wake_all, loop)
        else:
            loop.call_later(self._window_ends - now, self._wake_all, loop)

    def _wake_all(self, loop: AbstractEventLoop) -> None:
        self._due = False
        self._wake_some(loop, [one for one in self._readers if one.waiting and one.pending])

    def _wake_some(self, loop: AbstractEventLoop, readers: list[EventReader]) -> None:
        for reader in readers[:_WOKEN_AT_ONCE]:
            reader.wake()
        if len(readers) > _WOKEN_AT_ONCE:
            loop.call_soon(self._wake_some, loop, readers[_WOKEN_AT_ONCE:])


class EventReader(StreamReader):
    """The position of one reader: ``take`` what comes next, ``wait`` when there is nothing.

    It begins after event number ``after``; without that with the last ``last`` events that are kept, or those
    since a time. ``restarted``: its id was from another run of the daemon. Leaving the ``with`` block closes
    it.
    """

    def __init__(
        self,
        feed: EventFeed,
        chosen: EventFilter,
        *,
        after: int | None = None,
        last: int | None = None,
        since: float | None = None,
        restarted: bool = False,
    ) -> None:
        super().__init__()
        self._feed = feed
        self._events = feed.events
        self.chosen: Final = chosen
        self._restarted = restarted
        self.after = self._events.last
        # What was said to be missing was counted up to event number `_counted`; `_left` of the wanted ones up
        # to there were still kept.
        self._counted = self.after
        self._left = 0
        if after is not None:
            self.after = self._counted = after
        elif last or since is not None:
            wanted = [e for e in self._events.kept_after(0) if chosen.takes(e) and e.unix >= (since or 0.0)]
            wanted = wanted[-last:] if last else wanted
            if wanted:
                self.after, self._left = wanted[0].number - 1, len(wanted)
        feed.enter(self)

    @property
    def pending(self) -> bool:
        """Whether there may be something to take."""
        return not self._gone and (self.after < self._events.last or self._restarted)

    @property
    def id(self) -> str:
        """The id from which it can go on."""
        return id_of(self.after, self._feed.run)

    def take_cached(self) -> bytes | None:
        """As ``chunk`` when another reader needed the same, else None."""
        if self._restarted:
            return None
        piece = self._feed.cached(self.chosen, self.after)
        return None if piece is None else self._keeps_up(piece)

    def chunk(self) -> bytes:
        """The next events as messages of a stream; may be empty although something was pending."""
        piece = None if self._restarted else self._feed.piece(self.chosen, self.after)
        if piece is not None:
            return self._keeps_up(piece)
        batch = self.take(_PIECE_EVENTS)
        data = self._feed.encoded(batch.events)
        if batch.missed is not None:
            before = batch.events[0].number - 1 if batch.events else self.after
            id_ = id_of(before, self._feed.run).encode()
            data = b"id: %b\nevent: missed\ndata: %b\n\n%b" % (id_, encode(batch.missed), data)
        return data

    def take(self, most: int) -> Batch:
        """The next events, ``most`` at most; and what is missing before them, which is said once."""
        restarted, self._restarted = self._restarted, False
        now = self._events.last
        found = self._events.latest_after(self.after)
        missed: MissedEvents | None = MissedEvents(UNSET, True) if restarted else None
        whole = found is not None
        if found is None:
            found = self._events.kept_after(self.after)
        wanted = [event for event in found if self.chosen.takes(event)]
        if not whole:
            count = self._missing(found, wanted)
            if count != 0:
                missed = MissedEvents(UNSET if count is None else count, True if restarted else UNSET)
            self._counted = now
        events = wanted[:most]
        self.after = events[-1].number if len(wanted) > most else now
        self._left = len(wanted) - len(events)
        if whole:
            self._counted, self._left = self.after, 0
        return Batch(events, missed)

    def close(self) -> None:
        """The reader is gone: nothing is pending any more."""
        super().close()
        self._feed.leave(self)

    def _keeps_up(self, piece: EventPiece) -> bytes:
        self.after = self._counted = piece.end
        self._left = 0
        return piece.data

    def _missing(self, found: list[Event], wanted: list[Event]) -> int | None:
        """How many of the wanted events since the last count are kept no more; None when it is not known."""
        of_counted = sum(1 for event in wanted if event.number <= self._counted)
        missing = self._left - of_counted
        if self.chosen.takes_all:
            later = sum(1 for event in found if event.number > self._counted)
            return missing + self._events.last - self._counted - later
        if self._events.dropped_after(self._counted, self.chosen.of_process):
            return None
        return missing
