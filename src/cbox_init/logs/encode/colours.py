"""Colours of text on a terminal. Imported only where they are used."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from cbox_init.config.model.enums import LogLevel

if TYPE_CHECKING:
    from collections.abc import Mapping

_OF_PROCESSES: Final = (36, 32, 35, 34, 96, 92, 95, 94)
_OF_LEVELS: Final = {LogLevel.DEBUG: 2, LogLevel.WARN: 33, LogLevel.ERROR: 31}


def wanted(environ: Mapping[str, str], fd: int) -> bool:
    """Whether ``fd`` shows colours: it is a terminal, or FORCE_COLOR is set (https://no-color.org).

    ``NO_COLOR`` wins over ``FORCE_COLOR``; ``FORCE_COLOR=0`` means the same as ``NO_COLOR``.
    """
    forced = environ.get("FORCE_COLOR")
    if environ.get("NO_COLOR") or forced in ("0", "false"):
        return False
    return bool(forced) or (environ.get("TERM") != "dumb" and os.isatty(fd))


class Colours:
    """A colour for each process, given in the order of their first record, and for levels other than INFO."""

    def __init__(self) -> None:
        self._processes: dict[str, int] = {}

    def of_process(self, name: str, text: str) -> str:
        """``text`` in the colour of the process ``name``."""
        number = self._processes.setdefault(name, len(self._processes))
        return _in(_OF_PROCESSES[number % len(_OF_PROCESSES)], text)

    def of_level(self, level: LogLevel) -> str:
        """The name of ``level``, in its colour."""
        code = _OF_LEVELS.get(level)
        return level.name if code is None else _in(code, level.name)


def _in(code: int, text: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m"
