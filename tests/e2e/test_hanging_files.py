"""A file system that never answers, under what the daemon writes and reads while it runs."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from cbox_init.client import Client
from tests.e2e.daemon import DaemonProcess, wait_for
from tests.hanging_files import never_answers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.hanging_files

CONFIG = """
global:
  api_socket: SOCKET
  shutdown_timeout: 10s
  readiness: {enabled: true, path: DIR/hangs/ready, processes: [web, other]}
processes:
  web:
    command: [sleep, "1000"]
    logging:
      files: {app: {path: DIR/hangs/app.log}, days: {path: "DIR/hangs/day-*.log"}, ok: {path: DIR/ok.log}}
      outputs: {file: {path: DIR/hangs/out.log}}
  other: {command: [sleep, "1000"]}
  there: {command: [DIR/hangs/app]}
  inside: {command: [sleep, "1000"], working_dir: DIR/hangs}
"""


@pytest.fixture
def hangs(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "hangs"
    folder.mkdir()
    with never_answers(folder):
        yield folder


def longest_turn_s(client: Client) -> float:
    return client.daemon().loop.lag_max_ms / 1000


def reason(client: Client, name: str) -> str:
    (instance,) = client.status(name).instances
    return instance.reason or ""


def test_the_daemon_starts_answers_and_ends(tmp_path: Path, hangs: Path) -> None:
    (tmp_path / "ok.log").touch()
    daemon = DaemonProcess(tmp_path, CONFIG)
    try:
        daemon.until_said("Container is ready")
        with Client.connect(socket=str(daemon.socket)) as client:
            wait_for(lambda: client.status("web").state == "running")
            for name in ("there", "inside"):
                wait_for(lambda name=name: "(fuse) does not answer" in reason(client, name))  # type: ignore[misc]
            with (tmp_path / "ok.log").open("a") as file:
                file.write("one\n")
            wait_for(lambda: "one" in daemon.lines("web"))
            text = daemon.config.read_text().replace("day-", "date-").replace("out.log", "2.log")
            daemon.config.write_text(text)
            daemon.signal(signal.SIGHUP)
            daemon.until_said("Configuration reloaded")
            client.restart("other")
            assert daemon.messages().count("Log files are not followed yet") >= 1
            assert longest_turn_s(client) < 2
        began = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - began < 9
    finally:
        daemon.end()
    assert os.listdir(tmp_path).count("hangs") == 1
