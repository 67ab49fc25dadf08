"""Forwards messages of the standard library's ``logging``, which libraries use, to the daemon's log.

Imports logging, so only code that needs such a library imports this module.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from cbox_init.config.model.enums import LogLevel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cbox_init.logs.daemon import DaemonLog


class ForwardingHandler(logging.Handler):
    """Forwards warnings and errors. ``logger`` is the logger's name, ``error`` the exception, if any."""

    def __init__(self, daemon: DaemonLog) -> None:
        super().__init__(logging.WARNING)
        self._daemon = daemon

    def emit(self, record: logging.LogRecord) -> None:
        level = LogLevel.ERROR if record.levelno >= logging.ERROR else LogLevel.WARN
        error = trace = None
        if record.exc_info and record.exc_info[1] is not None:
            cause = record.exc_info[1]
            error = f"{type(cause).__name__}: {cause}"
            trace = logging.Formatter().formatException(record.exc_info)
        try:
            message = record.getMessage()
        except (
            TypeError,
            ValueError,
        ):  # arguments that do not fit the message: log it without them
            message = str(record.msg)
        self._daemon.log(level, message, logger=record.name, error=error, traceback=trace)


def forward_logging(daemon: DaemonLog, loggers: Iterable[str]) -> ForwardingHandler:
    """Send messages of these loggers, and of those below them, to ``daemon`` and nowhere else."""
    handler = ForwardingHandler(daemon)
    for name in loggers:
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        logger.setLevel(logging.WARNING)
        logger.propagate = False
    return handler
