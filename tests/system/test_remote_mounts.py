"""Mounts whose server may not answer."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from cbox_init.system import remote_mounts as module
from cbox_init.system.remote_mounts import RemoteMount, RemoteMounts, remote_mounts
from cbox_init.system.spawn_request import SpawnRequest
from tests.system.helpers import until

if TYPE_CHECKING:
    from pathlib import Path

LISTED = rb"""
22 1 0:20 / / rw - 9p none rw,trans=virtio
36 22 0:33 / /data rw,relatime shared:1 - nfs4 host:/export rw
37 22 0:34 / /with\040blank rw - fuse.sshfs host: rw
38 22 8:1 / /local rw - ext4 /dev/sda1 rw
39 22 0:35 / /home rw,nosuid - autofs systemd-1 rw
broken
"""


def request(*argv: str, cwd: str | None = None, path: str = "/bin") -> SpawnRequest:
    return SpawnRequest(argv, {"PATH": path}, cwd, None, 1, 2)


def test_which_are_remote() -> None:
    assert list(remote_mounts(LISTED)) == [
        RemoteMount("/data", "nfs4"),
        RemoteMount("/with blank", "fuse.sshfs"),
    ]


class Server:
    """Everything below ``place`` answers when ``answers`` is set."""

    def __init__(self, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers = threading.Event()
        self.asked: list[str] = []
        self._place = place
        listed = f"36 22 0:33 / {place} rw - nfs4 host:/ rw\n".encode()
        monkeypatch.setattr(module, "read_bytes", lambda path: listed)
        monkeypatch.setattr(os.path, "exists", self._exists)
        monkeypatch.setattr(module, "_WAITS_S", 0.05)

    def _exists(self, path: str) -> bool:
        if path.startswith(self._place):
            self.asked.append(path)
            assert self.answers.wait(20)
        return True


@pytest.mark.parametrize(
    ("what", "asked"),
    [
        (request("/remote/bin/app"), "/remote/bin/app"),
        (request("./app", cwd="/remote/app"), "/remote/app"),
        (request("../remote/app", cwd="/tmp"), "/remote/app"),
        (request("app", path="/bin:/remote/bin:relative"), "/remote/bin/app"),
        (request("/bin/app"), None),
        (request("/remoteness/app"), None),
        (request("app", cwd="/tmp"), None),
    ],
)
def test_what_is_asked(monkeypatch: pytest.MonkeyPatch, what: SpawnRequest, asked: str | None) -> None:
    server = Server("/remote", monkeypatch)
    found = RemoteMounts().silent_one(what)
    assert found == (RemoteMount("/remote", "nfs4") if asked else None)
    assert server.asked == ([asked] if asked else [])
    server.answers.set()


def test_one_that_is_silent_has_one_thread_until_it_answers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server = Server(str(tmp_path), monkeypatch)
    mounts, what = RemoteMounts(), request(f"{tmp_path}/app")
    for _ in range(20):
        assert mounts.silent_one(what) is not None
    assert len(server.asked) == 1
    server.answers.set()
    until(lambda: mounts.silent_one(what) is None)
