"""Which daemon is meant, and names that it does not know."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cbox_init.cli.app import run
from cbox_init.cli.connection import most_similar, transport_for, unknown_process
from cbox_init.client.address import ClientSettings
from cbox_init.client.httpx_transport import HttpxTransport
from cbox_init.client.socket_transport import SocketTransport
from tests.client.fake import FakeDaemon, fake_daemon, instance, listed, process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cbox_init.client.transport import Transport


def test_unknown_names() -> None:
    assert unknown_process("wbe", ["web", "db"]) == "no process is named 'wbe'; did you mean 'web'?"
    assert unknown_process("zzz", ["web", "db"]) == "no process is named 'zzz'; there are web, db"
    assert unknown_process("zzz", []) == "no process is named 'zzz'; there are no processes"
    many = [f"queue-{number}" for number in range(12)]
    assert unknown_process("zzz", many).endswith("queue-8, queue-9 and 2 more")


def test_the_most_similar_name() -> None:
    known = ["web", "queue-default", "queue-mail"]
    assert most_similar("wbe", known) == "web"
    assert most_similar("WEB", known) == "web"
    assert most_similar("queue-defualt", known) == "queue-default"
    assert most_similar("zzz", known) is None
    assert most_similar("web", []) is None


def test_httpx_is_for_https_alone() -> None:
    def transport(url: str) -> Transport:
        return transport_for(ClientSettings.of(url, None, None, 5.0))

    assert isinstance(transport("https://localhost:1"), HttpxTransport)
    assert isinstance(transport("http://grün:1"), HttpxTransport)
    assert isinstance(transport("http://localhost:1"), SocketTransport)


CONFIGURED = """
global: {api_enabled: true, api_port: PORT, api_auth: from-the-file}
processes: {web: {command: [sleep, "1"]}}
"""


@pytest.fixture
def configured(tmp_path: Path) -> Iterator[tuple[Path, FakeDaemon]]:
    """A configuration, and a daemon at its address over TCP."""
    with fake_daemon() as daemon:
        daemon.answers["GET /api/v1/processes"] = listed(process(instance()))
        file = tmp_path / "cbox-init.yaml"
        file.write_text(CONFIGURED.replace("PORT", daemon.url.rpartition(":")[2]))
        yield file, daemon


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No daemon at the usual places, and no variables that name one."""
    monkeypatch.setattr("cbox_init.client.address.find_address.__defaults__", ((str(tmp_path / "none"),),))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith("CBOX_INIT_")]:
        monkeypatch.delenv(name)


def tokens(daemon: FakeDaemon) -> list[str]:
    return [sent.headers.get("authorization", "").removeprefix("Bearer ") for sent in daemon.sent]


@pytest.mark.usefixtures("elsewhere")
def test_the_file_of_the_daemon_has_its_port_and_token(
    configured: tuple[Path, FakeDaemon], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file, daemon = configured
    assert run(["list", "-c", str(file)]) == 0
    monkeypatch.setenv("CBOX_INIT_CONFIG", str(file))
    assert run(["list"]) == 0
    assert run(["list", "--token", "given"]) == 0
    monkeypatch.setenv("CBOX_INIT_API_AUTH", "environment")
    assert run(["list"]) == 0
    assert tokens(daemon) == ["from-the-file", "from-the-file", "given", "environment"]
    shown = capsys.readouterr()
    assert "from-the-file" not in shown.out + shown.err


@pytest.mark.usefixtures("elsewhere")
def test_a_file_in_this_directory_gets_no_token_of_another_daemon(
    configured: tuple[Path, FakeDaemon], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, daemon = configured
    monkeypatch.chdir(file.parent)
    monkeypatch.setenv("CBOX_INIT_API_AUTH", "environment")
    assert run(["list"]) == 0
    assert tokens(daemon) == ["from-the-file"]


@pytest.mark.usefixtures("elsewhere")
def test_a_file_that_cannot_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "cbox-init.yaml"
    file.write_text("global: {api_enabled: true, api_port: many, api_auth: hush-hush}\nprocesses: {}\n")
    assert run(["list", "-c", str(file)]) == 1
    assert "api_port" in capsys.readouterr().err
    assert run(["list", "-c", f"{file}.gone"]) == 1
    assert "cannot read" in capsys.readouterr().err
    file.write_text("global: {api_socket: /nowhere/x.sock}\nprocesses: {web: {command: x}}\n")
    assert run(["list", "-c", str(file)]) == 3
    assert "/nowhere/x.sock" in capsys.readouterr().err
