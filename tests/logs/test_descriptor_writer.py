"""Standard output: in order, whole, and nobody's hostage."""

from __future__ import annotations

import fcntl
import os
import signal
import threading
import time
from typing import TYPE_CHECKING

from cbox_init.logs.descriptor_writer import DescriptorWriter
from tests.logs.conftest import DEADLINE_S

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.logs.conftest import Output


def end(writer: DescriptorWriter) -> None:
    done = threading.Event()
    writer.end(done.set)
    assert done.wait(DEADLINE_S)


def writer_threads() -> set[threading.Thread]:
    """Those of now; some of them may be of an earlier test, and end at any time."""
    return {thread for thread in threading.enumerate() if thread.name == "log-writer"}


def test_all_is_written_in_order(output: Output) -> None:
    writer = DescriptorWriter(output.fd)
    output.start()
    chunks = [b"%d," % number * (number % 700) for number in range(3000)]
    for chunk in chunks:
        writer.write(chunk)
    end(writer)
    assert output.finish() == b"".join(chunks)
    assert writer.queued == 0


def test_what_does_not_fit_into_the_pipe_is_written_when_there_is_room(output: Output) -> None:
    writer = DescriptorWriter(output.fd)
    large = os.urandom(5_000_000)
    writer.write(large)
    writer.write(b"end")
    assert not writer.flush(0.01)
    output.start()
    assert writer.flush(DEADLINE_S)
    end(writer)
    assert output.finish() == large + b"end"


def test_a_descriptor_that_somebody_made_non_blocking_loses_nothing(output: Output) -> None:
    os.set_blocking(output.fd, False)
    writer = DescriptorWriter(output.fd)
    chunks = [os.urandom(100_000) for _ in range(50)]
    for chunk in chunks:
        writer.write(chunk)
    assert not writer.flush(0.01)
    output.start()
    end(writer)
    assert output.finish() == b"".join(chunks)


def test_the_descriptor_stays_blocking(output: Output) -> None:
    writer = DescriptorWriter(output.fd)
    writer.write(b"x")
    end(writer)
    assert os.get_blocking(output.fd)
    output.finish()


def test_it_says_when_it_is_full_and_when_there_is_room(output: Output) -> None:
    writer = DescriptorWriter(output.fd, high_water=1000, low_water=100)
    room = threading.Event()
    seen = [writer.full]
    writer.on_room = room.set
    writer.write(bytes(1000))
    seen.append(writer.full)
    writer.write(bytes(4_000_000))
    seen.append(writer.full)
    assert not room.wait(0.01)
    output.start()
    assert room.wait(DEADLINE_S)
    seen.append(writer.full)
    assert seen == [False, False, True, False]
    end(writer)
    assert len(output.finish()) == 4_001_000


def test_the_thread_starts_with_the_first_write_and_again_after_the_end(output: Output) -> None:
    output.start()
    before = writer_threads()
    writer = DescriptorWriter(output.fd)
    assert writer.flush(0)
    assert writer_threads() <= before
    writer.write(b"one ")
    end(writer)
    writer.write(b"two")
    assert writer.flush(DEADLINE_S)
    end(writer)
    deadline = time.monotonic() + DEADLINE_S
    while not writer_threads() <= before:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    assert output.finish() == b"one two"


