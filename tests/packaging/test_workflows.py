"""The workflows of GitHub: their form, and that they call targets that exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted(ROOT.glob(".github/workflows/*.yml"))
PINNED = re.compile(r"[\w.-]+/[\w./-]+@(v\d+|release/v\d+|[0-9a-f]{40})")


def steps(path: Path) -> list[dict[str, object]]:
    jobs = yaml.safe_load(path.read_text())["jobs"]
    return [step for job in jobs.values() for step in job["steps"]]


def test_they_have_the_form_of_the_schema() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", *WORKFLOWS],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_and_no_token_stays_in_the_checkout(path: Path) -> None:
    for step in steps(path):
        uses = str(step.get("uses", ""))
        assert not uses or PINNED.fullmatch(uses), uses
        if uses.startswith("actions/checkout@"):
            assert step["with"] == {"persist-credentials": False}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_the_targets_exist(path: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    called = {
        word
        for step in steps(path)
        for words in re.findall(r"\bmake ((?:[a-z-]+ ?)+)", str(step.get("run", "")))
        for word in words.split()
        if "apt-get" not in str(step["run"])
    }
    assert called
    assert all(re.search(rf"^{word}:.*##", makefile, re.MULTILINE) for word in called), called


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_only_jobs_that_publish_may_write(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    writing = {
        name
        for name, job in workflow["jobs"].items()
        if any(right == "write" for right in job.get("permissions", {}).values())
    }
    assert writing == ({"pypi", "image", "publish"} if path.stem == "release" else set())
