"""``cbox-init token new``, and commands whose token does not allow them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from cbox_init.config.load import examine
from cbox_init.config.token_hash import TokenHash
from tests.cli.conftest import run
from tests.e2e.daemon import DaemonProcess, wait_for
from tests.ports import free_port

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Run


def test_token_new(cbox: Run, tmp_path: Path) -> None:
    done = cbox(
        "token", "new", "--role", "operator", "--name", "deploy", "--process", "w*", "--expires", "2100-01-01"
    )
    assert (done.code, done.err) == (0, "")
    lines = dict(line.split(": ", 1) for line in done.out.splitlines())
    assert list(lines) == ["token", "hash", "yaml"]
    assert re.fullmatch(r"cbox_[\w-]{43}", lines["token"])
    assert TokenHash.parse(lines["hash"]).verify(lines["token"].encode())
    assert lines["token"] not in lines["yaml"]
    file = tmp_path / "cbox-init.yaml"
    file.write_text(f"global:\n  api_tokens:\n    {lines['yaml']}\nprocesses: {{web: {{command: a}}}}\n")
    found = examine(str(file), {})
    assert found.valid and found.config is not None
    (entry,) = found.config.global_.api_tokens
    assert (entry.name, entry.role, entry.processes, entry.expires) == (
        "deploy",
        "operator",
        ("w*",),
        "2100-01-01",
    )
    assert entry.hash is not None and entry.hash.reveal() == lines["hash"]


def test_token_new_as_json(cbox: Run) -> None:
    made = json.loads(cbox("token", "new", "--json").out)
    assert list(made) == ["token", "name", "role", "hash"]
    assert (made["name"], made["role"]) == ("viewer", "viewer")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("new", "--role", "root"), "'root' is not one of"),
        (("new", "--name", "a b"), "'a b' is not a name of a token"),
        (("new", "--role", "admin", "--process", "web"), "an admin is not limited to processes"),
        (("new", "--expires", "soon"), "'soon' is not a date"),
        (("old",), "'old' is not"),
        ((), "Missing argument"),
    ],
)
def test_mistakes(cbox: Run, arguments: tuple[str, ...], words: str) -> None:
    done = cbox("token", *arguments)
    assert (done.code, done.out) == (2, "")
    assert words in done.err and done.err.count("\n") == 1


CONFIG = """
global:
  api_enabled: true
  api_host: 127.0.0.1
  api_port: PORT
  api_socket: SOCKET
  api_tokens:
    - {name: worker, role: operator, processes: ["worker-*"], token: the-token-of-worker}
processes:
  web: {command: [sleep, "1000"]}
  worker-1: {command: [sleep, "1000"]}
"""


def test_commands_show_what_a_token_does_not_allow(tmp_path: Path) -> None:
    port = free_port()
    daemon = DaemonProcess(tmp_path, CONFIG.replace("PORT", str(port)))
    try:
        wait_for(daemon.socket.exists, "the API listens")
        url, env = f"http://127.0.0.1:{port}", {"CBOX_INIT_API_AUTH": "the-token-of-worker"}
        one = run("--url", url, "restart", "web", env=env)
        refused = "cbox-init: forbidden: the token worker is limited to the processes worker-*: not web\n"
        assert one == (1, "", refused)
        # Of several, those that are allowed are done.
        both = run("--url", url, "restart", "web", "worker-1", env=env)
        assert both == (1, "worker-1: restart initiated\n", refused)
        assert [line.split()[0] for line in run("--url", url, "list", env=env).out.splitlines()[1:]] == [
            "worker-1"
        ]
        reload = run("--url", url, "reload-config", env=env)
        assert reload.code == 1
        assert "this needs the role admin: the token worker has the role operator" in reload.err
        wrong = run("--url", url, "list", "--token", "wrong")
        assert wrong.code == 1
        assert "authentication failed" in wrong.err
    finally:
        daemon.end()
