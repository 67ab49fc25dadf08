"""What all tests share."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Final, Protocol

import pytest
from hypothesis import HealthCheck, settings

from cbox_init.system.cgroup import Cgroups
from cbox_init.system.sandbox_errors import refused_parts
from cbox_init.system.spawn_request import Sandbox
from tests.attacker import NOBODY, owned_by
from tests.hanging_files import can_hang

if TYPE_CHECKING:
    from collections.abc import Iterator

_CAP_SYS_NICE: Final = 23
_CAP_SYS_RESOURCE: Final = 24


# How long an example takes depends on the machine. Where CI is set, the examples are the same in each run.
settings.register_profile(
    "cbox-init", parent=settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("cbox-init")


class Worker(Protocol):
    """A worker process of pytest-xdist, and what it reported at its end."""

    config: pytest.Config
    workeroutput: dict[str, int]


def pytest_configure() -> None:
    """Let Ctrl-C reach what tests start, also where a shell has had it ignored (``make test &``)."""
    for signum in (signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(signum) is signal.SIG_IGN:
            signal.signal(signum, signal.default_int_handler if signum == signal.SIGINT else signal.SIG_DFL)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Two workers for each core: half of the time a test waits, for a child or until a time is over."""
    return 2 * len(os.sched_getaffinity(0))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Report a failure with the real functions: pytest's worker crashes if it needs one that is patched."""
    patches = item.funcargs.get("monkeypatch") if isinstance(item, pytest.Function) else None
    if call.excinfo and isinstance(patches, pytest.MonkeyPatch):
        patches.undo()


@pytest.fixture
def public_path() -> Iterator[Path]:
    """A folder as ``tmp_path`` is one, which other users may enter: those of pytest are closed to them."""
    folder = Path(tempfile.mkdtemp(prefix="cbox-init-test-"))
    folder.chmod(0o755)
    yield folder
    end = time.monotonic() + 20
    while folder.exists():  # a thread that compresses a file may still make one
        assert time.monotonic() < end, f"{folder} fills again and again"
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def secret(public_path: Path) -> Path:
    """A file that only root may read, with the text "root's"."""
    file = public_path / "secret"
    file.write_text("root's\n")
    file.chmod(0o600)
    return file


@pytest.fixture
def theirs(public_path: Path) -> Path:
    """A directory of another user, when we are root."""
    return owned_by(public_path / "theirs", NOBODY)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what this kernel or container cannot do, whatever is installed.

    The closing line then says how many were deselected.
    """
    lacking = []
    if Cgroups().lacks("memory") or Cgroups().lacks("cpu"):
        lacking.append("cgroup")
    if not _has(_CAP_SYS_NICE, _CAP_SYS_RESOURCE):
        lacking.append("capable")
    if shutil.which("chromium") is None or find_spec("playwright") is None:
        lacking.append("browser")
    if any(item.get_closest_marker("traced") for item in items) and not _may_trace():
        lacking.append("traced")
    if any(item.get_closest_marker("mounts") for item in items) and not _may_mount():
        lacking.append("mounts")
    if any(item.get_closest_marker("hanging_files") for item in items) and not can_hang():
        lacking.append("hanging_files")
    left_out = [item for item in items if any(item.get_closest_marker(name) for name in lacking)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    if hasattr(config, "workeroutput"):
        config.workeroutput["left_out"] = len(left_out)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Worker) -> None:
    """Have the closing line count what the workers left out, which is the same in each."""
    left_out = getattr(node, "workeroutput", {}).get("left_out", 0)
    reporter = node.config.pluginmanager.get_plugin("terminalreporter")
    if reporter and left_out and "deselected" not in reporter.stats:
        reporter.stats["deselected"] = [SimpleNamespace()] * left_out


def _may_trace() -> bool:
    """Whether strace is there, and ptrace(2) is permitted."""
    try:
        done = subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"], capture_output=True)
    except FileNotFoundError:
        return False
    return done.returncode == 0


def _may_mount() -> bool:
    """Whether a child can have mounts of its own."""
    return not refused_parts(Sandbox(where="", private_tmp=True, read_only_paths=("/etc",)))


def _has(*capabilities: int) -> bool:
    with open("/proc/self/status") as file:
        effective = next(int(line.split()[1], 16) for line in file if line.startswith("CapEff"))
    return all(effective >> capability & 1 for capability in capabilities)
