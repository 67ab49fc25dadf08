"""The body of the list of processes, encoded once for all requests until something changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cbox_init.api.replies import encode
from cbox_init.api.views import process_entry
from cbox_init.api.waiting import Slices
from cbox_init.logs.daemon import RepeatedError

if TYPE_CHECKING:
    from asyncio import Lock
    from collections.abc import Iterable

    from cbox_init.api.caller import ProcessPatterns
    from cbox_init.logs.daemon import DaemonLog
    from cbox_init.supervisor.status import ProcessStatus
    from cbox_init.supervisor.supervisor import Supervisor
    from cbox_init.telemetry.figures import Figures

#: How long one slice of encoding the list may hold the event loop, in seconds.
SLICE_S: Final = 0.005


class ProcessListBody:
    """Encodes the processes whose status or figures have changed, and keeps the bytes of all others.

    A list of thousands is encoded in slices: each process is shown as it was at the request, or newer.
    """

    def __init__(self, supervisor: Supervisor, figures: Figures, log: DaemonLog) -> None:
        self._supervisor = supervisor
        self._figures = figures
        self._left_out = RepeatedError(log, "Unexpected: a process is left out of the list")
        self._versions = (-1, -1)
        self._parts: dict[str, tuple[ProcessStatus, int, bytes]] = {}
        self._body = b""
        self._of_body: dict[str, tuple[ProcessStatus, int, bytes]] = {}
        self._making: Lock | None = None

    async def current(self, shown: ProcessPatterns | None = None) -> bytes:
        """The present list, of the processes that ``shown`` matches; takes new figures when the present ones
        are too old.
        """
        body = await self._whole()
        if not shown:
            return body
        return _list(part for name, (_, _, part) in self._of_body.items() if name in shown)

    async def _whole(self) -> bytes:
        asked = (self._supervisor.version, self._figures.version)
        if asked != self._versions or self._figures.due():
            if self._making is None:
                from asyncio import Lock

                self._making = Lock()
            async with self._making:  # a request that waited here finds the list made, or makes the next one
                if self._figures.due() or any(map(int.__lt__, self._versions, asked)):
                    await self._make()
        return self._body

    async def _make(self) -> None:
        figures = self._figures
        slices = Slices(SLICE_S)
        version = self._supervisor.version
        statuses = []
        for process in self._supervisor.each_managed():
            try:
                statuses.append(process.status())
            except Exception as error:  # noqa: BLE001  # a defect: the other processes are shown
                self._left_out.report(error, process=process.name)
            await slices.breathe()
        if figures.due():
            figures.sample(one.pid for status in statuses for one in status.instances if one.pid)
        of = figures.version
        before, self._parts = self._parts, {}
        for status in statuses:
            known = before.get(status.name)
            if known is None or known[0] is not status or (known[1] != of and status.instances):
                try:
                    known = (status, of, encode(process_entry(status, figures)))
                except Exception as error:  # noqa: BLE001  # a defect: the other processes are shown
                    self._left_out.report(error, process=status.name)
                    continue
                await slices.breathe()
            self._parts[status.name] = known
        self._body = _list(part for _, _, part in self._parts.values())
        self._of_body = self._parts
        self._versions = (version, of)


def _list(parts: Iterable[bytes]) -> bytes:
    return b'{"processes":[' + b",".join(parts) + b"]}"
