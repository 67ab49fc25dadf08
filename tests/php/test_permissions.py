from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from cbox_init.php.permissions import (
    APPLICATIONS,
    Owner,
    PermissionSetup,
    Prepared,
    application_in,
    owner_from,
    prepare,
    why_skipped,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
OWNER = Owner(4321, 4322, "the test")

_SWAP = f"""
import os, sys
from contextlib import suppress

logs, secret, outside = sys.argv[1:]
os.chdir(logs)
os.setgroups([])
os.setresgid(*3 * ({OWNER.gid},))
os.setresuid(*3 * ({OWNER.uid},))
number = 0
while True:
    number += 1
    for make in (
        lambda: os.close(os.open("new", os.O_CREAT | os.O_WRONLY, 0o644)),
        lambda: os.symlink(secret, "new"),
        lambda: os.link(secret, "new"),
    ):
        with suppress(OSError):
            make()
            os.rename("new", "name")
    for step in (
        lambda: os.unlink("new"),
        lambda: os.unlink("name"),
        lambda: os.mkdir("folder"),
        lambda: os.rename("folder", f"old-{{number}}"),
        lambda: os.symlink(outside, "folder"),
        lambda: os.unlink("folder"),
        lambda: os.rmdir(f"old-{{number}}"),
    ):
        with suppress(OSError):
            step()
"""
LARAVEL, SYMFONY, WORDPRESS = APPLICATIONS


def setup(workdir: Path, longest_s: float = 10.0) -> Prepared:
    return PermissionSetup(str(workdir), LARAVEL, OWNER, longest_s=longest_s).run()


def owner_of(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_uid, found.st_gid


@pytest.mark.parametrize(
    ("files", "name"),
    [
        (["artisan"], "laravel"),
        (["bin/console", "var/cache/x"], "symfony"),
        (["bin/console"], None),
        (["wp-config.php"], "wordpress"),
        (["artisan", "wp-config.php"], "laravel"),
        (["index.php"], None),
    ],
)
def test_the_application_is_known_by_its_files(tmp_path: Path, files: list[str], name: str | None) -> None:
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    found = application_in(str(tmp_path))
    assert (found and found.name) == name


@pytest.mark.parametrize(
    ("environ", "passwd", "expected", "remark"),
    [
        ({"PUID": "1000", "PGID": "1001"}, "www-data:x:33:33::/:/bin/sh\n", (1000, 1001), None),
        ({}, "root:x:0:0::/:\nwww-data:x:33:34::/:/bin/sh\n", (33, 34), None),
        ({}, "root:x:0:0::/:\n", (82, 82), None),
        ({}, "www-data\n", (82, 82), None),
        ({}, "www-data:x:a:b::\n", (82, 82), None),
        ({"PUID": "1000"}, "", (82, 82), "PGID is not set"),
        ({"PUID": "1000", "PGID": " "}, "", (82, 82), "PGID is not set"),
        ({"PUID": "me", "PGID": "1"}, "", (82, 82), "PUID is 'me'"),
        ({"PUID": "1", "PGID": "4294967295"}, "", (82, 82), "PGID is '4294967295'"),
    ],
)
def test_the_owner(
    tmp_path: Path, environ: dict[str, str], passwd: str, expected: tuple[int, int], remark: str | None
) -> None:
    (tmp_path / "passwd").write_text(passwd)
    found = owner_from(environ, str(tmp_path / "passwd"))
    assert (found.uid, found.gid) == expected
    assert (found.remark or "").startswith(remark or "")
    assert bool(found.remark) is bool(remark)


def test_without_etc_passwd() -> None:
    assert owner_from({}, "/no/such/file").uid == 82


@pytest.mark.parametrize("value", ["1", "true", "YES", "on"])
@pytest.mark.parametrize("name", ["CBOX_INIT_SKIP_PERMISSION_SETUP", "CBOX_INIT_READ_ONLY_ROOT"])
def test_it_can_be_skipped(name: str, value: str) -> None:
    assert why_skipped({name: value}) == f"{name} is set"
    assert why_skipped({name: "0"}) is None


def test_it_is_skipped_on_a_read_only_root(monkeypatch: pytest.MonkeyPatch) -> None:
    class ReadOnly:
        f_flag = os.ST_RDONLY

    monkeypatch.setattr("cbox_init.php.permissions.os.statvfs", lambda path: ReadOnly)
    assert why_skipped({}) == "the root file system is read-only"


@AS_ROOT
def test_missing_directories_are_made_and_all_is_given(tmp_path: Path) -> None:
    (tmp_path / "storage/logs/old").mkdir(parents=True)
    (tmp_path / "storage/logs/old/a.log").touch(mode=0o400)
    (tmp_path / "storage/logs/old").chmod(0o500)
    (tmp_path / "storage/private").mkdir()
    old = os.umask(0o077)
    try:
        found = setup(tmp_path)
    finally:
        os.umask(old)
    assert (found.application, found.problems, found.unfinished) == ("laravel", (), False)
    for directory in LARAVEL.directories:
        path = tmp_path / directory
        assert owner_of(path) == (4321, 4322)
        assert path.stat().st_mode & 0o700 == 0o700
    assert (tmp_path / "bootstrap/cache").stat().st_mode & 0o777 == 0o775
    assert (tmp_path / "storage/framework").stat().st_mode & 0o777 == 0o775
    assert owner_of(tmp_path / "storage/logs/old/a.log") == (4321, 4322)
    assert (tmp_path / "storage/logs/old/a.log").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "storage/logs/old").stat().st_mode & 0o777 == 0o700
    for path in (tmp_path, tmp_path / "storage", tmp_path / "storage/private"):
        assert owner_of(path) == (0, 0), "what was there above is not touched"
    assert (found.made, found.changed) == (6, 3)
    assert setup(tmp_path) == Prepared("laravel", 0, 0, (), False)


@AS_ROOT
def test_nothing_is_reached_through_a_link(tmp_path: Path) -> None:
    """As the application's user would plant them: links for a directory, within one, and hard ones."""
    outside = tmp_path / "outside"
    (outside / "logs").mkdir(parents=True)
    shadow = outside / "shadow"
    shadow.touch(mode=0o640)
    work = tmp_path / "work"
    (work / "storage/framework").mkdir(parents=True)
    (work / "storage/framework/views").symlink_to(outside)
    (work / "bootstrap").symlink_to(outside)
    logs = work / "storage/logs"
    logs.mkdir()
    (logs / "link").symlink_to(shadow)
    (logs / "folder").symlink_to(outside)
    (logs / "hard").hardlink_to(shadow)
    os.mkfifo(logs / "fifo")
    found = setup(work)
    assert [path for path, _ in found.problems] == [
        "storage/framework/views",
        "bootstrap",
        "storage/logs/hard",
    ]
    assert found.problems[0][1] == "it is a symbolic link, or no directory"
    assert "hard link" in found.problems[2][1]
    for path in (outside, outside / "logs", shadow, logs / "link", logs / "folder", logs / "fifo"):
        assert owner_of(path) == (0, 0), path
    assert shadow.stat().st_mode & 0o777 == 0o640
    assert not (outside / "cache").exists()
    assert owner_of(work / "storage/framework/cache") == (4321, 4322)


@AS_ROOT
def test_what_is_swapped_all_the_time_is_not_given_away(tmp_path: Path) -> None:
    """A file, a link and a hard link take turns at one name, a directory and a link at another."""
    outside, logs = tmp_path / "outside", tmp_path / "work/storage/logs"
    outside.mkdir()
    secret = outside / "secret"
    secret.touch(mode=0o600)
    logs.mkdir(parents=True)
    logs.chmod(0o777)
    with subprocess.Popen(
        [sys.executable, "-S", "-c", _SWAP, str(logs), str(secret), str(outside)]
    ) as attacker:
        try:
            end = time.monotonic() + 0.5
            while time.monotonic() < end:
                setup(tmp_path / "work")
                for path in (secret, outside):
                    assert owner_of(path) == (0, 0)
            assert attacker.poll() is None
        finally:
            attacker.kill()
    assert secret.stat().st_mode & 0o777 == 0o600


@AS_ROOT
def test_a_hard_link_that_is_removed_meanwhile_is_not_given_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has one name left when it is counted: that of root's file."""
    secret, logs = tmp_path / "secret", tmp_path / "storage/logs"
    secret.touch(mode=0o600)
    logs.mkdir(parents=True)
    (logs / "hard").hardlink_to(secret)
    fstat = os.fstat

    def after_its_removal(fd: int) -> os.stat_result:
        if (logs / "hard").exists() and fstat(fd).st_ino == secret.stat().st_ino:
            (logs / "hard").unlink()
            (logs / "hard").touch()
        return fstat(fd)

    monkeypatch.setattr("cbox_init.php.permissions.os.fstat", after_its_removal)
    found = setup(tmp_path)
    assert owner_of(secret) == (0, 0)
    assert "hard link" in found.problems[0][1]


@AS_ROOT
def test_where_links_are_not_protected_no_file_is_given_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sysctl = tmp_path / "protected_hardlinks"
    sysctl.write_text("0\n")
    monkeypatch.setattr("cbox_init.php.permissions._PROTECTED_LINKS", str(sysctl))
    file = tmp_path / "storage/logs/file"
    file.parent.mkdir(parents=True)
    file.touch()
    ((path, why),) = setup(tmp_path).problems
    assert (path, owner_of(file)) == ("storage/logs/file", (0, 0))
    assert "fs.protected_hardlinks is 0" in why
    assert owner_of(file.parent) == (OWNER.uid, OWNER.gid)


@AS_ROOT
def test_root_without_the_capability_says_so_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "storage/logs").mkdir(parents=True)
    for number in range(20):
        (tmp_path / f"storage/logs/{number}").touch()

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr("cbox_init.php.permissions.os.fchown", refuse)
    monkeypatch.setattr("cbox_init.php.permissions.os.chown", refuse)
    ((_, why),) = setup(tmp_path).problems
    assert "CHOWN" in why


