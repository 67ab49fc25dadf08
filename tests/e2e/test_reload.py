"""SIGHUP, reload-config and --watch against the command as installed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from itertools import count
from typing import TYPE_CHECKING

import pytest

from cbox_init.client import Client
from tests.e2e.daemon import COMMAND, DaemonProcess, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Serve

TEXT = """
global: {{api_socket: SOCKET}}
processes:
  web: {{command: [sh, -c, "echo web $$; exec sleep 1000"]}}
  job: {{command: [sh, -c, "echo {0}; exec sleep 1000"]}}
"""


def cbox(daemon: DaemonProcess, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "CBOX_INIT_API_SOCKET": str(daemon.socket)}
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, env=env, timeout=30)


def write(daemon: DaemonProcess, text: str) -> None:
    daemon.config.write_text(text.replace("SOCKET", str(daemon.socket)))


def replace(daemon: DaemonProcess, text: str) -> None:
    """As an editor does: another file takes the name."""
    new = daemon.config.with_suffix(".swp")
    new.write_text(text.replace("SOCKET", str(daemon.socket)))
    new.rename(daemon.config)


def until_job_said(daemon: DaemonProcess, text: str) -> None:
    wait_for(lambda: text in daemon.lines("job"), f"{text} in {daemon.output()} {daemon.errors()}")


def test_sighup(serve: Serve) -> None:
    daemon = serve(TEXT.format("one"))
    until_job_said(daemon, "one")
    write(daemon, TEXT.format("two"))
    daemon.signal(signal.SIGHUP)
    until_job_said(daemon, "two")
    (record,) = (r for r in daemon.records() if r["msg"] == "Configuration reloaded")
    assert (record["changed"], record["kept"]) == ("job", 1)
    assert len(daemon.lines("web")) == 1
    write(daemon, TEXT.format("three") + "  bad: {command: []}\n  worse: {command: a, scale: x}\n")
    daemon.signal(signal.SIGHUP)
    daemon.until_said("Configuration was not reloaded, the old one stays")
    assert daemon.lines("job") == ["one", "two"]
    assert daemon.stop() == 0


def test_sighup_while_it_starts(serve: Serve) -> None:
    daemon = serve(TEXT.format("one"))
    wait_for(lambda: daemon.output() or daemon.process.poll() is not None, "its first message")
    for _ in range(20):
        daemon.signal(signal.SIGHUP)
    daemon.until_said("Configuration reloaded")
    wait_for(lambda: daemon.lines("web") and daemon.lines("job"), "its children")
    assert daemon.stop() == 0
    assert "Unexpected" not in daemon.output()


def test_sighup_while_it_ends(serve: Serve) -> None:
    daemon = serve(TEXT.format("one").replace("exec sleep 1000", "trap 'sleep 0.5' TERM; sleep 1000 & wait"))
    until_job_said(daemon, "one")
    daemon.signal(signal.SIGTERM)
    daemon.until_said("Shutting down")
    daemon.signal(signal.SIGHUP)
    assert daemon.wait() == 0
    assert "Configuration reloaded" not in daemon.messages()


def test_reload_config(serve: Serve) -> None:
    daemon = serve(TEXT.format("one"))
    until_job_said(daemon, "one")
    text = TEXT.format("two").replace("{{api", "{{log_format: text, api").replace("  web:", "  new:")
    write(daemon, text.replace("{api_socket", "{log_format: text, api_socket"))
    shown = "added:    new\nchanged:  job\nremoved:  web\nkept:     0\n"
    shown += "needs a restart of the daemon: global.log_format\n"
    done = cbox(daemon, "reload-config", "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{shown}\n--- in force\n")
    assert "Configuration reloaded" not in daemon.messages()
    assert cbox(daemon, "reload-config").stdout == shown
    until_job_said(daemon, "two")
    reply = json.loads(cbox(daemon, "reload-config", "--json").stdout)
    assert (reply["status"], reply["kept"]) == ("reloaded", ["new", "job"])


def test_reload_config_with_a_bad_file(serve: Serve) -> None:
    daemon = serve(TEXT.format("one"))
    until_job_said(daemon, "one")
    write(daemon, "processes:\n  a: {command: []}\n  b: {command: x, scale: y}\n")
    done = cbox(daemon, "reload-config")
    assert (done.returncode, done.stdout) == (1, "")
    first, second = done.stderr.splitlines()
    assert first.startswith("cbox-init: the daemon keeps its configuration: line 2: processes.a.command: ")
    assert second.startswith("cbox-init: and line 3: processes.b.scale: ")


@pytest.fixture
def watched(serve: Serve, request: pytest.FixtureRequest) -> DaemonProcess:
    daemon = serve(TEXT.format("one"), options=("--watch",))
    daemon.until_said("Watching the configuration")
    until_job_said(daemon, "one")
    return daemon


def test_watch(watched: DaemonProcess) -> None:
    write(watched, TEXT.format("written"))
    until_job_said(watched, "written")
    replace(watched, TEXT.format("replaced"))
    until_job_said(watched, "replaced")
    replace(watched, "processes: [half")
    watched.until_said("Configuration was not reloaded, the old one stays")
    watched.config.unlink()
    watched.until_said("Configuration was not reloaded, the old one stays", times=2)
    replace(watched, TEXT.format("back"))
    until_job_said(watched, "back")
    assert len(watched.lines("web")) == 1
    assert watched.stop() == 0
    assert watched.errors() == ""


def test_watch_of_a_file_that_an_edit_has_named(watched: DaemonProcess, tmp_path: Path) -> None:
    file = tmp_path / "app.env"
    file.write_text("TURN=0\n")
    command = ["sh", "-c", "echo turn $TURN; exec sleep 1000"]
    with Client.connect(socket=str(watched.socket)) as client:
        client.add_process("edited", {"command": command, "env_file": [str(file)]})
    wait_for(lambda: watched.lines("edited") == ["turn 0"])
    turns = count(1)

    def reloaded() -> bool:
        """It may be written before it is watched."""
        file.write_text(f"TURN={next(turns)}\n")
        return "Configuration reloaded" in watched.messages()

    wait_for(reloaded)


def test_watch_of_a_config_map(serve: Serve, tmp_path: Path) -> None:
    """A name that leads through a link to a directory, which is replaced (Kubernetes)."""
    volume = tmp_path / "volume"
    for name, word in (("..1", "one"), ("..2", "two"), ("..3", "three")):
        (volume / name).mkdir(parents=True)
        (volume / name / "c.yaml").write_text(TEXT.format(word).replace("SOCKET", str(tmp_path / "s")))
    (volume / "..data").symlink_to("..1")
    (volume / "c.yaml").symlink_to("..data/c.yaml")
    daemon = serve(TEXT.format("none"), options=("--dev", "-c", str(volume / "c.yaml")))
    daemon.until_said("Watching the configuration")
    until_job_said(daemon, "one")
    for name, word in (("..2", "two"), ("..3", "three")):
        (volume / "..tmp").symlink_to(name)
        (volume / "..tmp").rename(volume / "..data")
        until_job_said(daemon, word)
    assert len(daemon.lines("web")) == 1
