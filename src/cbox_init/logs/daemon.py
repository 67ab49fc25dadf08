"""The daemon's own messages."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from cbox_init.logs.levels import Level

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cbox_init.logs.encode.base import Field, Format
    from cbox_init.logs.sink import Sink


class MessageOutput(Protocol):
    """An output as the daemon's own messages use it."""

    def say(self, time_ns: int, level: Level, message: str, fields: Mapping[str, Field]) -> None: ...


class DaemonLog:
    """Messages of the daemon, among the children's lines and in their form, without ``stream``.

    Fields become members: ``process``, ``instance_id``, ``pid``, ``exit_code``, ``restart_count``, ``error``
    where they apply; one that is None is left out. From any thread. These messages are for the outputs; the
    rings, and so the API's replies, hold the children's lines alone. With ``drops`` a message is dropped when
    very much waits to be written, long after lines are.
    """

    def __init__(self, form: Format, level: Level, sink: Sink, *, drops: bool = False) -> None:
        self._form = form
        self._level = level
        self._sink = sink
        self._drops = drops
        self._plain = True
        self._outputs: Sequence[MessageOutput] = ()

    def route(self, *, plain: bool, outputs: Sequence[MessageOutput]) -> None:
        """Send the messages to these outputs from now on, and with ``plain`` to standard output."""
        self._plain, self._outputs = plain, outputs

    def debug(self, message: str, **fields: Field) -> None:
        self.log(Level.DEBUG, message, **fields)

    def info(self, message: str, **fields: Field) -> None:
        self.log(Level.INFO, message, **fields)

    def warn(self, message: str, **fields: Field) -> None:
        self.log(Level.WARN, message, **fields)

    def error(self, message: str, **fields: Field) -> None:
        self.log(Level.ERROR, message, **fields)

    def log(self, level: Level, message: str, **fields: Field) -> None:
        now = time.time_ns()
        if self._plain and level >= self._level:
            if self._drops and self._sink.backed_up:
                self._sink.refuse(1)
            else:
                self._sink.write(self._form.message(now, level, message, fields))
        for output in self._outputs:
            output.say(now, level, message, fields)
