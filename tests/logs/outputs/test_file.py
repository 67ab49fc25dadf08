"""Files of ours: whole records, rotation, and what happens to a file meanwhile."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbox_init.logs.outputs import file
from cbox_init.logs.outputs.file import FileBackend, fitting
from cbox_init.logs.outputs.retry import Retry
from cbox_init.logs.rotation import Rotation
from cbox_init.logs.writer import Writer
from tests.logs.conftest import DEADLINE_S, end
from tests.logs.outputs.conftest import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.logs.conftest import Said

FULL_DISK = "No space left on device; records wait until it can be written"


class Written:
    """An writer to a file, and the lines that are in it and in its rotated ones."""

    def __init__(self, path: Path, said: Said, rotation: Rotation | None = None) -> None:
        self.path = path
        self.retry = Retry(said.log, str(path))
        self.target = FileBackend(str(path), rotation=rotation, retry=self.retry, log=said.log)
        self.writer = Writer(self.target)

    def write(self, *lines: str) -> None:
        for line in lines:
            self.writer.write(f"{line}\n".encode())

    def lines(self) -> list[str]:
        """Of all files, the oldest first."""
        names = [f"{self.path}.{number}{suffix}" for number in range(200, 0, -1) for suffix in ("", ".gz")]
        text = ""
        for name in [*names, str(self.path)]:
            if os.path.exists(name):
                with open(name, "rb") as file:
                    content = file.read()
                text += (gzip.decompress(content) if name.endswith(".gz") else content).decode()
        return text.splitlines()


def numbers(count: int, start: int = 0) -> list[str]:
    return [f"line {number:07d}" for number in range(start, start + count)]


def test_it_is_made_with_its_directories_and_appended_to(tmp_path: Path, said: Said) -> None:
    path = tmp_path / "a/b/app.log"
    for start in (0, 100):
        written = Written(path, said)
        written.write(*numbers(100, start))
        end(written.writer)
    assert path.read_text().splitlines() == numbers(200)
    assert said.records() == []


def test_nothing_is_opened_before_the_first_record(tmp_path: Path, said: Said) -> None:
    Written(tmp_path / "app.log", said).writer.reopen()
    assert not (tmp_path / "app.log").exists()


def test_a_hundred_rotations_lose_and_double_nothing(tmp_path: Path, said: Said) -> None:
    written = Written(tmp_path / "app.log", said, Rotation(max_size=1000, max_files=150, compress=False))
    written.write(*numbers(8000))
    end(written.writer)
    assert written.lines() == numbers(8000)
    sizes = [file.stat().st_size for file in tmp_path.glob("app.log*")]
    assert len(sizes) > 100
    assert max(sizes) <= 1000


def test_what_is_beyond_max_files_is_removed(tmp_path: Path, said: Said) -> None:
    written = Written(tmp_path / "app.log", said, Rotation(max_size=130, max_files=3, compress=False))
    written.write(*numbers(100))
    end(written.writer)
    assert sorted(file.name for file in tmp_path.glob("app.log*")) == [
        "app.log",
        "app.log.1",
        "app.log.2",
        "app.log.3",
    ]
    assert written.lines() == numbers(40, 60)


def test_rotated_files_are_compressed(tmp_path: Path, said: Said) -> None:
    written = Written(tmp_path / "app.log", said, Rotation(max_size=10_000, max_files=50, compress=True))
    (tmp_path / "app.log.1").write_text("of an earlier run\n")
    (tmp_path / "app.log.1").chmod(0o600)
    written.write(*numbers(5000))
    end(written.writer)
    wait_for(lambda: not (tmp_path / "app.log.1").exists(), "the last compression")
    assert written.lines() == ["of an earlier run", *numbers(5000)]
    names = sorted(file.name for file in tmp_path.glob("app.log*"))
    assert len(names) == 8
    assert [name for name in names if not name.endswith(".gz")] == ["app.log"]
    assert (tmp_path / "app.log.7.gz").stat().st_mode & 0o777 == 0o600


def test_a_record_that_is_larger_than_a_file_is_written_whole(tmp_path: Path, said: Said) -> None:
    written = Written(tmp_path / "app.log", said, Rotation(max_size=100, max_files=9, compress=False))
    lines = ["short", "x" * 1000, "short again", "y" * 1000]
    written.write(*lines)
    end(written.writer)
    assert written.lines() == lines
    assert len(list(tmp_path.glob("app.log*"))) == 4


@given(
    st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"") + b"\n"), min_size=1), st.data()
)
def test_fitting_ends_at_the_end_of_a_record(lines: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(lines)
    start = len(b"".join(lines[: data.draw(st.integers(0, len(lines) - 1))]))
    room = data.draw(st.integers(-5, len(whole) + 5))
    empty = data.draw(st.booleans())
    end_ = fitting(whole, start, room, empty=empty)
    assert end_ == start or whole[end_ - 1 : end_] == b"\n"
    assert start <= end_ <= len(whole)
    taken = whole[start:end_]
    assert len(taken) <= room or (empty and taken.count(b"\n") == 1) or not taken
    if empty:
        assert taken
    if room > 0 and end_ < len(whole):
        assert len(taken) + whole.find(b"\n", end_) + 1 - end_ > room or len(taken) > room


def test_a_file_that_was_moved_or_removed_is_made_anew(tmp_path: Path, said: Said) -> None:
    written = Written(tmp_path / "app.log", said)
    for number in range(10):
        written.write(*numbers(10, number * 10))
        assert written.writer.flush(20)
        if number % 2:
            written.path.rename(f"{written.path}.{10 - number}")
        elif number == 8:
            written.path.unlink()
    end(written.writer)
    assert written.lines() == [*numbers(80), *numbers(10, 90)]


def test_a_file_that_was_truncated_goes_on_at_its_beginning(tmp_path: Path, said: Said) -> None:
    written = Written(tmp_path / "app.log", said, Rotation(max_size=1000, max_files=2, compress=False))
    written.write(*numbers(50))
    assert written.writer.flush(20)
    shutil.copy(written.path, tmp_path / "copy")
    os.truncate(written.path, 0)
    written.write(*numbers(50, 50))
    end(written.writer)
    assert written.path.read_text().splitlines() == numbers(50, 50)
    assert not (tmp_path / "app.log.1").exists()


def test_reopening_makes_an_idle_file_anew_at_once(tmp_path: Path, said: Said) -> None:
    written = Written(tmp_path / "app.log", said)
    written.write("before")
    assert written.writer.flush(20)
    written.path.rename(tmp_path / "old")
    written.writer.reopen()
    wait_for(written.path.exists, "the new file")
    written.write("after")
    end(written.writer)
    assert ((tmp_path / "old").read_text(), written.path.read_text()) == ("before\n", "after\n")


def test_a_full_disk_is_said_once_and_all_is_written_when_there_is_room(tmp_path: Path, said: Said) -> None:
    written = Written(tmp_path / "app.log", said)
    written.path.symlink_to("/dev/full")
    written.write(*numbers(1000))
    wait_for(lambda: written.retry.error, "the failure")
    written.writer.reopen()
    written.write(*numbers(1000, 1000))
    written.path.unlink()
    end(written.writer)
    assert written.lines() == numbers(2000)
    assert [(record["msg"], record.get("error")) for record in said.records()] == [
        ("Log output cannot be written", FULL_DISK),
        ("Log output can be written again", None),
    ]
    assert (written.writer.written, written.writer.dropped) == (2000, 0)


def test_a_small_disk_fills_up_and_every_record_is_somewhere_whole(tmp_path: Path) -> None:
    """A tmpfs of 64 KiB in a mount namespace of its own; somebody moves each full file away."""
    script = """
