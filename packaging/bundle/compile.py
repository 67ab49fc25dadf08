"""Replaces each module below a folder by its bytecode; runs in the Python that will execute it.

    python compile.py FOLDER [SUBFOLDER]...

Docstrings are left out, which are a fifth of the size, except in the folders that are named. Assertions stay.
"""

import ast
import marshal
import sys
from importlib.util import MAGIC_NUMBER
from pathlib import Path

#: Made of a source with a hash that is never compared: the source is not there.
_HEAD = MAGIC_NUMBER + (1).to_bytes(4, "little") + bytes(8)


def main() -> None:
    """Compile what the arguments say."""
    folder, described = Path(sys.argv[1]), sys.argv[2:]
    for source in sorted(folder.rglob("*.py")):
        inside = source.relative_to(folder)
        tree = ast.parse(source.read_bytes(), str(inside))
        if not any(inside.is_relative_to(one) for one in described):
            _drop_docstrings(tree)
        code = compile(tree, str(inside), "exec", dont_inherit=True, optimize=0)
        source.with_suffix(".pyc").write_bytes(_HEAD + marshal.dumps(code))
        source.unlink()


def _drop_docstrings(tree: ast.Module) -> None:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if ast.get_docstring(node, clean=False) is not None:
            first = node.body.pop(0)
            if not node.body:
                node.body.append(ast.copy_location(ast.Pass(), first))


if __name__ == "__main__":
    main()
