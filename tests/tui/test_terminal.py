"""The command in a real terminal, tmux, at a small and a large size."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.e2e.daemon import DaemonProcess, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONFIG = """
global: {api_socket: SOCKET}
processes:
  web: {command: [sh, -c, 'echo hello from web; exec sleep 1000'], scale: 2}
  日本語: {command: [sleep, '1000']}
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[DaemonProcess]:
    process = DaemonProcess(tmp_path, CONFIG)
    process.until_said("All processes started successfully")
    yield process
    process.end()


class Tmux:
    """One pane of a server of its own."""

    def __init__(self, folder: Path) -> None:
        self._base = ["tmux", "-S", str(folder / "tmux"), "-f", "/dev/null"]

    def __call__(self, *words: str) -> str:
        env = {**os.environ, "LC_ALL": "C.UTF-8"}
        done = subprocess.run([*self._base, *words], capture_output=True, text=True, timeout=20, env=env)
        return done.stdout

    def shows(self, text: str) -> None:
        try:
            wait_for(lambda: text in self("capture-pane", "-p"))
        except AssertionError:
            raise AssertionError(f"{text!r} in {self('capture-pane', '-p')}") from None


def test_in_a_terminal(daemon: DaemonProcess, tmp_path: Path) -> None:
    tmux = Tmux(tmp_path)
    command = [sys.executable, "-m", "cbox_init", "tui", "--socket", str(daemon.socket)]
    ended = tmp_path / "ended"
    line = f"{shlex.join(command)}; echo $? > {shlex.quote(str(ended))}; exec sleep 1000"
    tmux("-u", "new-session", "-d", "-x", "80", "-y", "24", line)
    try:
        tmux.shows("日本語")
        screen = tmux("capture-pane", "-p").splitlines()
        assert "1 Processes" in screen[0]
        assert "q Quit" in screen[23]
        assert "WHY" not in screen[2]
        tmux("resize-window", "-x", "200", "-y", "60")
        tmux.shows("WHY")
        assert "q Quit" in tmux("capture-pane", "-p").splitlines()[59]
        tmux("send-keys", "Enter")
        tmux.shows("hello from web")
        tmux("send-keys", "q")
        wait_for(ended.exists, "q ends it")
        wait_for(lambda: ended.read_text() == "0\n", "its exit code")
        wait_for(lambda: tmux("display", "-p", "#{alternate_on}") == "0\n", "the screen is given back")
    finally:
        tmux("kill-server")


def test_without_a_terminal(daemon: DaemonProcess) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cbox_init", "tui", "--socket", str(daemon.socket)],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 1
    assert done.stderr == "cbox-init: this command needs a terminal; use `cbox-init list` in scripts\n"


def test_without_the_extra() -> None:
    """One line says how to install it; no other command needs it."""
    script = """
import sys
class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("textual", "rich"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, NotInstalled())
for stream in (sys.stdin, sys.stdout, sys.stderr):
    stream.isatty = lambda: True
from cbox_init.cli.app import run
sys.exit(run(["tui"]))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert done.stderr == "cbox-init: this command needs Textual: pip install 'cbox-init[tui]'\n"