import shutil
import subprocess
import sys
from pathlib import Path
from tests.logs.conftest import Said, end
from tests.logs.outputs.conftest import wait_for
from tests.logs.outputs.test_file import Written, numbers
folder = Path(sys.argv[1])
disk = folder / "disk"
disk.mkdir()
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], check=True)
said = Said(folder / "said")
written = Written(disk / "app.log", said)
written.write(*numbers(12_000))
files = 0

def full():
    return written.path.exists() and written.path.stat().st_size == 65536

while written.writer.queued:
    wait_for(lambda: full() or not written.writer.queued)
    if full():
        shutil.move(written.path, folder / f"moved.{files}")
        files += 1
end(written.writer)
paths = [*(folder / f"moved.{n}" for n in range(files)), written.path]
lines = [line for path in paths for line in path.read_text().splitlines(keepends=True)]
whole = [line.rstrip() for line in lines if len(line) == 13]
assert whole == numbers(12_000), len(whole)
assert files >= 2, files
assert 1 <= said.messages().count("Log output cannot be written") <= files
said.close()
"""
    subprocess.run(["unshare", "-m", sys.executable, "-c", script, tmp_path], check=True, timeout=60)


NEVER = "records are dropped until it can be written"


def test_a_file_that_cannot_be_had_holds_up_nobody_and_is_tried_again(tmp_path: Path, said: Said) -> None:
    blocker = tmp_path / "logs"
    blocker.write_text("a file where a directory should be")
    written = Written(blocker / "app.log", said)
    written.write(*numbers(10))
    wait_for(lambda: written.writer.dropped == 10, "the failure")
    assert written.retry.error == "Not a directory"
    blocker.unlink()
    written.writer.reopen()
    written.write("there")
    end(written.writer)
    assert written.lines() == ["there"]
    assert said.messages() == ["Log output cannot be written", "Log output can be written again"]
    assert said.records()[0]["error"] == f"Not a directory; {NEVER}"


def test_a_directory_takes_nothing_and_is_not_asked_for_each_record(tmp_path: Path, said: Said) -> None:
    written = Written(tmp_path, said)
    for _ in range(1000):
        written.write("lost")
        assert written.writer.flush(DEADLINE_S)
    written.path = tmp_path / "other"
    end(written.writer)
    assert (written.writer.written, written.writer.dropped) == (0, 1000)
    assert [record["error"] for record in said.records()] == [f"Is a directory; {NEVER}"]


def test_it_heals_by_itself(tmp_path: Path, said: Said) -> None:
    path = tmp_path / "app.log"
    path.mkdir()
    written = Written(path, said)
    written.write("lost")
    wait_for(lambda: written.writer.dropped, "the failure")
    path.rmdir()

    def is_written() -> int:
        written.write("there")
        assert written.writer.flush(DEADLINE_S)
        return written.writer.written

    wait_for(is_written, "another try")
    end(written.writer)
    assert set(written.lines()) == {"there"}
    assert said.messages()[-1] == "Log output can be written again"


def test_a_read_only_file_system_and_no_permission(public_path: Path) -> None:
    script = """
