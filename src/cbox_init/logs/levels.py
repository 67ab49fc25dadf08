"""How much a message matters."""

from __future__ import annotations

from enum import IntEnum


class Level(IntEnum):
    """Levels in rising order; ``name`` is how a level is written in a record."""

    DEBUG = 10
    INFO = 20
    WARN = 30
    ERROR = 40

    @classmethod
    def of(cls, name: str) -> Level:
        """The level of a configuration's word: debug, info, warn or error. KeyError for any other."""
        return cls[name.upper()]
