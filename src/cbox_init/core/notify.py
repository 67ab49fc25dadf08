"""What an instance reports of itself (sd_notify(3)): one message, and the state after several. Pure.

    STARTING ──READY=1──▶ READY ──RELOADING=1──▶ RELOADING ──READY=1──▶ READY ──STOPPING=1──▶ STOPPING

Imported for processes of ``type: notify`` alone.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace

if TYPE_CHECKING:
    from collections.abc import Iterable

#: The longest status that is kept, in characters.
LONGEST_STATUS: Final = 500

#: The longest time that one message may ask for, in seconds.
_LONGEST_S: Final = 86_400.0


class NotifyState(StrEnum):
    """The readiness that it has reported last."""

    STARTING = "starting"
    READY = "ready"
    RELOADING = "reloading"
    STOPPING = "stopping"


class NotifyMessage(Struct, frozen=True, kw_only=True):
    """The content of one datagram. ``failure`` is why it counts as hanging.

    ``alive`` is the sign of life that a watchdog wants; ``extend_s`` the time that it still needs to start.
    """

    states: tuple[NotifyState, ...] = ()
    status: str | None = None
    failure: str | None = None
    alive: bool = False
    extend_s: float | None = None

    @property
    def has_news(self) -> bool:
        """Whether it contains more than a sign of life."""
        return self != NotifyMessage(alive=self.alive)


#: What an instance says that is ready, by READY=1 or by a line of its output.
READY_MESSAGE: Final = NotifyMessage(states=(NotifyState.READY,))


class NotifyStatus(Struct, frozen=True, kw_only=True):
    """What one run of an instance has reported so far; ``failure`` once its watchdog has expired."""

    state: NotifyState = NotifyState.STARTING
    status: str = ""
    failure: str | None = None

    @property
    def starting(self) -> bool:
        """Whether its first READY=1 has not come."""
        return self.state is NotifyState.STARTING

    @property
    def ready(self) -> bool:
        return self.state is NotifyState.READY and self.failure is None

    @property
    def reason(self) -> str | None:
        """Why it is not ready although it was; None when that is not so."""
        if self.state in (NotifyState.RELOADING, NotifyState.STOPPING):
            return f"not ready: it reports {self.state}"
        return None


def read_message(datagram: bytes) -> NotifyMessage:
    """The meaning of a datagram of any content: lines of ``NAME=value``; unknown ones are ignored."""
    message = NotifyMessage()
    for line in datagram.split(b"\n"):
        name, _, value = line.partition(b"=")
        match name, value:
            case b"READY", b"1":
                message = replace(message, states=(*message.states, NotifyState.READY))
            case b"RELOADING", b"1":
                message = replace(message, states=(*message.states, NotifyState.RELOADING))
            case b"STOPPING", b"1":
                message = replace(message, states=(*message.states, NotifyState.STOPPING))
            case b"STATUS", _:
                message = replace(message, status=_shown(value))
            case b"WATCHDOG", b"1":
                message = replace(message, alive=True)
            case b"WATCHDOG", b"trigger":
                message = replace(message, failure="it sent WATCHDOG=trigger")
            case b"EXTEND_TIMEOUT_USEC", _ if value.isdigit() and len(value) <= 20:
                message = replace(message, extend_s=min(int(value) / 1e6, _LONGEST_S))
    return message


def silent_for(watchdog_s: float) -> NotifyMessage:
    """The message of the watchdog for an instance that did not send WATCHDOG=1 in time."""
    return NotifyMessage(failure=f"no WATCHDOG=1 for {watchdog_s:g} s")


def after(notify: NotifyStatus, message: NotifyMessage) -> NotifyStatus:
    """The status after one more message."""
    return replace(
        notify,
        state=_last(notify.state, message.states),
        status=notify.status if message.status is None else message.status,
        failure=notify.failure or message.failure,
    )


def _last(state: NotifyState, states: Iterable[NotifyState]) -> NotifyState:
    """Until it has been ready it can neither reload nor stop: it starts, or ends."""
    for reported in states:
        if reported is NotifyState.READY or state is not NotifyState.STARTING:
            state = reported
    return state


def _shown(value: bytes) -> str:
    """A text for people, on one line, that does nothing to their terminal."""
    text = value.decode("utf-8", "replace").strip()
    text = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    return text if len(text) <= LONGEST_STATUS else text[: LONGEST_STATUS - 1] + "…"
