"""Paths through directories that another user can write to."""

from __future__ import annotations

import os
import stat
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

from cbox_init.errors import UnsafePathError
from cbox_init.safe_paths import identity_at, locate, open_to_read, real_path
from tests.attacker import NOBODY, Swapper, owned_by
from tests.system.helpers import as_root, become_nobody, isolated

if TYPE_CHECKING:
    from collections.abc import Iterator

_GROUP: Final = 54321
_OTHER_GROUP: Final = 54322


class User(NamedTuple):
    uid: int
    gid: int
    groups: tuple[int, ...]


USERS: Final = (
    User(NOBODY, NOBODY, (NOBODY,)),
    User(NOBODY, _GROUP, (_GROUP,)),
    User(NOBODY, NOBODY, (NOBODY, _GROUP)),
    User(54323, NOBODY, (NOBODY, _OTHER_GROUP)),
)


def _append(path: Path, text: bytes = b"x\n") -> None:
    with locate(str(path), make_directories=True) as place:
        fd = place.open_to_append()
        try:
            os.write(fd, text)
        finally:
            os.close(fd)


def _read(path: Path, user: User | None = None) -> bytes:
    fd = open_to_read(str(path), user)
    try:
        return os.read(fd, 1000)
    finally:
        os.close(fd)


def test_a_file_is_made_with_its_directories_which_others_cannot_write_to(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        _append(tmp_path / "a" / "b" / "c.log")
    finally:
        os.umask(before)
    assert (tmp_path / "a" / "b" / "c.log").read_text() == "x\n"
    for made, mode in ((tmp_path / "a", 0o755), (tmp_path / "a" / "b", 0o755)):
        assert stat.S_IMODE(made.stat().st_mode) == mode


def test_our_own_links_are_followed_on_the_way_and_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real/deep")
    (tmp_path / "real" / "deep" / "last").symlink_to("../../other.log")
    _append(tmp_path / "link" / "last")
    assert (tmp_path / "other.log").read_text() == "x\n"
    assert real_path(str(tmp_path / "link" / "last")) == str(tmp_path / "other.log")


def test_links_that_lead_to_each_other_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        _append(tmp_path / "a")


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "/dev/null"])
def test_descriptors_and_devices_are_opened_by_their_names(name: str) -> None:
    with locate(name) as place:
        fd = place.open_to_append()
        try:
            expected = os.stat(name)
            found = os.fstat(fd)
            assert (found.st_dev, found.st_ino) == (expected.st_dev, expected.st_ino)
        finally:
            os.close(fd)


def test_a_missing_directory_is_reported_as_the_system_does(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        locate(str(tmp_path / "none" / "file"))
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError):
        locate(str(tmp_path / "file" / "file"))


def test_a_fifo_that_is_to_be_read_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match="no regular file"):
        _read(tmp_path / "fifo")


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("none/deep")
    before = len(os.listdir("/proc/self/fd"))
    for path in (tmp_path / "link" / "x", tmp_path / "none", Path("/dev/stdout"), tmp_path):
        with suppress(OSError), locate(str(path)):
            pass
        with suppress(OSError):
            _read(path)
    _append(tmp_path / "file")
    assert len(os.listdir("/proc/self/fd")) <= before


@as_root
def test_a_daemon_that_is_not_root_follows_links_as_the_system_does(
    theirs: Path, public_path: Path, secret: Path
) -> None:
    """But in a directory for everyone those of others are refused."""
    shared = public_path / "tmp"
    shared.mkdir()
    shared.chmod(0o1777)
    own = owned_by(theirs / "own", NOBODY, 0o775)
    for link, target, uid in (
        (theirs / "link", own, 1234),
        (shared / "ours", own, NOBODY),
        (shared / "of-root", own, 0),
        (shared / "of-another", own, 1234),
        (theirs / "to-secret", secret, NOBODY),
    ):
        link.symlink_to(target)
        os.lchown(link, uid, uid)

    def test() -> None:
        become_nobody()
        for name in (theirs / "link", shared / "ours", shared / "of-root", own):
            _append(name / "app.log")
        assert (own / "app.log").read_text() == 4 * "x\n"
        os.link(own / "app.log", own / "second.log")
        _append(own / "second.log")
        with pytest.raises(UnsafePathError, match="uid 1234 made this link"):
            _append(shared / "of-another" / "app.log")
        with pytest.raises(PermissionError):
            _append(theirs / "to-secret")
        _append(shared / "new.log")
        _append(shared / "new.log")

    isolated(test)


