"""The list of processes as bytes, made once for all who ask until something changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbox_init.api.replies import encode
from cbox_init.api.schemas import ProcessList
from cbox_init.api.views import process_entry

if TYPE_CHECKING:
    from cbox_init.supervisor.supervisor import Supervisor
    from cbox_init.telemetry.figures import Figures


class ProcessListBody:
    """Encodes the list anew when a status or the figures have changed since."""

    def __init__(self, supervisor: Supervisor, figures: Figures) -> None:
        self._supervisor = supervisor
        self._figures = figures
        self._versions = (-1, -1)
        self._body = b""

    def current(self) -> bytes:
        """The list as it is now; takes new figures when those that are there are old."""
        supervisor, figures = self._supervisor, self._figures
        if figures.due():
            figures.sample(
                instance.pid
                for status in supervisor.statuses()
                for instance in status.instances
                if instance.pid
            )
        versions = (supervisor.version, figures.version)
        if versions != self._versions:
            entries = tuple(process_entry(status, figures) for status in supervisor.statuses())
            self._body = encode(ProcessList(entries))
            self._versions = versions
        return self._body
