"""Standard output: in order, whole, and nobody's hostage."""

from __future__ import annotations

import fcntl
import os
import signal
import threading
import time
from typing import TYPE_CHECKING

from cbox_init.logs.sink import Sink
from tests.logs.conftest import DEADLINE_S

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.logs.conftest import Output


def end(sink: Sink) -> None:
    done = threading.Event()
    sink.end(done.set)
    assert done.wait(DEADLINE_S)


def writer_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "log-writer"]


def test_all_is_written_in_order(output: Output) -> None:
    sink = Sink(output.fd)
    output.start()
    chunks = [b"%d," % number * (number % 700) for number in range(3000)]
    for chunk in chunks:
        sink.write(chunk)
    end(sink)
    assert output.finish() == b"".join(chunks)
    assert sink.queued == 0


def test_what_does_not_fit_into_the_pipe_is_written_when_there_is_room(output: Output) -> None:
    sink = Sink(output.fd)
    large = os.urandom(5_000_000)
    sink.write(large)
    sink.write(b"end")
    assert not sink.flush(0.01)
    output.start()
    assert sink.flush(DEADLINE_S)
    end(sink)
    assert output.finish() == large + b"end"


def test_a_descriptor_that_somebody_made_non_blocking_loses_nothing(output: Output) -> None:
    os.set_blocking(output.fd, False)
    sink = Sink(output.fd)
    chunks = [os.urandom(100_000) for _ in range(50)]
    for chunk in chunks:
        sink.write(chunk)
    assert not sink.flush(0.01)
    output.start()
    end(sink)
    assert output.finish() == b"".join(chunks)


def test_the_descriptor_stays_blocking(output: Output) -> None:
    sink = Sink(output.fd)
    sink.write(b"x")
    end(sink)
    assert os.get_blocking(output.fd)
    output.finish()


def test_it_says_when_it_is_full_and_when_there_is_room(output: Output) -> None:
    sink = Sink(output.fd, high_water=1000, low_water=100)
    room = threading.Event()
    seen = [sink.full]
    sink.on_room = room.set
    sink.write(bytes(1000))
    seen.append(sink.full)
    sink.write(bytes(4_000_000))
    seen.append(sink.full)
    assert not room.wait(0.01)
    output.start()
    assert room.wait(DEADLINE_S)
    seen.append(sink.full)
    assert seen == [False, False, True, False]
    end(sink)
    assert len(output.finish()) == 4_001_000


def test_the_thread_starts_with_the_first_write_and_again_after_the_end(output: Output) -> None:
    output.start()
    before = writer_threads()
    sink = Sink(output.fd)
    assert sink.flush(0)
    assert writer_threads() == before
    sink.write(b"one ")
    end(sink)
    sink.write(b"two")
    assert sink.flush(DEADLINE_S)
    end(sink)
    deadline = time.monotonic() + DEADLINE_S
    while writer_threads() != before:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    assert output.finish() == b"one two"


