"""The daemon's own messages."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cbox_init.logs.levels import Level

if TYPE_CHECKING:
    from cbox_init.logs.encode import Field, Format
    from cbox_init.logs.sink import Sink


class DaemonLog:
    """Messages of the daemon, among the children's lines and in their form, without ``stream``.

    Fields become members: ``process``, ``instance_id``, ``pid``, ``exit_code``, ``restart_count``, ``error``
    where they apply; one that is None is left out. From any thread. These messages are for standard output;
    the rings, and so the API's replies, hold the children's lines alone.
    """

    def __init__(self, form: Format, level: Level, sink: Sink) -> None:
        self._form = form
        self._level = level
        self._sink = sink

    def debug(self, message: str, **fields: Field) -> None:
        self.log(Level.DEBUG, message, **fields)

    def info(self, message: str, **fields: Field) -> None:
        self.log(Level.INFO, message, **fields)

    def warn(self, message: str, **fields: Field) -> None:
        self.log(Level.WARN, message, **fields)

    def error(self, message: str, **fields: Field) -> None:
        self.log(Level.ERROR, message, **fields)

    def log(self, level: Level, message: str, **fields: Field) -> None:
        if level >= self._level:
            self._sink.write(self._form.message(time.time_ns(), level, message, fields))
