"""What the children have written: when each began to run, to the nanosecond (see child.c)."""

import os
import struct
from pathlib import Path
from typing import NamedTuple

_LAYOUT = struct.Struct("=qq")


class Record(NamedTuple):
    """One start of one child."""

    started_ns: int  # CLOCK_MONOTONIC, the clock of time.monotonic_ns()
    pid: int


class RecordFile:
    """The file that the children of one daemon append to. Owns its descriptor: close() it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_CREAT | os.O_RDONLY | os.O_CLOEXEC, 0o600)

    def __len__(self) -> int:
        return os.fstat(self._file).st_size // _LAYOUT.size

    def read(self, first: int = 0) -> list[Record]:
        """Return the records from number `first` on, in the order in which they were written."""
        size = (len(self) - first) * _LAYOUT.size
        return parse(os.pread(self._file, size, first * _LAYOUT.size)) if size > 0 else []

    def close(self) -> None:
        os.close(self._file)


def parse(data: bytes) -> list[Record]:
    """Return the whole records in `data`; what is left at its end is not one yet."""
    whole = len(data) - len(data) % _LAYOUT.size
    return [Record(*fields) for fields in _LAYOUT.iter_unpack(data[:whole])]