@AS_ROOT
def test_a_working_directory_behind_another_users_link(public_path: Path) -> None:
    (public_path / "real").mkdir()
    (public_path / "link").symlink_to(public_path / "real")
    os.lchown(public_path / "link", 4321, 4322)
    found = setup(public_path / "link")
    assert [path for path, _ in found.problems] == [str(public_path / "link")]
    assert list((public_path / "real").iterdir()) == []


@AS_ROOT
def test_a_setuid_bit_does_not_go_to_the_new_owner(tmp_path: Path) -> None:
    (tmp_path / "storage/logs").mkdir(parents=True)
    program = tmp_path / "storage/logs/program"
    program.touch()
    program.chmod(0o4755)
    setup(tmp_path)
    assert program.stat().st_mode & 0o7777 == 0o755


@AS_ROOT
def test_a_huge_tree_ends_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logs = tmp_path / "storage/logs"
    logs.mkdir(parents=True)
    for number in range(50):
        (logs / str(number)).touch()
    real, calls = time.monotonic, [0]

    def clock() -> float:  # a file takes a second
        calls[0] += 1
        return real() + calls[0]

    monkeypatch.setattr("cbox_init.php.permissions.time.monotonic", clock)
    found = setup(tmp_path)
    assert found.unfinished
    assert 0 < found.changed < 50
    for directory in LARAVEL.directories:
        assert owner_of(tmp_path / directory) == (4321, 4322), "directories come first"