@as_root
def test_the_links_of_a_configmap_are_followed(public_path: Path) -> None:
    """Kubernetes mounts it read-only, with the mode 0777, and replaces ..data."""
    volume = public_path / "config"
    (volume / "..2026").mkdir(parents=True)
    (volume / "..2026" / "c.yaml").write_text("x\n")
    (volume / "..data").symlink_to("..2026")
    (volume / "c.yaml").symlink_to("..data/c.yaml")
    volume.chmod(0o777)
    assert _read(volume / "c.yaml") == b"x\n"
    assert real_path(str(volume / "c.yaml")) == str(volume / "..2026" / "c.yaml")


@as_root
def test_a_link_of_another_user_is_refused_wherever_it_leads(theirs: Path, secret: Path) -> None:
    (theirs / "app.log").symlink_to(secret)
    (theirs / "folder").symlink_to(secret.parent)
    for name in ("app.log", "folder"):
        os.lchown(theirs / name, NOBODY, NOBODY)
    for path in (theirs / "app.log", theirs / "folder" / "secret"):
        with pytest.raises(UnsafePathError, match="uid 65534 made this link"):
            _append(path)
        with pytest.raises(UnsafePathError, match="uid 65534 made this link"):
            _read(path)
        assert identity_at(str(path)) is None
    assert secret.read_text() == "root's\n"


@as_root
def test_links_of_root_are_followed_in_directories_of_others(theirs: Path, public_path: Path) -> None:
    volume = public_path / "volume"
    volume.mkdir()
    (theirs / "logs").symlink_to(volume)
    _append(theirs / "logs" / "app.log")
    assert (volume / "app.log").read_text() == "x\n"


@as_root
def test_a_second_name_of_root_s_link_is_refused(theirs: Path, public_path: Path, secret: Path) -> None:
    (public_path / "link").symlink_to(secret)
    os.link(public_path / "link", theirs / "app.log", follow_symlinks=False)
    with pytest.raises(UnsafePathError, match="another name"):
        _append(theirs / "app.log")


@as_root
def test_a_second_name_of_root_s_file_is_refused(theirs: Path, secret: Path) -> None:
    os.link(secret, theirs / "app.log")
    with pytest.raises(UnsafePathError, match="hard link"):
        _append(theirs / "app.log")
    with pytest.raises(UnsafePathError, match="hard link"):
        _read(theirs / "app.log")
    assert secret.read_text() == "root's\n"


@as_root
def test_two_names_of_a_file_of_the_directory_s_owner_are_not_refused(theirs: Path) -> None:
    (theirs / "a.log").write_text("")
    os.chown(theirs / "a.log", NOBODY, NOBODY)
    os.link(theirs / "a.log", theirs / "b.log")
    _append(theirs / "b.log")
    assert _read(theirs / "b.log") == b"x\n"


@as_root
def test_in_a_directory_for_everyone_neither_links_nor_files_of_others_are_used(
    public_path: Path, secret: Path
) -> None:
    shared = public_path / "tmp"
    shared.mkdir()
    shared.chmod(0o1777)
    (shared / "link").symlink_to(secret)
    os.lchown(shared / "link", NOBODY, NOBODY)
    (shared / "planted").write_text("")
    os.chown(shared / "planted", NOBODY, NOBODY)
    with pytest.raises(UnsafePathError, match="made this link"):
        _append(shared / "link")
    with pytest.raises(UnsafePathError, match="made the file"):
        _append(shared / "planted")
    assert _read(shared / "planted") == b""
    _append(shared / "ours")
    _append(shared / "ours")
    assert (shared / "ours").read_text() == "x\nx\n"


@as_root
def test_a_device_in_a_directory_of_others_is_refused(theirs: Path, tmp_path: Path) -> None:
    """Not every container lets root make one there."""
    device = os.stat("/dev/null")
    with locate(str(theirs / "null")) as place, pytest.raises(UnsafePathError, match="device"):
        place.check(device, writes=True)
    with locate(str(tmp_path / "null")) as place:
        place.check(device, writes=True)


@as_root
def test_a_reader_follows_its_own_links_to_what_it_may_read(theirs: Path, secret: Path) -> None:
    (theirs / "to-secret").symlink_to(secret)
    (theirs / "real.log").write_text("x\n")
    (theirs / "current.log").symlink_to("real.log")
    for name in ("to-secret", "current.log"):
        os.lchown(theirs / name, NOBODY, NOBODY)
    with pytest.raises(UnsafePathError, match="may not read it"):
        _read(theirs / "to-secret", USERS[0])
    assert _read(theirs / "current.log", USERS[0]) == b"x\n"


