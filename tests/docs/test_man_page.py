"""The manual page has every command, and man can show it."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from cbox_init.cli.app import commands
from tests.docs.markdown import ROOT

PAGE = ROOT / "src/cbox_init/cli/cbox-init.1"


def test_every_command_is_in_it() -> None:
    text = PAGE.read_text().replace("\\-", "-")
    headings = {line.split()[1] for line in text.splitlines() if line.startswith(".SS ")}
    assert headings == set(commands.commands)


@pytest.mark.skipif(shutil.which("groff") is None, reason="no groff on this machine")
def test_it_is_right_troff() -> None:
    done = subprocess.run(
        ["groff", "-man", "-ww", "-Tutf8", str(PAGE)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
