"""Each page names the modules that its first view needs, so that a browser asks for all of them at once."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

import pytest

import cbox_init

STATIC = Path(cbox_init.__file__).parent / "web" / "static"
IMPORT = re.compile(
    r"""^(?:import|export)\b[^;]*?from\s*"(\.[^"]+)"|^import\s*"(\.[^"]+)"|\bfrom"(\.[^"]+)\"""", re.MULTILINE
)


def needed(module: str, found: set[str]) -> set[str]:
    """A module with all that it imports; what is imported by a call is loaded later."""
    if module not in found:
        found.add(module)
        for names in IMPORT.findall((STATIC / module).read_text()):
            needed(posixpath.normpath(posixpath.join(posixpath.dirname(module), "".join(names))), found)
    return found


@pytest.mark.parametrize(
    ("page", "modules"),
    [("index.html", ("app/main.js", "app/views/overview.js")), ("docs.html", ("docs/main.js",))],
)
def test_a_page_names_the_modules_of_its_first_view(page: str, modules: tuple[str, ...]) -> None:
    text = (STATIC / page).read_text()
    first: set[str] = set()
    for module in modules:
        needed(module, first)
    assert set(re.findall(r'rel="modulepreload" href="/assets/([^"]+)"', text)) == first - {modules[0]}
