"""GivenCommands to the daemon: sent, then followed until the daemon says that they have ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from cbox_init.client import AsyncClient
from cbox_init.errors import ApiError, ClientError
from cbox_init.tui.look import clean

if TYPE_CHECKING:
    from cbox_init.client import ChangeEntry

Send = Callable[[AsyncClient], Awaitable[Any]]

#: How long a request for the progress waits for a step, and how often one that fails is sent again.
_WAIT_S = 25.0
_AGAIN_S = 0.5
#: How long a command that is done stays on the screen; one that failed stays until Escape.
_SHOWN_S = 5.0
_MOST_SHOWN = 4


class Outcome(NamedTuple):
    """A message about a command: an error, or what its reply says."""

    text: str
    failed: bool


class GivenCommands:
    """The commands that were given on this screen, and how far they are."""

    def __init__(
        self,
        client: Callable[[], AsyncClient | None],
        changed: Callable[[], object],
        say: Callable[[Outcome], object],
    ) -> None:
        self._client = client
        self._changed = changed
        self._say = say
        self._followed: dict[str, ChangeEntry] = {}
        self._ended_at: dict[str, float] = {}

    def shown(self) -> list[ChangeEntry]:
        """The latest that go on, have failed, or ended a short time ago."""
        now = time.monotonic()
        for key in [
            key
            for key, at in self._ended_at.items()
            if now - at > _SHOWN_S and self._followed[key].status in ("done", "superseded")
        ]:
            del self._followed[key], self._ended_at[key]
        return list(self._followed.values())[-_MOST_SHOWN:]

    def dismiss(self) -> None:
        """Take away those that have ended."""
        for key in list(self._ended_at):
            del self._followed[key], self._ended_at[key]
        self._changed()

    async def carry_out(self, send: Send) -> None:
        """Send one command, and follow its change until it has ended."""
        client = self._client()
        if client is None:
            self._say(Outcome("Not connected to the daemon; nothing was done.", failed=True))
            return
        try:
            reply = await send(client)
        except ClientError as error:
            self._say(Outcome(in_words(error), failed=True))
            return
        change = getattr(reply, "change", None)
        if isinstance(change, str) and change:
            await self._follow(change)
        elif message := getattr(reply, "message", ""):
            self._say(Outcome(clean(str(message)), failed=False))

    async def _follow(self, identity: str) -> None:
        seen: int | None = None
        while True:
            client = self._client()
            try:
                if client is not None:
                    wait_s = None if seen is None else _WAIT_S
                    entry = await client.change(identity, wait_s=wait_s, seen=seen)
                    self._followed[identity] = entry
                    self._changed()
                    if entry.status != "doing":
                        break
                    if entry.version != seen:
                        seen = entry.version
                        continue
            except ApiError as error:
                if error.status == 404:  # another run of the daemon, which does not know it
                    self._followed.pop(identity, None)
                    self._changed()
                    return
            except ClientError:
                pass  # the connection is lost; it is asked for again
            await asyncio.sleep(_AGAIN_S)
        self._ended_at[identity] = time.monotonic()


def in_words(error: ClientError) -> str:
    """An error with each of its details on a line of its own."""
    details = list(error.details) if isinstance(error, ApiError) else []
    lines = [str(error), *(f"• {detail}" for detail in details[:10])]
    if len(details) > 10:
        lines.append(f"… and {len(details) - 10} more")
    return "\n".join(clean(line) for line in lines)
