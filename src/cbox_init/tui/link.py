"""The connection to the daemon: follows its live state, and connects again when it is lost."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from cbox_init.errors import ApiError, ClientError
from cbox_init.tui.state import Permissions

if TYPE_CHECKING:
    from collections.abc import Callable

    from cbox_init.client import AsyncClient
    from cbox_init.tui.state import ScreenState

#: The time until the next try, in seconds: the first, and the longest after many.
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 5.0


class Link:
    """Keeps ``state`` up to date for as long as ``run`` runs, and calls ``changed`` after each message.

    ``client`` is for commands; it is another one after the daemon was found at another place.
    """

    def __init__(
        self, connect: Callable[[], AsyncClient], state: ScreenState, changed: Callable[[], object]
    ) -> None:
        self._connect = connect
        self._state = state
        self._changed = changed
        self.client: AsyncClient | None = None

    async def run(self) -> None:
        """Follow the daemon until this is cancelled."""
        pause_s = _FIRST_PAUSE_S
        try:
            while True:
                try:
                    self.client = self._connect()
                    self._state.caller = await _permissions(self.client)
                    await self._follow(self.client)
                    problem = "the daemon has ended the connection"
                except ClientError as error:
                    problem = str(error)
                if self._state.connection == "live":
                    pause_s = _FIRST_PAUSE_S
                self._state.connection, self._state.problem = "lost", problem
                self._changed()
                await self._close()
                await asyncio.sleep(pause_s)
                pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)
        finally:
            await self._close()

    async def _follow(self, client: AsyncClient) -> None:
        async with client.live() as messages:
            async for message in messages:
                self._state.take(message)
                self._state.connection, self._state.problem = "live", ""
                self._changed()

    async def _close(self) -> None:
        client, self.client = self.client, None
        if client is not None:
            await client.close()


async def _permissions(client: AsyncClient) -> Permissions:
    """What the caller may do; raises ClientError for a daemon that does not say so."""
    try:
        return Permissions.of(await client.whoami())
    except ApiError as error:
        if error.status == 404:
            raise ClientError("this daemon is older than this screen: it has no live state") from None
        raise