def test_without_a_thread_it_waits_for_the_next_write(
    output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    output.start()
    writer = DescriptorWriter(output.fd)
    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", no_room)
        writer.write(b"one ")
        assert not writer.flush(0)
    writer.write(b"two")
    end(writer)
    assert output.finish() == b"one two"


def test_what_is_written_while_it_is_corked_comes_together_and_in_order(output: Output) -> None:
    writer, others = DescriptorWriter(output.fd), writer_threads()
    writer.cork()
    writer.write(b"one ")
    writer.write(b"two ")
    assert writer_threads() <= others
    assert writer.queued == 8
    writer.uncork()
    writer.write(b"three ")
    writer.cork()
    writer.write(b"four ")
    assert writer.flush(DEADLINE_S), "what waits is asked for"
    writer.write(b"five")
    end(writer)
    assert output.finish() == b"one two three four five"
    assert writer.written == 5


def test_a_corked_sink_hands_over_larger_amounts(output: Output) -> None:
    writer = DescriptorWriter(output.fd)
    output.start()
    writer.cork()
    chunks = [b"%d," % number * (number % 70) for number in range(3000)]
    for chunk in chunks:
        writer.write(chunk)
    assert writer.flush(DEADLINE_S)
    writer.write(b"x" * 100_000)
    until = time.monotonic() + DEADLINE_S
    while writer.queued:
        assert time.monotonic() < until, "it waits for the cork"
        time.sleep(0.001)
    end(writer)
    assert output.finish() == b"".join(chunks) + b"x" * 100_000


def test_an_idle_sink_does_not_wake_up(output: Output) -> None:
    before = writer_threads()
    writer = DescriptorWriter(output.fd)
    writer.write(b"x")
    assert writer.flush(DEADLINE_S)
    (thread,) = writer_threads() - before
    status = f"/proc/self/task/{thread.native_id}/status"

    def switches() -> int:
        with open(status) as file:
            return sum(int(line.split()[1]) for line in file if "ctxt_switches" in line)

    # The wait for the queue may still have been on its way when the first look was taken.
    deadline = time.monotonic() + DEADLINE_S
    earlier, later = -1, switches()
    while later != earlier:
        assert time.monotonic() < deadline, "it wakes up again and again"
        threading.Event().wait(0.2)
        earlier, later = later, switches()
    end(writer)
    output.finish()


def test_signals_are_left_to_the_main_thread(output: Output) -> None:
    before = writer_threads()
    writer = DescriptorWriter(output.fd)
    writer.write(b"x")
    assert writer.flush(DEADLINE_S)
    (thread,) = writer_threads() - before
    with open(f"/proc/self/task/{thread.native_id}/status") as file:
        (blocked,) = (int(line.split()[1], 16) for line in file if line.startswith("SigBlk"))
    end(writer)
    output.finish()
    for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP, signal.SIGINT):
        assert blocked >> (number - 1) & 1


def test_a_pipe_is_made_large(output: Output) -> None:
    writer = DescriptorWriter(output.fd)
    writer.write(b"x")
    end(writer)
    assert fcntl.fcntl(output.fd, fcntl.F_GETPIPE_SZ) >= 64 * 1024
    if os.geteuid() == 0:
        assert fcntl.fcntl(output.fd, fcntl.F_GETPIPE_SZ) == 1024 * 1024
    output.finish()


def test_a_reader_that_goes_away_is_said_once_and_holds_up_nobody(
    output: Output, capfd: pytest.CaptureFixture[str]
) -> None:
    writer = DescriptorWriter(output.fd, high_water=1000, low_water=100)
    room = threading.Event()
    writer.on_room = room.set
    writer.write(bytes(4_000_000))
    assert writer.full
    output.close_read()
    assert room.wait(DEADLINE_S)
    for _ in range(100):
        writer.write(b"more")
    assert writer.flush(DEADLINE_S)
    end(writer)
    note = capfd.readouterr().err
    assert note.count("\n") == 1
    assert "Broken pipe" in note


def test_a_closed_descriptor_is_not_used_when_its_number_is_given_anew(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "other"
    other = os.open(path, os.O_WRONLY | os.O_CREAT)
    fd = os.open("/dev/null", os.O_WRONLY)
    writer = DescriptorWriter(fd)
    os.close(fd)
    writer.write(b"nowhere to go")
    assert writer.flush(DEADLINE_S)
    os.dup2(other, fd)
    os.close(other)
    writer.write(b"not in there")
    end(writer)
    os.close(fd)
    assert path.read_bytes() == b""
    assert "Bad file descriptor" in capfd.readouterr().err


def test_a_full_disk_is_said_once_and_nothing_is_lost(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "log"
    fd = os.open("/dev/full", os.O_WRONLY)
    writer = DescriptorWriter(fd)
    for number in range(3):
        writer.write(b"%d" % number)
        assert not writer.flush(0.05)
    with path.open("wb") as room:
        os.dup2(room.fileno(), fd)
    writer.reopen()
    writer.write(b" good again")
    end(writer)
    os.close(fd)
    assert path.read_bytes() == b"012 good again"
    assert (writer.written, writer.dropped) == (4, 0)
    assert capfd.readouterr().err.count("\n") == 1


def test_what_nobody_can_read_any_more_is_counted(output: Output) -> None:
    writer = DescriptorWriter(output.fd)
    output.close_read()
    writer.write(b"one\ntwo\n", 2)
    writer.write(b"three\n")
    end(writer)
    assert (writer.written, writer.dropped) == (0, 3)
