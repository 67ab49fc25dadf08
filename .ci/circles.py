"""Fail when modules of a package import each other in a circle.

python .ci/circles.py src/cbox_init

Imports in functions and those for the type checker alone (``if TYPE_CHECKING``) count as well: they let the
program run, but whoever reads one module of the circle has to read all of them.
"""

from __future__ import annotations

import ast
import sys
from importlib.util import resolve_name
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

Graph = dict[str, dict[str, str]]
"""What each module imports, and where."""


def find_modules(package: Path) -> dict[str, Path]:
    """Return the files of a package's modules by their full names."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if path.name == "__init__.py" else parts)] = path
    return found


def read_graph(modules: dict[str, Path]) -> Graph:
    """Return which of the modules each of them imports."""
    graph: Graph = {}
    for name, path in modules.items():
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        imports: dict[str, str] = graph.setdefault(name, {})
        for node in ast.walk(ast.parse(path.read_bytes(), path)):
            for imported in _imported(node, package, modules):
                if imported != name:
                    imports.setdefault(imported, f"{path}:{getattr(node, 'lineno', 0)}")
    return graph


def _imported(node: ast.AST, package: str, modules: dict[str, Path]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name in modules)
    elif isinstance(node, ast.ImportFrom):
        source = resolve_name("." * node.level + (node.module or ""), package)
        for alias in node.names:
            # A module of a package, or a name in a module.
            yield from [one for one in (f"{source}.{alias.name}", source) if one in modules][:1]


def find_circles(graph: Graph) -> list[list[str]]:
    """Return the shortest circle through each module that has one, each circle once."""
    circles: dict[frozenset[str], list[str]] = {}
    for start in graph:
        ways, seen = [[start]], {start}
        for way in ways:
            if start in graph[way[-1]]:
                circles.setdefault(frozenset(way), [*way, start])
                break
            ways += [[*way, imported] for imported in graph[way[-1]] if imported not in seen]
            seen.update(graph[way[-1]])
    return list(circles.values())


def main(package: str) -> int:
    """Print the circles and return the exit code."""
    graph = read_graph(find_modules(Path(package)))
    circles = find_circles(graph)
    for circle in circles:
        print("modules import each other in a circle:")
        for importer, imported in pairwise(circle):
            print(f"  {graph[importer][imported]}: {importer} imports {imported}")
    return 1 if circles else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
