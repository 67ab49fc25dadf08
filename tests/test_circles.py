"""What ``make check`` says of imports that go in a circle."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent.parent / ".ci" / "circles.py"


def circles(package: Path, modules: dict[str, str]) -> tuple[int, str]:
    """The exit code and the output for a package with these modules, each given by its path and its text."""
    for name, text in {"__init__.py": "", **modules}.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    done = subprocess.run([sys.executable, PROGRAM, package], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    "closing",
    [
        "import shop.cart",
        "from shop import cart",
        "from shop.cart import Cart",
        "from . import cart",
        "from .cart import Cart",
        "def pay():\n    from shop.cart import Cart",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from shop.cart import Cart",
    ],
)
def test_a_circle_is_named_with_its_lines(tmp_path: Path, closing: str) -> None:
    package = tmp_path / "shop"
    modules = {
        "cart.py": "import json\nfrom shop import pay",
        "pay.py": closing,
        "other.py": "import shop.pay",
    }
    code, output = circles(package, modules)
    line = closing.count("\n") + 1
    assert code == 1
    assert output.splitlines() == [
        "modules import each other in a circle:",
        f"  {package}/cart.py:2: shop.cart imports shop.pay",
        f"  {package}/pay.py:{line}: shop.pay imports shop.cart",
    ]


def test_a_long_circle_through_a_package_and_two_circles(tmp_path: Path) -> None:
    modules = {
        "a.py": "import shop.b",
        "b.py": "from shop.c import name",
        "c/__init__.py": "from shop.c.d import name",
        "c/d.py": "import shop.a",
        "x.py": "import shop.y",
        "y.py": "import shop.x",
    }
    code, output = circles(tmp_path / "shop", modules)
    assert (code, output.count("circle:"), output.count(" imports ")) == (1, 2, 6)


def test_none(tmp_path: Path) -> None:
    modules = {"a.py": "from shop import b, c", "b.py": "import shop.c", "c.py": "import shop\nimport json"}
    assert circles(tmp_path / "shop", modules) == (0, "")
