"""``cbox-init open``: the address of the page, and a login that begins one session."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import httpx

from tests.e2e.daemon import DaemonProcess
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.conftest import Run

import pytest

CONFIG = """
global:
  api_enabled: true
  api_host: 127.0.0.1
  api_port: PORT
  api_socket: SOCKET
  log_format: json
KEYS
processes:
  web: {command: [sleep, "1000"]}
"""
TOKENS = """
  api_tokens:
    - {name: boss, role: admin, token: the-token-of-the-admin}
    - {name: reader, role: viewer, token: the-token-of-the-viewer}
"""


def started(folder: Path, keys: str = "", enabled: str = "true") -> tuple[DaemonProcess, str]:
    port = free_port()
    text = CONFIG.replace("PORT", str(port)).replace("KEYS", keys)
    daemon = DaemonProcess(folder, text.replace("api_enabled: true", f"api_enabled: {enabled}"))
    daemon.until_said("All processes started successfully")
    return daemon, f"http://127.0.0.1:{port}"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[tuple[DaemonProcess, str]]:
    found = started(tmp_path, TOKENS)
    yield found
    found[0].end()


def test_from_the_socket_to_the_page(daemon: tuple[DaemonProcess, str], cbox: Run) -> None:
    process, url = daemon
    socket = str(process.socket)
    done = cbox("open", "--socket", socket)
    assert (done.code, done.err) == (0, "")
    page, sign, code = done.out.strip().partition("#login=")
    assert (page, sign) == (f"{url}/", "#login=")
    begun = httpx.post(f"{url}/api/v1/sessions", json={"code": code})
    assert (begun.status_code, begun.json()["role"]) == (201, "admin")
    bearer = {"authorization": f"Bearer {begun.json()['token']}"}
    assert httpx.get(f"{url}/api/v1/processes", headers=bearer).status_code == 200
    for secret in (code, begun.json()["token"]):
        assert secret not in process.output() + process.errors()

    shown = json.loads(cbox("open", "--socket", socket, "--role", "viewer", "--json").out)
    assert (shown["login"], shown["role"], shown["expires_in"]) == (True, "viewer", 60)
    begun = httpx.post(f"{url}/api/v1/sessions", json={"code": shown["url"].partition("#login=")[2]})
    assert begun.json()["role"] == "viewer"

    done = cbox("open", "--url", url, env={"CBOX_INIT_API_AUTH": "the-token-of-the-viewer"})
    assert done.out.startswith(f"{url}/#login=")
    begun = httpx.post(f"{url}/api/v1/sessions", json={"code": done.out.strip().partition("#login=")[2]})
    assert begun.json()["role"] == "viewer"
    assert cbox("open", "--url", url).code == 1


def test_where_no_token_is_needed_it_is_the_address(tmp_path: Path, cbox: Run) -> None:
    process, url = started(tmp_path)
    try:
        assert cbox("open", "--socket", str(process.socket)).out == f"{url}/\n"
        assert cbox("open", "--url", url).out == f"{url}/\n"
    finally:
        process.end()


@pytest.mark.parametrize(
    ("enabled", "keys", "hint"),
    [
        ("false", "", "set global.api_enabled: true and start"),
        ("true", "  api_ui: false", "remove global.api_ui: false and start"),
    ],
)
def test_without_a_page_it_says_what_to_do(
    tmp_path: Path, cbox: Run, enabled: str, keys: str, hint: str
) -> None:
    process, _ = started(tmp_path, keys, enabled)
    try:
        done = cbox("open", "--socket", str(process.socket))
    finally:
        process.end()
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    assert hint in done.err
