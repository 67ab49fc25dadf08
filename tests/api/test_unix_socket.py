"""Where the Unix socket is put, and whose it stays."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from cbox_init.api.unix_socket import USUAL_PATHS, NoPlaceError, bind_unix
from cbox_init.client.address import USUAL_SOCKETS
from cbox_init.errors import ListenError
from tests.attacker import NOBODY, Swapper, untouched
from tests.system.helpers import as_root

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ANOTHER = "stop it, or set global.api_socket to another path"


@pytest.fixture
def folder() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="cbox") as name:
        yield name


def dead_socket(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(path)
        left.listen()


def answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) == 0


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_mode_is_0660_whatever_the_umask(folder: str, umask: int) -> None:
    before = os.umask(umask)
    try:
        made = bind_unix(f"{folder}/s", 5)
        assert os.umask(umask) == umask
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(made.path).st_mode) == 0o660
    assert answers(made.path)
    made.close()
    assert os.listdir(folder) == []


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666])
def test_mode_and_group_as_configured(folder: str, mode: int) -> None:
    gid = os.getgid()
    made = bind_unix(f"{folder}/s", 5, mode=mode, group=str(gid))
    found = os.stat(made.path)
    assert (stat.S_IMODE(found.st_mode), found.st_gid) == (mode, gid)
    made.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a file to any group")
def test_another_group(folder: str) -> None:
    made = bind_unix(f"{folder}/s", 5, group="54321")
    assert os.stat(made.path).st_gid == 54321
    made.close()


@pytest.mark.parametrize("group", ["no-such-group", "99999999999", "4294967295000"])
def test_a_group_that_does_not_exist_is_one_line(folder: str, group: str) -> None:
    with pytest.raises(ListenError, match=r"no group .*; create it, or correct global.api_socket_group"):
        bind_unix(f"{folder}/s", 5, group=group)
    assert os.listdir(folder) == []


def test_it_is_never_open_to_others(folder: str) -> None:
    """Not even for a moment: what is created has its mode at once."""
    trace = subprocess.run(
        [sys.executable, "-c", PROBE, f"{folder}/s"], capture_output=True, text=True, check=True
    )
    assert trace.stdout.split() == ["0o660"]


PROBE = """
import os, stat, sys
from cbox_init.api.unix_socket import bind_unix
modes = set()
def hook(event, arguments):
    if event.startswith(("os.", "socket.")) and os.path.exists(sys.argv[1]):
        modes.add(oct(stat.S_IMODE(os.lstat(sys.argv[1]).st_mode)))
