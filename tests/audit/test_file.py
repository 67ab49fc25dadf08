"""The file: where it may be, how it is rotated, and what a failed write leaves."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from cbox_init.audit.chain import START, seal
from cbox_init.audit.file import AuditFile
from cbox_init.audit.verify import Verdict, verify_files
from tests.attacker import Swapper
from tests.audit.trails import body, sealed
from tests.system.helpers import as_root

if TYPE_CHECKING:
    from pathlib import Path


def file_at(path: Path, max_size: int = 10**6, max_files: int = 3) -> AuditFile:
    return AuditFile(str(path), max_size=max_size, max_files=max_files)


def test_it_is_ours_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "audit.log"
    file = file_at(path)
    assert file.resume().link == START
    file.append(b"a\n", sync=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o755
    path.chmod(0o644)
    file.close()
    file.append(b"b\n", sync=False)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes() == b"a\nb\n"
    file.close()


def test_a_new_file_is_in_its_directory_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []

    def fsync(fd: int) -> None:
        synced.append(os.fstat(fd).st_ino)
        raise OSError(22, os.strerror(22))  # as of a file system that does not offer it

    monkeypatch.setattr(os, "fsync", fsync)
    file = file_at(tmp_path / "audit.log", max_size=10)
    file.resume()
    directory = tmp_path.stat().st_ino
    assert synced == [directory]
    file.append(b"12345678\n", sync=True)
    assert synced == [directory]
    file.append(b"12345678\n", sync=True)
    assert synced == [directory] * 2, "the file was rotated"
    file.close()


def test_a_link_in_its_place_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("precious")
    (tmp_path / "audit.log").symlink_to(other)
    with pytest.raises(OSError, match="it is a link"):
        file_at(tmp_path / "audit.log").resume()
    (tmp_path / "audit.log").unlink()
    os.link(other, tmp_path / "audit.log")
    with pytest.raises(OSError, match="another name as well"):
        file_at(tmp_path / "audit.log").resume()
    (tmp_path / "audit.log").unlink()
    os.mkfifo(tmp_path / "audit.log")
    with pytest.raises(OSError, match="no regular file"):
        file_at(tmp_path / "audit.log").resume()
    assert other.read_text() == "precious"


def test_a_directory_in_which_others_write_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "open"
    place.mkdir()
    place.chmod(0o777)
    with pytest.raises(OSError, match="others can write in its directory"):
        file_at(place / "audit.log").resume()
    place.chmod(0o1777)
    file_at(place / "audit.log").resume()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make files of others")
def test_what_belongs_to_others_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.write_text("")
    os.chown(path, 65534, 65534)
    with pytest.raises(OSError, match="belongs to another user"):
        file_at(path).resume()
    real = tmp_path / "real"
    real.mkdir()
    (tmp_path / "link").symlink_to(real)
    file_at(tmp_path / "link" / "audit.log").resume()  # made by us
    os.chown(tmp_path / "link", 65534, 65534, follow_symlinks=False)
    with pytest.raises(OSError, match="made this link"):
        file_at(tmp_path / "link" / "audit.log").resume()


def test_a_link_that_replaces_the_open_file_is_not_followed(tmp_path: Path) -> None:
    path, other = tmp_path / "audit.log", tmp_path / "other"
    other.write_text("precious")
    file = file_at(path)
    file.resume()
    file.append(b"a\n", sync=False)
    path.rename(tmp_path / "moved")
    path.symlink_to(other)
    with pytest.raises(OSError, match="it is a link"):
        file.append(b"b\n", sync=False)
    path.unlink()
    file.append(b"c\n", sync=False)
    assert (path.read_text(), other.read_text()) == ("c\n", "precious")
    file.close()


def test_the_chain_goes_on_over_rotations_and_restarts(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    written = 0
    for _ in range(4):
        file = file_at(path, max_size=1000, max_files=3)
        found = file.resume()
        assert (found.link.seq, found.torn) == (written, None)
        lines, _ = sealed(7, found.link)
        for line in lines:
            file.append(line, sync=False)
        written += 7
        file.close()
    files = sorted(str(one) for one in tmp_path.iterdir())
    assert [os.path.basename(one) for one in files] == [
        "audit.log",
        "audit.log.1",
        "audit.log.2",
        "audit.log.3",
    ]
    assert all(os.path.getsize(one) <= 1000 for one in files)
    report = verify_files(files)
    assert report.verdict is Verdict.INTACT, report
    assert report.last is not None and report.last.seq == written
    (tmp_path / "audit.log.2").unlink()
    assert verify_files([one for one in files if not one.endswith(".2")]).verdict is Verdict.BROKEN


def test_a_crash_right_after_a_rotation_loses_no_link(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    lines, link = sealed(3)
    (tmp_path / "audit.log.1").write_bytes(b"".join(lines))
    assert file_at(path).resume().link == link
    assert file_at(path).resume().link == link  # an empty file is there now


@pytest.mark.parametrize("rotated_end", [b"", b'{"seq":4,"ti', b"half\n"])
@pytest.mark.parametrize("end", [b'{"seq":4', b"half a line\n"])
def test_a_crash_in_the_first_write_after_a_rotation_is_described(
    tmp_path: Path, rotated_end: bytes, end: bytes
) -> None:
    path = tmp_path / "audit.log"
    lines, link = sealed(3)
    (tmp_path / "audit.log.1").write_bytes(b"".join(lines) + rotated_end)
    path.write_bytes(end)
    file = file_at(path)
    found = file.resume()
    assert found.link == link and found.torn is not None
    figures = {"torn_bytes": found.torn.bytes, "torn_sha256": found.torn.sha256}
    file.append(seal(body(4, figures), link)[0], sync=False)
    file.close()
    report = verify_files([str(path), f"{path}.1"])
    assert (report.verdict, report.records) == (Verdict.INTACT, 4), report


def test_fewer_files_are_kept_after_the_limit_was_lowered(tmp_path: Path) -> None:
    for number in range(1, 6):
        (tmp_path / f"audit.log.{number}").write_text(f"{number}\n")
    (tmp_path / "audit.log.2026").write_text("another's\n")
    file = file_at(tmp_path / "audit.log", max_size=10, max_files=2)
    file.append(b"12345678\n", sync=False)
    file.append(b"12345678\n", sync=False)
    assert sorted(one.name for one in tmp_path.iterdir()) == [
        "audit.log",
        "audit.log.1",
        "audit.log.2",
        "audit.log.2026",
    ]
    file.close()


def test_a_torn_end_is_described(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    lines, link = sealed(2)
    path.write_bytes(lines[0] + lines[1] + b'{"seq":3,"ti')
    file = file_at(path)
    found = file.resume()
    assert found.link == link
    assert found.torn is not None and found.torn.bytes == 12
    next_line, _ = seal(body(3, {"torn_bytes": 12, "torn_sha256": found.torn.sha256}), link)
    file.append(next_line, sync=False)
    file.close()
    report = verify_files([str(path)])
    assert report.verdict is Verdict.INTACT, report
    assert report.notes == (f"{path}:3: a write was cut short, as by a crash; the next record says so",)
    # The same record behind other bytes explains nothing.
    path.write_bytes(path.read_bytes().replace(b'{"seq":3,"ti\n', b'{"seq":3,"tx\n'))
    assert verify_files([str(path)]).verdict is Verdict.BROKEN


def test_a_part_of_a_failed_write_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "audit.log"
    file = file_at(path)
    file.resume()
    file.append(b"first\n", sync=False)
    real = os.write

    def short(fd: int, data: bytes) -> int:
        if len(data) < 4:
            raise OSError(28, "No space left on device")
        return real(fd, data[:3])

    monkeypatch.setattr(os, "write", short)
    with pytest.raises(OSError, match="No space"):
        file.append(b"second\n", sync=False)
    monkeypatch.undo()
    assert path.read_bytes() == b"first\n"
    file.append(b"third\n", sync=False)
    assert path.read_bytes() == b"first\nthird\n"
    file.close()


def test_a_rotation_that_fails_lets_the_file_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    errors: list[OSError | None] = []
    file = file_at(tmp_path / "audit.log", max_size=10)
    file.on_rotated = errors.append
    file.resume()

    def fails(*_: object, **__: object) -> None:
        raise OSError(1, "Operation not permitted")

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", fails)
        for _ in range(2):
            file.append(b"12345678\n", sync=False)
    assert len(errors) == 1 and errors[0] is not None
    assert (tmp_path / "audit.log").read_bytes() == b"12345678\n" * 2
    file.append(b"12345678\n" * 2, sync=False)
    assert errors[-1] is None
    assert (tmp_path / "audit.log.1").read_bytes() == b"12345678\n" * 2
    file.close()


def test_compressed_files_are_verified(tmp_path: Path) -> None:
    import gzip

    lines, _ = sealed(4)
    (tmp_path / "audit.log").write_bytes(b"".join(lines[2:]))
    (tmp_path / "audit.log.1.gz").write_bytes(gzip.compress(b"".join(lines[:2])))
    report = verify_files([str(tmp_path / "audit.log"), str(tmp_path / "audit.log.1.gz")])
    assert (report.verdict, report.records) == (Verdict.INTACT, 4)


@as_root
def test_its_directory_is_swapped_all_the_time(theirs: Path, public_path: Path) -> None:
    ours = public_path / "ours"
    ours.mkdir()
    (ours / "audit.log").write_text("root's\n")
    (ours / "audit.log").chmod(0o600)
    file = file_at(theirs / "run" / "audit.log", max_size=100)
    with Swapper(theirs / "run", ours, directory=True) as swapper:
        while swapper.turns < 1000:
            swapper.check()
            with suppress(OSError):
                file.append(b"x" * 60 + b"\n", sync=False)
    file.close()
    assert (ours / "audit.log").read_text() == "root's\n"
    assert os.listdir(ours) == ["audit.log"]
