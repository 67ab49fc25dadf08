"""A daemon that is root, and an application that leads each of its files to one of root."""

from __future__ import annotations

import os
import signal
import socket
import stat
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from tests.attacker import Swapper, untouched
from tests.e2e.daemon import wait_for
from tests.files import status
from tests.system.helpers import as_root

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Serve

CONFIG: Final = """
global:
  api_socket: THEIRS/run/api.sock
  readiness: {enabled: true, path: THEIRS/run/ready}
processes:
  app:
    command: |
      i=0
      while :; do i=$((i+1)); echo beat $i; echo seen $i >> THEIRS/app.log || :; sleep 0.02; done
    user: "65534"
    restart: never
    logging:
      outputs:
        own: {path: THEIRS/out.log, rotate: {max_size: 1k, max_files: 3, compress: true}}
      files:
        app: {path: THEIRS/app.log, rotate: {max_size: 1k, max_files: 3, compress: true}}
        all: {path: 'THEIRS/laravel-*.log'}
"""


def _lines_by_api(path: Path) -> str:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b"GET /api/v1/processes/app/logs?limit=1000 HTTP/1.0\r\nHost: x\r\n\r\n")
        with client.makefile("rb") as answer:
            return answer.read().decode()


def _owner(path: Path) -> int | None:
    """The uid of a regular file; None where there is none, as in a rotation."""
    found = status(path)
    return found.st_uid if found is not None and stat.S_ISREG(found.st_mode) else None


@as_root
def test_all_that_a_daemon_writes_and_reads_is_swapped_all_the_time(
    serve: Serve, theirs: Path, public_path: Path, secret: Path
) -> None:
    ours = public_path / "ours"
    ours.mkdir()
    (ours / "ready").write_text("root's\n")
    before = (ours / "ready").stat()
    (theirs / "run").mkdir()
    os.chown(theirs / "run", 65534, 65534)
    (theirs / "app.log").touch()
    os.chown(theirs / "app.log", 65534, 65534)
    daemon = serve(CONFIG.replace("THEIRS", str(theirs)))
    daemon.until_said("beat 1")
    places = {
        "out.log": secret,
        "out.log.1": secret,
        "out.log.1.gz.tmp": secret,
        "app.log": secret,
        "app.log.1": secret,
        "laravel-1.log": secret,
        "run": ours,
    }
    for name, target in places.items():
        with ExitStack() as attack:
            swapper = attack.enter_context(Swapper(theirs / name, target, directory=target is ours))
            while swapper.turns < 300:
                swapper.check()
                daemon.signal(signal.SIGUSR1)  # open again what is open
                time.sleep(0.002)
    beats = len(daemon.lines("app"))
    wait_for(lambda: len(daemon.lines("app")) > beats + 5, "the application goes on")
    for name in ("app.log", "out.log"):
        (theirs / name).unlink(missing_ok=True)
    wait_for(lambda: _owner(theirs / "out.log") == 0, "it heals")
    daemon.stop()
    starts = [one for one in daemon.records() if one["msg"] == "Process instance started"]
    assert len(starts) == 1
    assert "root's" not in daemon.output()
    assert untouched(secret)
    assert (ours / "ready").read_text() == "root's\n"
    assert (ours / "ready").stat().st_ino == before.st_ino
    assert os.listdir(ours) == ["ready"]
    assert "Traceback" not in daemon.output() + daemon.errors()


@as_root
def test_the_api_does_not_show_a_file_that_only_root_may_read(
    serve: Serve, theirs: Path, public_path: Path, secret: Path
) -> None:
    (theirs / "app.log").touch()
    os.chown(theirs / "app.log", 65534, 65534)
    text = CONFIG.replace("THEIRS/run", str(public_path)).replace("THEIRS", str(theirs))
    daemon = serve(text.replace(f" >> {theirs}/app.log || :", ""))
    daemon.until_said("beat 1")
    with (theirs / "app.log").open("a") as file:
        file.write("its own\n")
    daemon.until_said("its own")
    (theirs / "new").symlink_to(secret)
    os.lchown(theirs / "new", 65534, 65534)
    (theirs / "new").rename(theirs / "app.log")
    daemon.until_said("Log file cannot be followed")
    shown = _lines_by_api(public_path / "api.sock")
    assert "its own" in shown
    assert "root's" not in shown
    assert "root's" not in daemon.output()
