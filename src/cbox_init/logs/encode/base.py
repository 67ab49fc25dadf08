"""What all forms of a record share: protocols, times, and text that UTF-8 cannot hold."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cbox_init.config.model.enums import LogLevel
    from cbox_init.logs.record import Block, Encoded, RecordSource

Field = str | int | float | bool | None
"""The value of a field of a daemon's message."""

_SECOND_NS = 1_000_000_000


class BlockEncoder(Protocol):
    """Encodes the blocks of one source: one line for each record, newline included."""

    def __call__(self, block: Block) -> Encoded: ...


class Format(Protocol):
    """One form of a record: json, text, syslog or OTLP."""

    def encoder(self, source: RecordSource, labels: Mapping[str, str]) -> BlockEncoder: ...

    def message(self, time_ns: int, level: LogLevel, message: str, fields: Mapping[str, Field]) -> bytes:
        """A message of the daemon, newline included. Fields that are None are left out."""


class Timestamps:
    """Formats Unix times, given in nanoseconds, as RFC 3339 in UTC; fast for many times of one second. Any
    thread may use it."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = (-1, "")  # one value, so that no thread sees half of a change

    def nanoseconds(self, time_ns: int) -> str:
        """As in ``2026-11-24T09:08:03.778794659Z``."""
        second, rest = divmod(time_ns, _SECOND_NS)
        return f"{self._seconds(second)}.{rest:09d}Z"

    def microseconds(self, time_ns: int) -> str:
        """As in ``2026-11-24T09:08:03.778794Z``."""
        second, rest = divmod(time_ns, _SECOND_NS)
        return f"{self._seconds(second)}.{rest // 1000:06d}Z"

    def milliseconds(self, time_ns: int) -> str:
        """As in ``2026-11-24T09:08:03.778Z``."""
        second, rest = divmod(time_ns, _SECOND_NS)
        return f"{self._seconds(second)}.{rest // 1_000_000:03d}Z"

    def _seconds(self, second: int) -> str:
        last = self._last
        if last[0] != second:
            last = (second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)))
            self._last = last
        return last[1]


def encodable(text: str) -> str:
    """``text`` with lone surrogates (from names and paths that are not UTF-8) written as ``\\udcNN``."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text
