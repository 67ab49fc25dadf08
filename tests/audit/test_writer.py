"""The writer: order, failures, what is lost, and that nobody waits for a file system that hangs."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING

from cbox_init.audit import writer as module
from cbox_init.audit.chain import START, seal
from cbox_init.audit.file import AuditFile, FoundChain
from cbox_init.audit.verify import Verdict, verify_files
from cbox_init.audit.writer import AuditWriter
from tests.audit.trails import body, records

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


class FakeTarget:
    """Keeps what is written; fails with ``error``, and hangs until ``gate`` is set."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.error: OSError | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.synced: list[bool] = []

    def resume(self) -> FoundChain:
        return FoundChain(START, None)

    def append(self, data: bytes, *, sync: bool) -> None:
        assert self.gate.wait(20)
        if self.error is not None:
            raise self.error
        self.synced.append(sync)
        self.lines += data.splitlines()

    def close(self) -> None:
        pass

    def contexts(self) -> list[dict[str, object]]:
        return [json.loads(line)["context"] for line in self.lines]


def writer_to(target: module.AuditTarget, failures: list[object] | None = None) -> AuditWriter:
    return AuditWriter(
        target,
        sync=True,
        notice=lambda action, message, figures: body(0, figures),
        failed=(failures if failures is not None else []).append,
        healed=lambda: None,
    )


def test_records_keep_their_order_and_the_end_waits_for_them() -> None:
    target = FakeTarget()
    writer = writer_to(target)
    for number in range(1000):
        writer.put(body(number))
    assert writer.close(20)
    assert [context["n"] for context in target.contexts()] == list(range(1000))
    assert (writer.written, writer.lost, writer.queued) == (1000, 0, 0)
    writer.put(body(1000))  # after the end: another thread writes it
    until(lambda: writer.written == 1001)


def test_only_what_is_waited_for_is_synced() -> None:
    target = FakeTarget()
    writer = writer_to(target)
    writer.put(body())
    until(lambda: target.synced == [False])
    told: list[str | None] = []
    writer.put(body(), told.append)
    until(lambda: told == [None])
    assert target.synced == [False, True]
    assert writer.close(20)


def test_a_failure_is_told_at_once_and_the_records_are_written_later() -> None:
    target, failures = FakeTarget(), list[object]()
    target.error = OSError(28, "No space left on device")
    writer = writer_to(target, failures)
    told: list[str | None] = []
    writer.put(body(1))
    writer.put(body(2), told.append)
    until(lambda: told == ["No space left on device"])
    assert set(failures) == {"No space left on device"}  # the two records are one write, or two
    target.error = None
    writer.put(body(3), told.append)
    until(lambda: told == ["No space left on device", None])
    assert [context["n"] for context in target.contexts()] == [1, 2, 3]
    assert writer.close(20)
    assert not writer.failing


def test_a_full_queue_loses_the_newest_and_says_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_QUEUED", 3)
    target = FakeTarget()
    target.gate.clear()
    writer = writer_to(target)
    told: list[str | None] = []
    for number in range(5):
        writer.put(body(number))
    writer.put(body(5), told.append)
    assert told == ["too many audit records wait to be written"]
    assert writer.lost == 3
    target.gate.set()
    until(lambda: writer.queued == 0)
    writer.put(body(6))
    assert writer.close(20)
    contexts = target.contexts()
    assert [context["n"] for context in contexts] == [0, 1, 2, 0, 6]
    assert contexts[3]["lost"] == 3


def test_a_target_that_hangs_holds_up_nobody() -> None:
    target = FakeTarget()
    target.gate.clear()
    writer = writer_to(target)
    begun = time.monotonic()
    for number in range(500):
        writer.put(body(number))
    assert time.monotonic() - begun < 5
    until(lambda: writer.stuck_for_s() > 0)
    assert not writer.close(0.1)
    target.gate.set()
    assert writer.close(20)
    assert len(target.lines) == 500


def test_a_defect_in_the_target_ends_nothing() -> None:
    class BrokenTarget(FakeTarget):
        def append(self, data: bytes, *, sync: bool) -> None:
            if not self.synced:
                self.synced.append(sync)
                raise ZeroDivisionError
            super().append(data, sync=sync)

    target, failures = BrokenTarget(), list[object]()
    writer = writer_to(target, failures)
    writer.put(body(1))
    until(lambda: failures)
    writer.put(body(2), lambda reason: None)
    assert writer.close(20)
    assert [context["n"] for context in target.contexts()] == [1, 2]


def test_a_write_that_failed_after_all_lines_is_not_repeated(tmp_path: Path) -> None:
    """fdatasync(2) may fail when the lines are in the file, and cannot be taken out of it."""

    class KeptTarget(AuditFile):
        failed = False

        def append(self, data: bytes, *, sync: bool) -> None:
            super().append(data, sync=sync)
            if not self.failed:
                self.failed = True
                raise OSError(5, "Input/output error")

    path = tmp_path / "audit.log"
    target = KeptTarget(str(path), max_size=10**6, max_files=2)
    writer = writer_to(target)
    told: list[str | None] = []
    writer.put(body(1), told.append)
    until(lambda: told == ["Input/output error"])
    writer.put(body(2), told.append)
    assert writer.close(20)
    assert [one["seq"] for one in records(path)] == [1, 2]
    assert verify_files([str(path)]).verdict is Verdict.INTACT
    assert writer.written == 2


def test_a_torn_line_is_said_and_the_chain_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    line, _ = seal(body(1), START)
    path.write_bytes(line + b"torn")
    writer = writer_to(AuditFile(str(path), max_size=10**6, max_files=2))
    writer.put(body(2))
    assert writer.close(20)
    report = verify_files([str(path)])
    assert (report.verdict, report.records) == (Verdict.INTACT, 3)
    assert "was cut short" in report.notes[0]


def test_a_file_that_is_no_trail_begins_a_new_one_and_verify_says_so(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.write_text("something else\n" * 3)
    writer = writer_to(AuditFile(str(path), max_size=10**6, max_files=2))
    writer.put(body(1))
    assert writer.close(20)
    report = verify_files([str(path)])
    assert report.verdict is Verdict.INTACT and report.records == 2
    assert report.notes
