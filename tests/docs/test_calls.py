"""The calls by curl in docs/api.md, made to a daemon, get the replies that stand below them."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.docs.markdown import ROOT
from tests.docs.walkthrough import shape, steps
from tests.e2e.daemon import DaemonProcess
from tests.ports import free_port, free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGE = ROOT / "docs/api.md"
#: Beside the example: the processes of the other replies.
MORE = """
  backup:
    command: [sh, -c, "echo done"]
    schedule: "30 3 * * *"
notifications:
  - {name: ops, command: ["true"]}
"""
#: Replies that need another daemon than this one, by how they begin after their status.
OTHER_DAEMON = (
    "unauthorized",
    "invalid configuration",  # the page does not show the body
    '"id": "3f1c9a07b2-12"',  # a change of that
)


class Call(NamedTuple):
    """A command of the page, and the reply that is the next block, if there is one."""

    command: str
    status: int | None
    body: str
    line: int


def calls() -> list[Call]:
    found = []
    blocks = steps(PAGE)
    for step, after in zip(blocks, [*blocks[1:], None], strict=True):
        if step.language != "sh" or not step.text.startswith("curl "):
            continue
        status, body = None, ""
        if after is not None and after.language == "http":
            head, _, body = after.text.partition("\n\n")
            status = int(head.split()[1])
        found.append(Call(step.text.strip(), status, body, step.line))
    return found


CALLS = calls()


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[DaemonProcess, int]]:
    folder: Path = tmp_path_factory.mktemp("calls")
    port = free_port()
    text = (ROOT / "examples/basics.yaml").read_text().replace("9180", str(port))
    text = text.replace("8001", str(free_ports(6))).replace(
        "  log_format: text", "  log_format: json\n  resource_metrics_enabled: true\n  api_socket: SOCKET"
    )
    process = DaemonProcess(folder, text + MORE)
    process.until_said("All processes started successfully")
    yield process, port
    process.end()


def test_every_call_gets_its_reply(daemon: tuple[DaemonProcess, int]) -> None:
    """In the order of the page, since one changes what the next one finds."""
    process, port = daemon
    compared = 0
    wrong = []
    for call in CALLS:
        command = call.command.replace(":9180", f":{port}").replace(
            "/var/run/cbox-init.sock", str(process.socket)
        )
        options = "-s -i --max-time 30" if "-N" not in command else "-s -i --max-time 1"
        done = subprocess.run(
            ["bash", "-c", command.replace("curl", f"curl {options}", 1)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        head, _, body = done.stdout.replace("\r\n", "\n").partition("\n\n")
        assert head.startswith("HTTP/1.1 "), f"{call.line}: {command}: {done.stdout}{done.stderr}"
        if call.status is None or any(word in call.body for word in OTHER_DAEMON):
            continue
        compared += 1
        status = int(head.split()[1])
        if status != call.status or _form(body) != _form(call.body):
            wrong.append(f"{call.line}: {command}\n{status} {body}\nand not\n{call.status} {call.body}")
    assert wrong == []
    assert compared > 15


def _form(body: str) -> object:
    """What must be the same: the names of the members, and the text of an error."""
    reply = json.loads(body)
    if "error" in reply:
        return re.sub(r"/\S+", "PATH", " ".join(shape(reply["error"])))
    return sorted(reply)
