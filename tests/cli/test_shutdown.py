"""``shutdown`` and ``help``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cbox_init.cli.app import run
from tests.client.fake import Answer, fake_daemon
from tests.e2e.daemon import DaemonProcess

from .conftest import CONFIG

if TYPE_CHECKING:
    from pathlib import Path


def test_it_ends_the_daemon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    daemon = DaemonProcess(tmp_path, CONFIG)
    try:
        daemon.until_said("All processes started successfully")
        assert run(["shutdown", "--wait", "--socket", str(daemon.socket)]) == 0
        assert capsys.readouterr().out == "shutdown initiated\nthe daemon has ended\n"
        assert daemon.process.wait(30) == 0
        (begun,) = (record for record in daemon.records() if record["msg"] == "Shutting down")
        assert str(begun["reason"]).startswith("asked for by uid:")
        assert run(["shutdown", "--socket", str(daemon.socket)]) == 3
    finally:
        daemon.end()


def test_a_daemon_that_takes_long(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "api.sock")
    with fake_daemon(path) as fake:
        fake.answers["POST /api/v1/shutdown"] = Answer({"status": "shutting_down", "message": "begun"}, 202)
        fake.answers["GET /api/v1/health"] = Answer({"status": "healthy"})
        assert run(["shutdown", "--wait", "--timeout", "0", "--socket", path]) == 1
    out, err = capsys.readouterr()
    assert out == "begun\n" and "the daemon has not ended after 0 s" in err


@pytest.mark.parametrize(
    ("words", "begins"),
    [
        ([], "Usage: cbox-init [OPTIONS] COMMAND"),
        (["restart"], "Usage: cbox-init restart "),
        (["ls"], "Usage: cbox-init list "),
        (["fleet", "logs"], "Usage: cbox-init fleet logs "),
    ],
)
def test_help(words: list[str], begins: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["help", *words]) == 0
    assert capsys.readouterr().out.startswith(begins)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["journalctl"], "'journalctl' of systemd is here: `cbox-init logs NAME`"),
        (["lst"], "did you mean 'list'?"),
        (["list", "x"], "cbox-init list has no commands of its own"),
    ],
)
def test_help_about_what_is_no_command(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["help", *words]) == 2
    out, err = capsys.readouterr()
    assert out == "" and said in err and err.count("\n") == 1
