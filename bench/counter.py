"""The program that counts what comes of the children's lines (see count.c)."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import msgspec
from msgspec import Struct

from bench.errors import BenchError
from bench.peers.base import Writing


class Count(Struct, frozen=True):
    """What the counter has seen."""

    lines: int
    distinct: int
    doubled: int
    merged: int  # share an output line with an earlier one
    damaged: int  # not as they were written
    secrets: int  # hold the password
    masked: int  # hold asterisks in its place
    bytes: int
    last_ns: int  # CLOCK_MONOTONIC, when the latest line was read

    def spoiled(self, written: int) -> int:
        """Return how many of `written` lines were lost, cut or doubled."""
        return max(written - self.distinct, 0) + self.doubled


class Counter:
    """Reads the daemon's standard output, or the files where its lines go, until it is asked."""

    def __init__(self, program: Path, writing: Writing, logs: Sequence[Path]) -> None:
        command: list[str | Path] = [program, str(writing.writers), str(writing.lines), *logs]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL if logs else subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self.pid = self._process.pid

    @property
    def pipe(self) -> IO[bytes] | None:
        """Where the daemon is to write; None where files are read. The owner closes it."""
        return self._process.stdin

    def wait(self, timeout_s: float) -> Count:
        """Return the count when all lines are there, or no more come."""
        assert self._process.stdout is not None
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise BenchError(f"lines still came after {timeout_s:.0f} s") from None
        return msgspec.json.decode(self._process.stdout.read(), type=Count)

    def stop(self) -> Count:
        """Return the count of what has come until now."""
        self._process.terminate()
        return self.wait(timeout_s=5)

    def close(self) -> None:
        """Give its descriptors back; the process is ended by who ends everything."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.poll()
