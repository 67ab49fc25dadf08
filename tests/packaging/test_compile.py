"""The bytecode of the bundle."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

COMPILE = Path(__file__).parents[2] / "packaging/bundle/compile.py"

SOURCE = '''
"""Of the module."""
from __future__ import annotations
def empty():
    """All of it."""
class Kept:
    """Of the class."""
    async def wait(self): "Short."
    value: int = 1
def check():
    assert False, "stays"
'''


def run(folder: Path, code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_docstrings_go_where_they_are_not_named_and_all_else_stays(tmp_path: Path) -> None:
    for name in ("described", "plain"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.py").write_text(SOURCE)
    subprocess.run([sys.executable, COMPILE, tmp_path, "described"], check=True)
    assert not list(tmp_path.rglob("*.py"))
    shown = (
        "from NAME import a; print(a.__doc__, a.empty.__doc__, a.Kept.__doc__, a.Kept.wait.__doc__,"
        " a.Kept.value, a.empty(), a.__annotations__, a.Kept.__annotations__)\n"
        "try: a.check()\nexcept AssertionError as error: print(error)"
    )
    rest = "1 None {} {'value': 'int'}\nstays\n"
    assert run(tmp_path, shown.replace("NAME", "plain")) == f"None None None None {rest}"
    assert run(tmp_path, shown.replace("NAME", "described")) == (
        f"Of the module. All of it. Of the class. Short. {rest}"
    )
