"""A file system that fails in every way, at random: no record is lost, repeated or torn without a word."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from cbox_init.audit import file as file_module
from cbox_init.audit import writer as writer_module
from cbox_init.audit.file import AuditFile
from cbox_init.audit.verify import Verdict, verify_files
from cbox_init.audit.writer import AuditWriter
from tests.audit.trails import body

if TYPE_CHECKING:
    import pytest

#: What becomes of one write: all of it, an error at once, or an error after some of it. ``kept``: what was
#: written cannot be taken back, as with chattr +a.
WRITES = st.sampled_from(("whole", "error", "short", "short, kept", "all, kept", "sync", "sync, kept"))


class FaultyOs:
    """The module os, with calls that fail as a list says."""

    def __init__(self, faults: list[str]) -> None:
        self._faults = faults
        self._kept = False
        self._failing = False
        self._sync_fails = False

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)

    def write(self, fd: int, data: bytes) -> int:
        if self._failing:
            self._failing = False
            raise OSError(errno.ENOSPC, "No space left on device")
        fault = self._faults.pop() if self._faults else "whole"
        self._kept = fault.endswith("kept")
        self._sync_fails = fault.startswith("sync")
        if fault == "error":
            raise OSError(errno.EIO, "Input/output error")
        if fault.startswith("short"):
            self._failing = True
            return os.write(fd, data[: len(data) // 2])
        done = os.write(fd, data)
        if fault == "all, kept":
            self._kept = True
            raise OSError(errno.EIO, "Input/output error")
        return done

    def fdatasync(self, fd: int) -> None:
        if self._sync_fails:
            self._sync_fails = False
            raise OSError(errno.EIO, "Input/output error")

    def ftruncate(self, fd: int, size: int) -> None:
        if self._kept:
            raise OSError(errno.EPERM, "Operation not permitted")
        os.ftruncate(fd, size)


class Case:
    """One trail in a directory of its own."""

    def __init__(self, folder: str, max_size: int) -> None:
        self.path = os.path.join(folder, "audit.log")
        self._max_size = max_size
        self.written = 0

    def run(self, count: int) -> None:
        """Write ``count`` records, some of which are waited for."""
        target = AuditFile(self.path, max_size=self._max_size, max_files=1000)
        writer = AuditWriter(
            target,
            sync=True,
            notice=lambda action, message, figures: body(-1, figures),
            failed=lambda error: None,
            healed=lambda: None,
        )
        for number in range(count):
            writer.put(body(self.written + number), (lambda reason: None) if number % 3 == 0 else None)
        self.written += count
        for _ in range(100):
            if writer.close(20):
                return
        raise AssertionError("the records are not written")


def test_no_fault_breaks_the_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "TRY_AGAIN_S", 0.0)

    @settings(max_examples=100, deadline=None)
    @given(
        st.lists(WRITES, max_size=12),
        st.lists(st.integers(1, 6), min_size=1, max_size=4),
        st.sampled_from((700, 10**6)),
    )
    def check(faults: list[str], counts: list[int], max_size: int) -> None:
        with tempfile.TemporaryDirectory() as folder, monkeypatch.context() as patched:
            patched.setattr(file_module, "os", FaultyOs(faults))
            case = Case(folder, max_size)
            for count in counts:
                case.run(count)  # each is another start of the daemon
            files = [os.path.join(folder, name) for name in os.listdir(folder)]
            report = verify_files(files)
            assert report.verdict is Verdict.INTACT, report
            oldest_first = sorted(files, key=lambda one: -int(one.rpartition("log")[2].lstrip(".") or 0))
            numbers = [number for name in oldest_first for number in numbers_in(name) if number != -1]
            assert numbers == list(range(case.written))

    check()


def numbers_in(path: str) -> list[object]:
    """The numbers of the records of a file; lines that are torn are left out."""
    found = []
    with open(path, "rb") as file:
        for line in file:
            with suppress(ValueError):
                found.append(json.loads(line)["context"]["n"])
    return found