made = None
sys.addaudithook(hook)
made = bind_unix(sys.argv[1], 5)
os.listdir("/")
print(*modes)
"""


@as_root
def test_a_folder_that_is_a_link_of_another_user_is_refused(theirs: Path, public_path: Path) -> None:
    ours = public_path / "ours"
    ours.mkdir()
    (theirs / "run").symlink_to(ours)
    os.lchown(theirs / "run", NOBODY, NOBODY)
    with pytest.raises(ListenError, match="uid 65534 made this link: "):
        bind_unix(f"{theirs}/run/s", 5)
    assert os.listdir(ours) == []


@as_root
def test_a_link_at_its_path_is_left_alone(theirs: Path, secret: Path) -> None:
    (theirs / "s").symlink_to(secret)
    os.lchown(theirs / "s", NOBODY, NOBODY)
    with pytest.raises(ListenError, match="this is not a socket"):
        bind_unix(f"{theirs}/s", 5)
    assert untouched(secret)


def test_links_of_ours_are_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    bound = bind_unix(f"{tmp_path}/link/s", 5)
    assert answers(f"{tmp_path}/real/s")
    bound.close()
    assert os.listdir(tmp_path / "real") == []


@as_root
@pytest.mark.parametrize("folder_is_swapped", [True, False])
def test_what_is_swapped_while_a_socket_is_opened_and_closed_leads_nowhere_else(
    theirs: Path, public_path: Path, secret: Path, *, folder_is_swapped: bool
) -> None:
    ours = public_path / "ours"
    ours.mkdir()
    (theirs / "run").mkdir()
    os.chown(theirs / "run", NOBODY, NOBODY)
    path = theirs / "run" / "s"
    bound = 0
    swapped, target = (theirs / "run", ours) if folder_is_swapped else (path, secret)
    with Swapper(swapped, target, directory=folder_is_swapped) as swapper:
        while swapper.turns < 1000 or (folder_is_swapped and not bound):
            swapper.check()
            with suppress(ListenError):
                bind_unix(str(path), 5, group=str(NOBODY)).close()
                bound += 1
    assert os.listdir(ours) == []
    assert untouched(secret)


@as_root
@pytest.mark.parametrize("hard", [True, False])
def test_what_took_the_place_of_a_socket_is_not_given_to_the_group(
    theirs: Path, secret: Path, monkeypatch: pytest.MonkeyPatch, *, hard: bool
) -> None:
    listen = socket.socket.bind

    def bind_and_swap(self: socket.socket, address: str) -> None:
        listen(self, address)
        (theirs / "s").unlink()
        if hard:
            (theirs / "s").hardlink_to(secret)
        else:
            (theirs / "s").symlink_to(secret)

    monkeypatch.setattr(socket.socket, "bind", bind_and_swap)
    with pytest.raises(ListenError, match="it was replaced while it was made"):
        bind_unix(f"{theirs}/s", 5, group=str(NOBODY))
    assert (secret.stat().st_gid, untouched(secret)) == (0, True)


def test_dead_socket_is_replaced(folder: str) -> None:
    dead_socket(f"{folder}/s")
    made = bind_unix(f"{folder}/s", 5)
    assert answers(made.path)
    made.close()


def test_live_socket_is_not_stolen(folder: str) -> None:
    first = bind_unix(f"{folder}/s", 5)
    with pytest.raises(
        ListenError, match=f"process {os.getpid()} listens there; stop it, or set global.api_socket"
    ):
        bind_unix(f"{folder}/s", 5)
    assert answers(first.path)
    first.close()


def test_live_socket_with_a_full_queue_is_not_stolen(folder: str) -> None:
    first = bind_unix(f"{folder}/s", 0)
    waiting = []
    for _ in range(2):
        waiting.append(socket.socket(socket.AF_UNIX))
        waiting[-1].setblocking(False)
        waiting[-1].connect_ex(first.path)
    with pytest.raises(ListenError, match="listens there"):
        bind_unix(first.path, 5)
    for connection in waiting:
        connection.close()
    first.close()


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_is_no_socket_is_left_alone(folder: str, kind: str) -> None:
    path = f"{folder}/s"
    if kind == "file":
        with open(path, "w") as file:
            file.write("precious")
    elif kind == "folder":
        os.mkdir(path)
    else:
        os.symlink(f"{folder}/elsewhere", path)
    with pytest.raises(ListenError, match="this is not a socket; remove it"):
        bind_unix(path, 5)
    assert os.listdir(folder) == ["s"]


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("{}/missing/s", "No such file or directory"),
        ("{}/" + "x" * 108, "longer than 107 bytes"),
        ("{}/\0", "this is not a path"),
        ("/proc/s", "cannot listen on /proc/s"),
        ("", "this is not a path"),
        ("{}/\ud800", "this is not a path"),
        ("{}/\udcff" + "x" * 108, "longer than 107 bytes"),
        ("{}/a\nb/s", "No such file or directory"),
    ],
)
def test_a_path_that_cannot_be_had(folder: str, path: str, problem: str) -> None:
    with pytest.raises(ListenError, match=r"set global\.api_socket to another path") as caught:
        bind_unix(path.format(folder), 5)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_path_of_107_bytes_fits(folder: str) -> None:
    path = f"{folder}/".ljust(107, "x")
    made = bind_unix(path, 5)
    assert answers(path)
    made.close()


def test_usual_places_in_their_order(folder: str) -> None:
    places = (f"{folder}/missing/s", f"{folder}/one", f"{folder}/two")
    made = bind_unix(None, 5, places)
    assert made.path == f"{folder}/one"
    made.close()


def test_a_live_daemon_in_a_usual_place_is_no_reason_to_go_on(folder: str) -> None:
    first = bind_unix(f"{folder}/one", 5)
    with pytest.raises(ListenError, match="listens there"):
        bind_unix(None, 5, (f"{folder}/one", f"{folder}/two"))
    first.close()


def test_a_live_daemon_in_shared_memory_is_a_reason_to_go_on() -> None:
    with tempfile.TemporaryDirectory(prefix="cbox", dir="/dev/shm") as shared:
        first = bind_unix(f"{shared}/one", 5)
        with pytest.raises(NoPlaceError, match=f"one: process {os.getpid()} listens there"):
            bind_unix(None, 5, (f"{shared}/missing/s", f"{shared}/one"))
        first.close()


def test_clients_look_in_each_usual_place() -> None:
    assert set(USUAL_PATHS) <= set(USUAL_SOCKETS)


def test_no_usual_place_can_be_had(folder: str) -> None:
    with pytest.raises(ListenError, match="cannot listen on any usual socket"):
        bind_unix(None, 5, (f"{folder}/missing/s", "/proc/s"))


def test_closing_leaves_the_socket_of_another_alone(folder: str) -> None:
    first = bind_unix(f"{folder}/s", 5)
    os.unlink(first.path)
    second = bind_unix(f"{folder}/s", 5)
    first.close()
    assert answers(second.path)
    second.close()


def test_closing_when_the_folder_is_gone(folder: str) -> None:
    os.mkdir(f"{folder}/sub")
    made = bind_unix(f"{folder}/sub/s", 5)
    os.unlink(made.path)
    os.rmdir(f"{folder}/sub")
    made.close()


def test_of_two_daemons_one_takes_a_dead_socket(folder: str) -> None:
    """The other waits until the first listens, and does not take its new socket for the dead one."""
    path = f"{folder}/s"
    dead_socket(path)
    lock = os.open(folder, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    problems: list[str] = []

    def second() -> None:
        try:
            bind_unix(path, 5).close()
        except ListenError as error:
            problems.append(str(error))

    thread = threading.Thread(target=second)
    thread.start()
    os.unlink(path)
    with socket.socket(socket.AF_UNIX) as first:
        first.bind(path)
        first.listen()
        os.close(lock)
        thread.join()
        assert answers(path)
    assert problems == [f"cannot listen on {path}: process {os.getpid()} listens there; {ANOTHER}"]


def test_a_folder_that_somebody_keeps_locked_is_no_obstacle(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cbox_init.api.unix_socket.LOCK_TAKES_S", 0.02)
    lock = os.open(folder, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    dead_socket(f"{folder}/s")
    made = bind_unix(f"{folder}/s", 5)
    assert answers(made.path)
    made.close()
    os.close(lock)
