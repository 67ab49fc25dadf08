"""Who asks for what is being carried out: the sender of a request, or a part of the daemon."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator


class Actor(NamedTuple):
    """Who did it. ``type`` is the way it was recognised: ``token``, ``certificate``, ``socket``,
    ``session``, ``loopback``, ``anonymous``, or ``system`` for the daemon itself.

    ``id`` is the name of the token, certificate or user; ``ip`` the client's address.
    """

    type: str
    id: str
    ip: str = ""
    uid: int | None = None
    pid: int | None = None
    role: str | None = None

    @classmethod
    def anonymous(cls, address: str) -> Actor:
        """A client that has not said who it is."""
        return cls("anonymous", "anonymous", address)


class Acting(NamedTuple):
    """What is being carried out: who asked for it, and the id of the request where requests are recorded."""

    actor: Actor
    request_id: str = ""


SYSTEM: Final = Actor("system", "cbox-init")

acting: ContextVar[Acting | None] = ContextVar("acting", default=None)
"""Set while a command is carried out. Only what a command does at once is done by its sender: timers and
tasks that it starts inherit the context, and act for the daemon."""


def present_actor() -> Actor:
    """Who asks for what is being carried out; the daemon where nobody else does."""
    now = acting.get()
    return SYSTEM if now is None else now.actor


@contextmanager
def acting_as(part: str) -> Iterator[None]:
    """Carry out the block for a part of the daemon, such as ``autoscale`` or ``SIGHUP``."""
    token = acting.set(Acting(Actor("system", part)))
    try:
        yield
    finally:
        acting.reset(token)
