"""The application's PYTHONPATH and working directory do not reach the imports of the daemon and clients."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from cbox_init.client import Client
from tests.e2e.daemon import COMMAND

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Serve

#: Modules of the standard library that the daemon, its API, heartbeats or the clients import.
NAMES = (
    *("asyncio", "base64", "bisect", "calendar", "concurrent", "copy", "dataclasses", "datetime", "decimal"),
    *(
        "email",
        "fnmatch",
        "gettext",
        "glob",
        "gzip",
        "hashlib",
        "heapq",
        "html",
        "http",
        "inspect",
        "ipaddress",
    ),
    *("json", "logging", "mimetypes", "pathlib", "pwd", "queue", "random", "resource", "secrets", "select"),
    *(
        "selectors",
        "shlex",
        "shutil",
        "signal",
        "socket",
        "ssl",
        "statistics",
        "string",
        "struct",
        "subprocess",
    ),
    *("tempfile", "textwrap", "threading", "traceback", "typing", "unicodedata", "urllib", "uuid", "weakref"),
    *("zlib", "zoneinfo"),
)
HOSTILE = "raise RuntimeError('the module of the application was imported')\n"


@pytest.fixture
def application(tmp_path: Path) -> Path:
    """A directory with modules of these names, as packages and as files."""
    folder = tmp_path / "application"
    folder.mkdir()
    for number, name in enumerate(NAMES):
        if number % 2:
            (folder / f"{name}.py").write_text(HOSTILE)
        else:
            (folder / name).mkdir()
            (folder / name / "__init__.py").write_text(HOSTILE)
    (folder / "mine.py").write_text("VALUE = 'mine'\n")
    return folder


def run(*command: str, env: dict[str, str], cwd: Path | None = None) -> str:
    done = subprocess.run(
        command, env={**os.environ, **env}, cwd=cwd, capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_daemon_its_api_and_its_clients(serve: Serve, application: Path) -> None:
    env = {"PYTHONPATH": f"{application}:/nowhere"}
    daemon = serve(
        f"""
global:
  api_socket: SOCKET
  readiness: {{enabled: true, path: DIR/ready}}
processes:
  web:
    command: ["{sys.executable}", "-c", "import mine, time; print(mine.VALUE, flush=True); time.sleep(1e3)"]
    limits: {{nice: 1}}
  checked:
    command: [sleep, "1000"]
    health_check: {{url: "http://127.0.0.1:1/", mode: readiness, initial_delay: 0}}
  job:
    command: ["true"]
    schedule: "0 0 1 1 *"
    heartbeat: {{url: "http://127.0.0.1:1/", retry_count: 0}}
""",
        env=env,
    )
    daemon.until_said("Process instance started")
    with Client.connect(socket=str(daemon.socket)) as client:
        client.trigger("job")
        assert [process.name for process in client.processes()] == ["web", "checked", "job"]
    daemon.until_said("Heartbeat could not be delivered")
    assert daemon.lines("web") == ["mine"], "the child has its own path"
    for command in (["list"], ["status", "web"], ["logs", "--tail", "5"]):
        run(*COMMAND, *command, "--socket", str(daemon.socket), env=env)
    assert "the application was imported" not in daemon.output()
    assert daemon.stop() == 0


@pytest.mark.parametrize("module", [True, False])
def test_the_working_directory(tmp_path: Path, application: Path, module: bool) -> None:
    config = tmp_path / "cbox-init.yaml"
    config.write_text("processes: {web: {command: [sleep, '1']}}")
    program = [sys.executable, "-m", "cbox_init"] if module else COMMAND
    out = run(*program, "check-config", "--json", "-c", str(config), env={}, cwd=application)
    assert json.loads(out)["valid"]


def test_a_module_that_was_imported_already_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "shlex.py").write_text("theirs = True\n")
    script = (
        "import shlex, sys\n"
        "assert shlex.theirs\n"
        "from cbox_init.own_path import put_own_path_first\n"
        "put_own_path_first()\n"
        "assert shlex.split('a b') == ['a', 'b'] and sys.modules['shlex'] is shlex\n"
        f"assert sys.path[-1] == {str(tmp_path)!r}\n"
    )
    run(sys.executable, "-c", script, env={"PYTHONPATH": str(tmp_path)})


def test_nothing_changes_without_them() -> None:
    script = (
        "import sys; before = sys.path[:]\n"
        "from cbox_init.own_path import put_own_path_first; put_own_path_first()\n"
        "assert sys.path == before\n"
    )
    run(sys.executable, "-P", "-c", script, env={"PYTHONPATH": ""})
