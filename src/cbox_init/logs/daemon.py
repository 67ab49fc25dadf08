"""The daemon's own messages."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cbox_init.config.model.enums import LogLevel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cbox_init.logs.descriptor_writer import DescriptorWriter
    from cbox_init.logs.encode.base import Field, Format
    from cbox_init.logs.routes import Route, Routes


class DaemonLog:
    """Writes the daemon's own messages to the outputs, in the form of the children's records.

    Fields become members of the record: ``process``, ``instance_id``, ``pid``, ``exit_code``,
    ``restart_count``, ``error`` where they apply; a field that is None is left out. All methods may be called
    from any thread. The messages are not kept for the API. With ``drops``, a message is dropped when far more
    is queued than the limit from which lines are dropped.
    """

    def __init__(
        self, form: Format, level: LogLevel, stdout: DescriptorWriter, *, drops: bool = False
    ) -> None:
        self._form = form
        self._level = level
        self._stdout = stdout
        self._drops = drops
        self._plain = True
        self._routes: Sequence[Route] = ()

    def use(self, routes: Routes) -> None:
        """Send the messages along these routes from now on."""
        self._plain, self._routes = routes.plain, routes.others

    def info(self, message: str, **fields: Field) -> None:
        self.log(LogLevel.INFO, message, **fields)

    def warn(self, message: str, **fields: Field) -> None:
        self.log(LogLevel.WARN, message, **fields)

    def error(self, message: str, **fields: Field) -> None:
        self.log(LogLevel.ERROR, message, **fields)

    def log(self, level: LogLevel, message: str, **fields: Field) -> None:
        now = time.time_ns()
        if self._plain and level.rank >= self._level.rank:
            if self._drops and self._stdout.backed_up:
                self._stdout.refuse(1)
            else:
                self._stdout.write(self._form.message(now, level, message, fields))
        for route in self._routes:
            route.say(now, level, message, fields)