def test_without_root_directories_are_made_and_nothing_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cbox_init.php.permissions.os.geteuid", lambda: 1000)
    found = setup(tmp_path)
    assert (found.made, found.changed, found.problems) == (8, 0, ())
    assert owner_of(tmp_path / "storage/logs") == (os.getuid(), os.getgid())


def test_a_directory_that_does_not_exist(tmp_path: Path) -> None:
    found = setup(tmp_path / "none")
    assert found.problems == ((str(tmp_path / "none"), "No such file or directory"),)


Said = list[tuple[str, dict[str, object]]]


@pytest.fixture
def prepared(tmp_path: Path) -> Callable[..., Said]:
    def call(environ: dict[str, str], is_ending: Callable[[], bool] = lambda: False) -> Said:
        said: Said = []

        def log(message: str, **fields: object) -> None:
            said.append((message, fields))

        prepare(str(tmp_path), environ, info=log, warn=log, is_ending=is_ending)
        return said

    return call


def test_what_is_said(tmp_path: Path, prepared: Callable[..., Said]) -> None:
    assert prepared({}) == []
    (tmp_path / "artisan").touch()
    ((message, fields),) = prepared({"CBOX_INIT_READ_ONLY_ROOT": "yes"})
    assert message == "Directories of the application are left alone"
    assert fields == {"application": "laravel", "reason": "CBOX_INIT_READ_ONLY_ROOT is set"}
    ids = {"PUID": str(os.getuid()), "PGID": str(os.getgid())}
    ((message, fields),) = prepared(ids)
    assert message == "Directories of the application are prepared"
    assert (fields["made"], fields["owner"]) == (8, f"{ids['PUID']}:{ids['PGID']} (PUID and PGID)")
    (tmp_path / "storage/logs").rmdir()
    (tmp_path / "storage/logs").symlink_to("/tmp")
    (problem, _) = prepared(ids)
    assert problem[1] == {
        "path": str(tmp_path / "storage/logs"),
        "reason": "it is a symbolic link, or no directory",
    }


def test_a_stop_does_not_wait_for_it(
    tmp_path: Path, prepared: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "artisan").touch()
    may_end = threading.Event()
    monkeypatch.setattr(PermissionSetup, "run", lambda self: may_end.wait(20))
    began = time.monotonic()
    prepared({}, lambda: True)
    assert time.monotonic() - began < 10
    may_end.set()
