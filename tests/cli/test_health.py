"""``health``: exit codes, and its quick parser held against click's."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from cbox_init.cli.health_probe import HealthOptions, parse_health, parse_timeout
from tests.client.fake import Answer, fake_daemon
from tests.e2e.daemon import DaemonProcess, wait_for

from .conftest import environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .conftest import Run

CONFIG = """
global: {api_socket: SOCKET}
processes:
  web:
    command: [sleep, "1000"]
    health_check: {type: exec, command: [test, -e, DIR/ok], initial_delay: 0, period: 50ms, mode: readiness}
  other: {command: [sleep, "1000"], initial_state: stopped}
"""


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """A daemon whose ``web`` is healthy while there is a file ``ok``."""
    daemon = DaemonProcess(tmp_path_factory.mktemp("daemon"), CONFIG)
    try:
        daemon.until_said("Process instance started")
        yield daemon
    finally:
        daemon.end()


def test_healthy_and_ready_differ(checked: DaemonProcess, cbox: Run) -> None:
    env = {"CBOX_INIT_API_SOCKET": str(checked.socket)}
    ok = checked.folder / "ok"
    ok.unlink(missing_ok=True)
    wait_for(lambda: cbox("health", "--ready", env=env).code == 1, "not ready")
    assert cbox("health", env=env) == (0, "healthy\n", "")
    done = cbox("health", "--ready", env=env)
    assert done.code == 1
    assert (done.out, done.err) == ("", "cbox-init: not ready: web is running, but not healthy\n")
    done = cbox("health", "--ready", "--json", env=env)
    assert done.code == 1
    assert json.loads(done.out) == {
        "ready": False,
        "error": "not ready: web is running, but not healthy",
        "processes": [{"name": "web", "state": "running", "health": "unhealthy"}],
    }
    ok.touch()
    wait_for(lambda: cbox("health", "--ready", env=env).code == 0, "ready")
    assert cbox("health", "--ready", env=env).out == "ready\n"
    assert json.loads(cbox("health", "--json", env=env).out) == {"healthy": True}
    assert cbox("health", "--ready", "--socket", str(checked.socket)).out == "ready\n"  # read by click


def test_a_daemon_that_hangs(checked: DaemonProcess, cbox: Run) -> None:
    checked.signal(signal.SIGSTOP)
    try:
        done = cbox("health", "--timeout", "100ms", env={"CBOX_INIT_API_SOCKET": str(checked.socket)})
    finally:
        checked.signal(signal.SIGCONT)
    assert done.code == 1
    assert done.err.count("\n") == 1
    assert str(checked.socket) in done.err


def test_no_daemon(cbox: Run, tmp_path: Path) -> None:
    done = cbox("health", "--socket", str(tmp_path / "none"))
    assert done.code == 1
    assert "no daemon answers" in done.err
    assert done.err.count("\n") == 1
    done = cbox("health", "--json", "--socket", str(tmp_path / "none"))
    assert done.code == 1
    assert json.loads(done.out)["healthy"] is False


def test_over_tcp_and_an_older_daemon(cbox: Run) -> None:
    with fake_daemon() as daemon:
        daemon.answers["GET /api/v1/health"] = Answer({"status": "healthy"})
        assert cbox("health", "--url", daemon.url) == (0, "healthy\n", "")
        done = cbox("health", "--ready", "--url", daemon.url)
    assert done.code == 1
    assert done.err == "cbox-init: the daemon is an older version without this route; use health alone\n"


def test_it_imports_no_click(checked: DaemonProcess) -> None:
    program = (
        "import sys\nfrom cbox_init.__main__ import _run\n_run(['health'])\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=environment(CBOX_INIT_API_SOCKET=str(checked.socket)),
        timeout=30,
    )
    assert done.stdout == "healthy\n"
    loaded = set(done.stderr.split())
    assert {"click", "httpx", "json", "cbox_init.config", "cbox_init.daemon", "yaml"} & loaded == set()


def test_without_standard_output(checked: DaemonProcess) -> None:
    """A runtime may give a probe none: the exit code counts."""
    done = subprocess.run(
        ["sh", "-c", f"exec '{sys.executable}' -m cbox_init health >&- 2>&-"],
        env=environment(CBOX_INIT_API_SOCKET=str(checked.socket)),
        timeout=30,
    )
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (["health"], HealthOptions()),
        (["health", "--ready", "--json"], HealthOptions(True, True)),
        (["health", "--timeout", "500ms"], HealthOptions(timeout_s=0.5)),
        (["health", "--timeout=2"], HealthOptions(timeout_s=2.0)),
        (["health", "--timeout"], None),
        (["health", "--timeout", "soon"], None),
        (["health", "--url", "http://localhost"], None),
        (["health", "extra"], None),
        (["--socket", "x", "health"], None),
        (["list"], None),
        ([], None),
    ],
)
def test_the_quick_parser(arguments: list[str], options: HealthOptions | None) -> None:
    assert parse_health(arguments) == options


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3", 3.0),
        ("3s", 3.0),
        ("0.5s", 0.5),
        ("250ms", 0.25),
        ("1m", 60.0),
        ("0", None),
        ("-1s", None),
        ("", None),
        ("s", None),
        (".", None),
        ("1h", None),
        ("11m", None),
        ("٣s", None),
    ],
)
def test_times(text: str, seconds: float | None) -> None:
    assert parse_timeout(text) == seconds


def test_a_wrong_time_is_one_line(cbox: Run) -> None:
    done = cbox("health", "--timeout", "soon")
    assert done.code == 1
    assert done.err.count("\n") == 1
    assert "write it like 3s" in done.err


def test_the_socket_of_the_file_in_the_environment(checked: DaemonProcess, cbox: Run, tmp_path: Path) -> None:
    """As in an image that sets CBOX_INIT_CONFIG and has its socket elsewhere."""
    config = tmp_path / "cbox-init.yaml"
    config.write_text(f"global: {{api_socket: {checked.socket}}}\nprocesses: {{a: {{command: 'true'}}}}\n")
    env = {"CBOX_INIT_CONFIG": str(config)}
    assert cbox("health", env=env) == (0, "healthy\n", "")
    assert cbox("list", env=env).code in (0, 1)
    assert "web" in cbox("list", env=env).out
    missing = cbox("health", env={"CBOX_INIT_CONFIG": str(tmp_path / "none.yaml")})
    assert (missing.code, missing.out) == (1, "")
    assert missing.err.startswith("cbox-init: no daemon answers at any of ")
