"""Log directories as images and clusters have them, under the rules for files of other users."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import pytest

from tests.attacker import NOBODY, owned_by
from tests.e2e.daemon import DaemonProcess, as_user, wait_for
from tests.system.helpers import as_root

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Serve

BEATS: Final = """
global: {api_socket: SOCKET}
processes:
  app:
    command: [sh, -c, 'i=0; while :; do i=$((i+1)); echo beat $i; sleep 0.02; done']
    USER
    logging:
      outputs:
        own: {path: PATH, format: text, rotate: {max_size: 1k, max_files: 2, compress: true}}
"""
_AS_NOBODY: Final = ('user: "65534"', "")


def _beats(path: Path, user: str = _AS_NOBODY[0]) -> str:
    return BEATS.replace("PATH", str(path)).replace("USER", user)


def _text(path: Path) -> str:
    """What is in a file; nothing while it is rotated."""
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def _write_and_rotate(serve: Serve, path: Path, user: str = _AS_NOBODY[0]) -> str:
    """Write to a file until it was rotated; gives what the daemon says about it."""
    daemon = serve(_beats(path, user))
    wait_for(lambda: path.with_name(path.name + ".2.gz").exists(), f"{path} is rotated and compressed")
    wait_for(lambda: "beat" in _text(path), f"{path} is written again")
    daemon.stop()
    return daemon.output() + daemon.errors()


@as_root
@pytest.mark.parametrize("user", _AS_NOBODY)
def test_a_directory_and_a_file_of_the_application(serve: Serve, theirs: Path, user: str) -> None:
    (theirs / "app.log").write_text("before\n")
    os.chown(theirs / "app.log", NOBODY, NOBODY)
    assert '"level":"ERROR"' not in _write_and_rotate(serve, theirs / "app.log", user)


@as_root
@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o2777])
def test_a_directory_for_everyone(serve: Serve, public_path: Path, mode: int) -> None:
    """An emptyDir of Kubernetes has the mode 0777, with ``fsGroup`` 2777; /tmp has 1777."""
    volume = public_path / "volume"
    volume.mkdir()
    volume.chmod(mode)
    (volume / "app.log").write_text("of an earlier run\n")
    if not mode & 0o1000:  # there a file of another user is refused: see tests/test_safe_paths.py
        os.chown(volume / "app.log", NOBODY, NOBODY)
    assert '"level":"ERROR"' not in _write_and_rotate(serve, volume / "app.log")


@as_root
@pytest.mark.parametrize("owner", [0, NOBODY])
def test_a_log_that_is_a_link_to_the_output_of_the_container(
    serve: Serve, public_path: Path, owner: int
) -> None:
    """As the images of nginx have them: links of root, perhaps in a directory of the application."""
    logs = owned_by(public_path / "nginx", owner)
    (logs / "access.log").symlink_to("/dev/stdout")
    daemon = serve(_beats(logs / "access.log"))
    wait_for(lambda: 'msg="beat 30"' in daemon.output(), "records are on standard output")
    assert os.readlink(logs / "access.log") == "/dev/stdout"
    daemon.stop()


@as_root
def test_a_random_user_in_directories_of_group_0(public_path: Path) -> None:
    """OpenShift runs containers as any uid, with group 0 and directories that group 0 can write to."""
    logs = public_path / "logs"
    logs.mkdir()
    logs.chmod(0o775)
    public_path.chmod(0o775)
    daemon = DaemonProcess(public_path, _beats(logs / "app.log", ""), command=as_user(1000660000, 0))
    try:
        wait_for((logs / "app.log.2.gz").exists, "it is rotated and compressed")
        assert (logs / "app.log.2.gz").stat().st_uid == 1000660000
        daemon.stop()
        assert '"level":"ERROR"' not in daemon.output() + daemon.errors()
    finally:
        daemon.end()


@as_root
@pytest.mark.parametrize("user", _AS_NOBODY)
def test_a_followed_log_of_the_application(serve: Serve, theirs: Path, user: str) -> None:
    """As of Laravel: storage/logs with the mode 0775, and laravel.log with 0644."""
    (theirs / "storage").mkdir()
    logs = theirs / "storage/logs"
    logs.mkdir()
    log = logs / "laravel.log"
    log.write_text("before\n")
    for one in (logs.parent, logs, log):
        os.chown(one, NOBODY, NOBODY)
        one.chmod(0o644 if one is log else 0o775)
    daemon = serve(
        "global: {api_socket: SOCKET}\n"
        f"processes: {{app: {{command: [sleep, '1000'], {user or 'scale: 1'}, logging: {{files: {{"
        f"laravel: {{path: {log}}}, daily: {{path: '{logs}/laravel-*.log'}}}}}}}}}}"
    )
    daemon.until_said("All processes started successfully")
    with log.open("a") as file:
        file.write("of laravel\n")
    daemon.until_said("of laravel")
    daily = logs / "laravel-2026-01-31.log"
    daily.write_text("of the day\n")
    os.chown(daily, NOBODY, NOBODY)
    daemon.until_said("of the day")
    daemon.stop()
    assert '"level":"ERROR"' not in daemon.output() + daemon.errors()
