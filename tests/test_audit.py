"""`make audit`: the bill of materials, and what it says of vulnerabilities, with tools that are stand-ins."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

AUDIT = Path(__file__).parent.parent / ".ci/audit.py"
BILL = {"bomFormat": "CycloneDX", "components": [{"name": "click"}], "metadata": {"component": {"name": "x"}}}
CLICK = {"name": "click", "version": "8.5.1"}
FAULT = {"id": "PYSEC-1", "fix_versions": ["8.6"]}
OWN = {"name": "cbox-init", "skip_reason": "not on PyPI"}


def audit(folder: Path, answer: str, errors: str = "") -> subprocess.CompletedProcess[str]:
    """Run it where pip-audit prints ``answer`` and ``errors``."""
    tools = folder / "tools"
    tools.mkdir()
    (folder / "bill").write_text(json.dumps(BILL))
    (folder / "answer").write_text(answer)
    (folder / "errors").write_text(errors)
    for name, script in (
        ("cyclonedx-py", f'for last; do :; done; cat {folder}/bill > "$last"'),
        ("pip-audit", f"cat {folder}/answer; cat {folder}/errors >&2; exit 1"),
    ):
        (tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (tools / name).chmod(0o755)
    options = ("--out", folder / "out", "--tools", tools, "--python", sys.executable)
    return subprocess.run([sys.executable, AUDIT, *options], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("packages", "code", "last"),
    [
        ([{**CLICK, "vulns": []}, OWN], 0, "No known vulnerability in 1 packages"),
        (
            [{**CLICK, "vulns": [FAULT]}, {"name": "h2", "skip_reason": "not found"}, OWN],
            1,
            "VULNERABLE: 1 of 1 checked packages",
        ),
        # What pip-audit itself calls "No known vulnerabilities found".
        (
            [{**CLICK, "vulns": []}, {"name": "h2", "skip_reason": "not found"}],
            2,
            "NOT CHECKED: the database of vulnerabilities gave no answer for 1 of 2 packages",
        ),
        ([OWN], 2, "NOT CHECKED: the database of vulnerabilities gave no answer for 0 of 0 packages"),
    ],
)
def test_what_was_not_looked_up_is_not_called_clean(
    tmp_path: Path, packages: list[object], code: int, last: str
) -> None:
    done = audit(tmp_path, json.dumps({"dependencies": packages}))
    assert (done.returncode, done.stdout.splitlines()[-1]) == (code, last), done.stderr
    if code == 1:
        assert "click 8.5.1: PYSEC-1, fixed in 8.6\nh2: not checked: not found\n" in done.stdout


def test_without_a_database_it_says_so_and_writes_the_bill(tmp_path: Path) -> None:
    done = audit(tmp_path, "", "Traceback …\nConnectionError: no such host\n")
    assert done.returncode == 2
    bill, verdict = done.stdout.splitlines()
    assert verdict == (
        "NOT CHECKED: pip-audit has no access to its database of vulnerabilities: "
        "ConnectionError: no such host"
    )
    written = tmp_path / "out/cbox-init.cdx.json"
    assert bill == f"{written}: bill of materials of cbox-init and 1 packages (CycloneDX)"
    from cbox_init import __version__

    assert json.loads(written.read_text())["metadata"]["component"]["version"] == __version__
