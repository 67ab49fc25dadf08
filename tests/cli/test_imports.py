"""What the commands that talk to a daemon must not import: a start is most of their cost."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.client.fake import Answer, daemon_entry, event, fake_daemon, instance, line, listed, process

from .conftest import environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOT_FOR_A_COMMAND = {
    "anyio",
    "asyncio",
    "cbox_init.client.httpx_transport",
    "cbox_init.config",
    "cbox_init.daemon",
    "concurrent",
    "cronsim",
    "dataclasses",
    "difflib",
    "email",
    "hashlib",
    "http",
    "httpcore",
    "httpx",
    "httpx_sse",
    "json",
    "logging",
    "pathlib",
    "prometheus_client",
    "random",
    "shutil",
    "ssl",
    "starlette",
    "subprocess",
    "tempfile",
    "typing_extensions",
    "urllib.request",
    "uvicorn",
    "yaml",
}

PROGRAM = """
import sys
before = set(sys.modules)  # what a development environment imports for its editable packages
from cbox_init.cli.app import run
code = run(sys.argv[1:])
print(*set(sys.modules) - before, sep="\\n", file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("list", "--help"), ("help", "logs"), ("completion", "bash"), ("version",)],
    ids=" ".join,
)
def test_help_and_completion_import_next_to_nothing(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    needed_by_click = {"shutil"}
    not_for_help = {"msgspec", "cbox_init.client", "cbox_init.api"} | NOT_FOR_A_COMMAND - needed_by_click
    assert sorted(not_for_help & set(done.stderr.split())) == []


@pytest.fixture
def path(tmp_path: Path) -> Iterator[str]:
    path = str(tmp_path / "api.sock")
    with fake_daemon(path) as fake:
        fake.answers["GET /api/v1/processes"] = listed(process(instance()))
        fake.answers["GET /api/v1/daemon"] = Answer(daemon_entry())
        reply = Answer({"message": "done", "process": "web", "scale": 2}, 202)
        for action in ("restart", "scale"):
            fake.answers[f"POST /api/v1/processes/web/{action}"] = reply
        fake.answers["GET /api/v1/logs/stream?tail=100"] = Answer(
            content_type="text/event-stream", chunks=(event(line("one")),)
        )
        yield path


@pytest.mark.parametrize(
    "arguments",
    [
        ("list",),
        ("list", "--json"),
        ("status", "web"),
        ("status",),
        ("restart", "web"),
        ("scale", "web", "2"),
        ("logs", "--follow"),
    ],
    ids=" ".join,
)
def test_a_command_imports_little(path: str, arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments, "--socket", path],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stderr.split())
    assert "cbox_init.client.socket_transport" in loaded
    assert sorted(NOT_FOR_A_COMMAND & loaded) == []