import os, subprocess, sys
from pathlib import Path
from tests.logs.conftest import Said, end
from tests.logs.outputs.test_file import Written
folder = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", folder / "ro"], check=True)
(folder / "root").mkdir(mode=0o700)
said = Said(folder / "said")
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
for place, errno in (("ro", "Read-only file system"), ("root", "Permission denied")):
    written = Written(folder / place / "app.log", said)
    written.write("lost")
    end(written.writer)
    assert written.writer.dropped == 1
    assert errno in said.records()[-1]["error"], said.records()
said.close()
"""
    (public_path / "ro").mkdir()
    subprocess.run(["unshare", "-m", sys.executable, "-c", script, public_path], check=True, timeout=60)


def test_what_is_short_for_a_while_is_waited_for_but_not_for_ever(
    tmp_path: Path, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file, "BRIEFLY_S", 0.2)
    os.mkfifo(tmp_path / "pipe")
    written = Written(tmp_path / "pipe", said)
    written.write(*numbers(10))
    end(written.writer)
    assert written.writer.dropped == 10
    assert [record["error"] for record in said.records()] == [
        "No such device or address; records wait until it can be written",
        f"No such device or address; {NEVER}",
    ]


def test_what_is_given_up_is_counted(tmp_path: Path, said: Said) -> None:
    os.mkfifo(tmp_path / "pipe")
    written = Written(tmp_path / "pipe", said)
    written.write(*numbers(10))
    wait_for(lambda: written.retry.error, "the failure")
    written.retry.leave(0)
    end(written.writer)
    assert (written.writer.written, written.writer.dropped) == (0, 10)


def test_a_link_is_rotated_where_it_leads(tmp_path: Path, said: Said) -> None:
    """Its volume may be another than that of the link."""
    volume = tmp_path / "volume"
    volume.mkdir()
    (tmp_path / "app.log").symlink_to("volume/real.log")
    written = Written(tmp_path / "app.log", said, Rotation(max_size=100, max_files=3, compress=False))
    written.write(*numbers(30))
    end(written.writer)
    assert (tmp_path / "app.log").is_symlink()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["app.log", "said", "volume"]
    assert sorted(one.name for one in volume.iterdir()) == [
        "real.log",
        "real.log.1",
        "real.log.2",
        "real.log.3",
    ]


def test_what_belongs_to_others_is_not_rotated(tmp_path: Path, said: Said) -> None:
    """Such as /dev/stdout, which may lead to a regular file."""
    script = """