@as_root
def test_a_reader_is_not_led_into_our_own_figures(theirs: Path) -> None:
    (theirs / "app.log").symlink_to("/proc/self/maps")
    os.lchown(theirs / "app.log", NOBODY, NOBODY)
    with pytest.raises(UnsafePathError, match="a link of another user leads there"):
        _read(theirs / "app.log", USERS[0])


class Case(NamedTuple):
    """A file with its directory: owner, group and mode of each, and an access control list of the file."""

    directory: tuple[int, int, int]
    file: tuple[int, int, int]
    acl: tuple[tuple[int, int, int], ...] = ()


def _cases() -> Iterator[Case]:
    closed, opened = (0, 0, 0o700), (0, 0, 0o755)
    for directory in (closed, opened, (0, _GROUP, 0o710), (NOBODY, 0, 0o300), (NOBODY, 0, 0o007)):
        for file in ((0, 0, 0o604), (0, _GROUP, 0o640), (NOBODY, 0, 0o044), (0, _GROUP, 0o604)):
            yield Case(directory, file)
    user, group, mask = (0x02, 4, NOBODY), (0x08, 4, _OTHER_GROUP), 7
    none = 0xFFFFFFFF
    for other in (0, 4):
        for own_group in (0, 4):
            for named in (
                (user,),
                (group,),
                ((0x02, 0, NOBODY),),
                ((0x08, 0, _OTHER_GROUP), (0x08, 4, _GROUP)),
            ):
                for limit in (mask, 2):
                    acl = (
                        (0x01, 6, none),
                        *[entry for entry in named if entry[0] == 0x02],
                        (0x04, own_group, none),
                        *[entry for entry in sorted(named, key=lambda one: one[2]) if entry[0] == 0x08],
                        (0x10, limit, none),
                        (0x20, other, none),
                    )
                    yield Case(opened, (0, _GROUP, 0o600), acl)


@as_root
@pytest.mark.parametrize("user", USERS)
def test_a_reader_may_read_what_a_process_of_that_user_can(public_path: Path, user: User) -> None:
    paths = []
    for number, case in enumerate(_cases()):
        folder = public_path / str(number)
        folder.mkdir()
        file = folder / "app.log"
        file.write_text("x\n")
        for path, (uid, gid, mode) in ((file, case.file), (folder, case.directory)):
            os.chown(path, uid, gid)
            path.chmod(mode)
        if case.acl:
            data = b"\2\0\0\0" + b"".join(struct.pack("<HHI", *entry) for entry in case.acl)
            try:
                os.setxattr(file, "system.posix_acl_access", data)
            except OSError:
                continue  # this file system has no access control lists
        paths.append(file)
    allowed = []
    for path in paths:
        with suppress(UnsafePathError):
            assert _read(path, user) == b"x\n"
            allowed.append(path)
    assert allowed == _readable_by(user, paths)
    assert allowed
    assert allowed != paths


_READ = """
import os, sys
uid, gid, *groups = map(int, sys.argv[1].split())
os.setgroups(groups)
os.setresgid(gid, gid, gid)
os.setresuid(uid, uid, uid)
for path in sys.argv[2:]:
    try:
        os.close(os.open(path, os.O_RDONLY))
    except OSError:
        continue
    print(path)
"""


def _readable_by(user: User, paths: list[Path]) -> list[Path]:
    """The files that a process with this user and these groups can really open."""
    who = " ".join(map(str, (user.uid, user.gid, *user.groups)))
    words = [sys.executable, "-S", "-c", _READ, who, *map(str, paths)]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    return [Path(line) for line in done.stdout.splitlines()]


@as_root
@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_name_that_is_swapped_all_the_time_never_leads_elsewhere(
    public_path: Path, theirs: Path, secret: Path, what: str
) -> None:
    elsewhere = public_path / "elsewhere"
    elsewhere.mkdir()
    os.link(secret, elsewhere / "app.log")
    path = theirs / "logs" / "app.log"
    if what == "file":
        owned_by(theirs / "logs", NOBODY)
        swapped, target = path, secret
    else:
        swapped, target = path.parent, elsewhere
    written = refused = 0
    with Swapper(swapped, target, directory=what == "folder") as swapper:
        while swapper.turns < 300 or not written or not refused:
            swapper.check()
            try:
                _append(path)
                written += 1
            except UnsafePathError:
                refused += 1
            except OSError:
                pass  # it was away for a moment
    assert secret.read_text() == "root's\n"
    assert secret.stat().st_uid == 0
