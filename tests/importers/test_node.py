"""What Node.js says of a module, also when the module does something else."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

import pytest

from cbox_init.errors import ImportFailed
from cbox_init.importers import node
from tests.e2e.daemon import wait_for

if TYPE_CHECKING:
    from pathlib import Path


def _exports(folder: Path, text: str, name: str = "ecosystem.config.js") -> object:
    file = folder / name
    file.write_text(text)
    return json.loads(node.exports_of(str(file), os.environ))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.js", "console.log('noise'); process.stdout.write('noise'); module.exports = {apps: [1]}"),
        ("a.js", "module.exports = () => ({apps: [1]})"),
        ("a.js", "module.exports = Promise.resolve({apps: [1]}); setInterval(() => {}, 1000)"),
        ("a.cjs", "exports.apps = [require('./b.cjs')]"),
        ("a.mjs", "export default {apps: [1]}"),
    ],
)
def test_forms_of_modules(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "b.cjs").write_text("module.exports = 1")
    assert _exports(tmp_path, text, name) == {"apps": [1]}


def test_a_module_that_does_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ended with what it has started."""
    monkeypatch.setattr(node, "_TIMEOUT_S", 1.0)
    pid = tmp_path / "pid"
    text = f"""
const child = require('child_process').spawn('sleep', ['1000']);
require('fs').writeFileSync({json.dumps(str(pid))}, String(child.pid));
for (;;);
"""
    began = time.monotonic()
    with pytest.raises(ImportFailed, match="did not end within 1 s"):
        _exports(tmp_path, text)
    assert time.monotonic() - began < 20
    wait_for(lambda: not _lives(int(pid.read_text())), "its child has ended")


def _lives(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(") ")[2][0] not in "ZX"
    except OSError:
        return False


def test_a_module_that_exports_too_much(tmp_path: Path) -> None:
    with pytest.raises(ImportFailed, match="larger than 1 MiB"):
        _exports(tmp_path, "module.exports = {apps: 'x'.repeat(2 << 20)}")
    with pytest.raises(ImportFailed):
        _exports(tmp_path, "module.exports = {apps: 'x'.repeat(20 << 20)}")


@pytest.mark.parametrize(
    "text", ["process.exit(7)", "throw 1", "module.exports = {get a() { throw Error('no') }}"]
)
def test_a_module_that_fails(text: str, tmp_path: Path) -> None:
    with pytest.raises(ImportFailed) as caught:
        _exports(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_a_module_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ImportFailed, match="Cannot find module 'no-such'; install its modules there"):
        _exports(tmp_path, "require('no-such')")