import sys
from pathlib import Path
from tests.logs.conftest import Said, end
from tests.logs.outputs.test_file import Written, numbers
from cbox_init.logs.rotation import Rotation
folder = Path(sys.argv[1])
(folder / "link").symlink_to("/dev/stdout")
for path in (Path("/dev/stdout"), Path("/proc/self/fd/1"), folder / "link"):
    said = Said(folder / "said")
    written = Written(path, said, Rotation(max_size=50, max_files=3, compress=True))
    written.write(*numbers(10))
    end(written.writer)
    assert said.messages() == []
    said.close()
"""
    with (tmp_path / "out").open("wb") as out:
        subprocess.run([sys.executable, "-c", script, tmp_path], check=True, timeout=60, stdout=out)
    assert (tmp_path / "out").read_text().splitlines() == numbers(10) * 3
    assert sorted(one.name for one in tmp_path.iterdir()) == ["link", "out", "said"]


def test_a_lowered_max_files_removes_what_is_beyond(tmp_path: Path, said: Said) -> None:
    for name in ("1", "2.gz", "3", "4.gz", "5", "5.gz", "20261128", "7"):
        (tmp_path / f"app.log.{name}").write_text("old\n" if "gz" not in name else "")
    written = Written(tmp_path / "app.log", said, Rotation(max_size=1000, max_files=2, compress=False))
    written.write("opened")
    assert written.writer.flush(DEADLINE_S)
    left = {one.name.removeprefix("app.log.") for one in tmp_path.iterdir()}
    assert left == {"said", "app.log", "1", "2.gz", "7", "20261128"}
    end(written.writer)


def test_a_rotation_that_fails_is_said_and_writing_goes_on(tmp_path: Path, said: Said) -> None:
    (tmp_path / "app.log.1").mkdir()
    (tmp_path / "app.log.1/full").touch()
    written = Written(tmp_path / "app.log", said, Rotation(max_size=1000, max_files=1, compress=False))
    written.write(*numbers(200))
    end(written.writer)
    assert written.path.read_text().splitlines() == numbers(200)
    assert set(said.messages()) == {"Log file was not rotated"}
    assert len(said.messages()) == 2


@pytest.mark.parametrize("rotation", [None, Rotation(max_size=50, max_files=2, compress=False)])
def test_a_named_pipe_waits_for_its_reader(tmp_path: Path, said: Said, rotation: Rotation | None) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    written = Written(path, said, rotation)
    written.write(*numbers(10))
    wait_for(lambda: written.retry.error, "nobody reads")
    with path.open() as pipe:
        end(written.writer)
        assert pipe.read().splitlines() == numbers(10)
