"""The modules of the web application that draw nothing: their tests are JavaScript, and run in Node."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

import cbox_init
from cbox_init.config.event_kinds import EVENT_KINDS

APP = Path(cbox_init.__file__).parent / "web" / "static" / "app"
TESTS = Path(__file__).parent / "model"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The modules and their tests side by side. Node reads them as modules because the folder says so."""
    folder = tmp_path_factory.mktemp("app")
    shutil.copytree(APP / "model", folder / "app" / "model")
    (folder / "docs").mkdir()
    shutil.copy(APP.parent / "docs" / "model.js", folder / "docs")
    shutil.copytree(TESTS, folder / "tests")
    (folder / "package.json").write_text(json.dumps({"type": "module"}))
    return folder


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed: .ci/packages test")
@pytest.mark.parametrize("name", sorted(path.name for path in TESTS.glob("*.test.mjs")))
def test_module(name: str, folder: Path) -> None:
    done = subprocess.run(
        ["node", f"tests/{name}"],
        cwd=folder,
        env={**os.environ, "TZ": "Europe/Berlin"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# pass 0" not in done.stdout, "no test was run"


def test_every_module_is_tested() -> None:
    modules = {path.stem for path in (APP / "model").glob("*.js")}
    modules.add("docs")  # docs/model.js
    assert modules == {path.name.removesuffix(".test.mjs") for path in TESTS.glob("*.test.mjs")}


def test_every_kind_of_event_has_words() -> None:
    text = (APP / "event_text.js").read_text()
    assert [kind for kind in EVENT_KINDS if f'"{kind}": (' not in text] == []