def test_without_a_thread_it_waits_for_the_next_write(
    output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    output.start()
    sink = Sink(output.fd)
    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", no_room)
        sink.write(b"one ")
        assert not sink.flush(0)
    sink.write(b"two")
    end(sink)
    assert output.finish() == b"one two"


def test_what_is_written_while_it_is_corked_comes_together_and_in_order(output: Output) -> None:
    sink, others = Sink(output.fd), writer_threads()
    sink.cork()
    sink.write(b"one ")
    sink.write(b"two ")
    assert writer_threads() == others
    assert sink.queued == 8
    sink.uncork()
    sink.write(b"three ")
    sink.cork()
    sink.write(b"four ")
    assert sink.flush(DEADLINE_S), "what waits is asked for"
    sink.write(b"five")
    end(sink)
    assert output.finish() == b"one two three four five"
    assert sink.written == 5


def test_a_corked_sink_hands_over_larger_amounts(output: Output) -> None:
    sink = Sink(output.fd)
    output.start()
    sink.cork()
    chunks = [b"%d," % number * (number % 70) for number in range(3000)]
    for chunk in chunks:
        sink.write(chunk)
    assert sink.flush(DEADLINE_S)
    sink.write(b"x" * 100_000)
    until = time.monotonic() + DEADLINE_S
    while sink.queued:
        assert time.monotonic() < until, "it waits for the cork"
        time.sleep(0.001)
    end(sink)
    assert output.finish() == b"".join(chunks) + b"x" * 100_000


def test_an_idle_sink_does_not_wake_up(output: Output) -> None:
    before = writer_threads()
    sink = Sink(output.fd)
    sink.write(b"x")
    assert sink.flush(DEADLINE_S)
    (thread,) = (thread for thread in writer_threads() if thread not in before)
    status = f"/proc/self/task/{thread.native_id}/status"

    def switches() -> int:
        with open(status) as file:
            return sum(int(line.split()[1]) for line in file if "ctxt_switches" in line)

    earlier = switches()
    threading.Event().wait(0.2)
    later = switches()
    end(sink)
    output.finish()
    # The wait for the queue may still have been on its way when the first look was taken.
    assert later - earlier <= 1


def test_signals_are_left_to_the_main_thread(output: Output) -> None:
    before = writer_threads()
    sink = Sink(output.fd)
    sink.write(b"x")
    assert sink.flush(DEADLINE_S)
    (thread,) = (thread for thread in writer_threads() if thread not in before)
    with open(f"/proc/self/task/{thread.native_id}/status") as file:
        (blocked,) = (int(line.split()[1], 16) for line in file if line.startswith("SigBlk"))
    end(sink)
    output.finish()
    for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP, signal.SIGINT):
        assert blocked >> (number - 1) & 1


def test_a_pipe_is_made_large(output: Output) -> None:
    sink = Sink(output.fd)
    sink.write(b"x")
    end(sink)
    assert fcntl.fcntl(output.fd, fcntl.F_GETPIPE_SZ) >= 64 * 1024
    if os.geteuid() == 0:
        assert fcntl.fcntl(output.fd, fcntl.F_GETPIPE_SZ) == 1024 * 1024
    output.finish()


def test_a_reader_that_goes_away_is_said_once_and_holds_up_nobody(
    output: Output, capfd: pytest.CaptureFixture[str]
) -> None:
    sink = Sink(output.fd, high_water=1000, low_water=100)
    room = threading.Event()
    sink.on_room = room.set
    sink.write(bytes(4_000_000))
    assert sink.full
    output.close_read()
    assert room.wait(DEADLINE_S)
    for _ in range(100):
        sink.write(b"more")
    assert sink.flush(DEADLINE_S)
    end(sink)
    note = capfd.readouterr().err
    assert note.count("\n") == 1
    assert "Broken pipe" in note


def test_a_closed_descriptor_is_not_used_when_its_number_is_given_anew(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "other"
    other = os.open(path, os.O_WRONLY | os.O_CREAT)
    fd = os.open("/dev/null", os.O_WRONLY)
    sink = Sink(fd)
    os.close(fd)
    sink.write(b"nowhere to go")
    assert sink.flush(DEADLINE_S)
    os.dup2(other, fd)
    os.close(other)
    sink.write(b"not in there")
    end(sink)
    os.close(fd)
    assert path.read_bytes() == b""
    assert "Bad file descriptor" in capfd.readouterr().err


def test_a_full_disk_is_said_once_and_nothing_is_lost(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "log"
    fd = os.open("/dev/full", os.O_WRONLY)
    sink = Sink(fd)
    for number in range(3):
        sink.write(b"%d" % number)
        assert not sink.flush(0.05)
    with path.open("wb") as room:
        os.dup2(room.fileno(), fd)
    sink.reopen()
    sink.write(b" good again")
    end(sink)
    os.close(fd)
    assert path.read_bytes() == b"012 good again"
    assert (sink.written, sink.dropped) == (4, 0)
    assert capfd.readouterr().err.count("\n") == 1


def test_what_nobody_can_read_any_more_is_counted(output: Output) -> None:
    sink = Sink(output.fd)
    output.close_read()
    sink.write(b"one\ntwo\n", 2)
    sink.write(b"three\n")
    end(sink)
    assert (sink.written, sink.dropped) == (0, 3)
