"""docs/security.md: its configuration is one that check-config has nothing to say about, and it protects."""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from cbox_init.capabilities import NAMES
from cbox_init.config.load import examine
from tests.docs.markdown import ROOT, sections
from tests.e2e.conftest import serve  # noqa: F401
from tests.e2e.daemon import COMMAND, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Serve

PAGE = ROOT / "docs/security.md"


@pytest.fixture
def guide(tmp_path: Path) -> Path:
    """The file of the hardening guide."""
    (text,) = (
        text for section in sections(PAGE) for language, text, _ in section.blocks if language == "yaml"
    )
    file = tmp_path / "cbox-init.yaml"
    file.write_text(text)
    return file


@pytest.mark.skipif(os.geteuid() != 0, reason="what it sets needs a daemon that is root")
def test_check_config_passes_the_file_of_the_guide(guide: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "check-config", "--strict", "-c", str(guide)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 errors, 0 warnings, 0 suggestions" in done.stdout + done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_the_file_of_the_guide_runs_with_the_capabilities_that_the_guide_names(
    guide: Path,
    serve: Serve,  # noqa: F811
) -> None:
    allowed = re.findall(r"--cap-add (\w+)", PAGE.read_text())
    assert len(allowed) == 5
    bounding = ",".join(["-all", *(f"+{name.lower()}" for name in allowed)])
    tell = "echo $(grep -E '^(Uid|CapEff|CapBnd|NoNewPrivs|Seccomp)' /proc/self/status | cut -f 2) $(umask)"
    words = json.dumps(["sh", "-c", f"{tell}; exec sleep 1000"])
    text, count = re.subn(r"(?m)^    command: .*$", f"    command: {words}", guide.read_text())
    assert count == 2
    text = text.replace("/run/cbox-init.sock", "SOCKET")
    daemon = serve(text, command=("setpriv", "--no-new-privs", "--bounding-set", bounding, *COMMAND))
    wait_for(lambda: daemon.lines("web") and daemon.lines("worker"), daemon.errors())
    bind, none = f"{1 << NAMES.index('NET_BIND_SERVICE'):016x}", f"{0:016x}"
    assert str(daemon.lines("web")[0]).startswith(f"10001 {bind} {bind} 1 ")
    assert str(daemon.lines("worker")[0]).startswith(f"10002 {none} {none} 1 ")
    assert all(str(daemon.lines(name)[0]).endswith(" 0027") for name in ("web", "worker"))
    assert daemon.stop() == 0
    assert not [record for record in daemon.records() if record.get("level") in ("WARN", "ERROR")]


def test_every_process_of_the_guide_is_in_a_sandbox(guide: Path) -> None:
    config = examine(str(guide), {}).config
    assert config is not None
    for process in config.processes.values():
        assert process.user not in (None, "root", "0")
        assert process.no_new_privileges
        assert process.capabilities is not None and process.capabilities.drop == ("ALL",)
    assert not config.global_.api_enabled
