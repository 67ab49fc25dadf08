"""Keeps the application's Python modules out of the daemon.

Images set ``PYTHONPATH`` for their application, whose ``queue.py`` or ``email`` would be imported by the
daemon in place of the standard library's. The interpreter has put those directories first before any line of
ours runs; a second start of it, with -I, would take some 30 ms.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType


def put_own_path_first() -> None:
    """Search the directories of ``PYTHONPATH`` and of the program last; forget modules that came from there.

    Children are not affected: the environment stays as it is. Nothing is imported here that is not loaded
    already.
    """
    if sys.flags.isolated:
        return
    theirs = _directories()
    last = [path for path in sys.path if os.path.abspath(path) in theirs]
    if not last:
        return
    sys.path[:] = [path for path in sys.path if path not in last] + last
    _forget(tuple(f"{path}{os.sep}" for path in theirs))


def _directories() -> set[str]:
    found = []
    if not sys.flags.ignore_environment:
        found = os.environ.get("PYTHONPATH", "").split(os.pathsep) if os.environ.get("PYTHONPATH") else []
    if not sys.flags.safe_path:
        found += sys.path[:1]  # that of the script, or the working directory (python -m)
    standard = os.path.dirname(os.__file__)
    return {os.path.abspath(path) for path in found} - {standard}


def _forget(folders: tuple[str, ...]) -> None:
    """Unload modules of the standard library's names that are not its own."""
    wrong: dict[str, ModuleType] = {}
    for name, module in tuple(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name.partition(".")[0] in sys.stdlib_module_names and file and file.startswith(folders):
            wrong[name] = sys.modules.pop(name)
    # The script that pip writes may have imported one already (re).
    script = vars(sys.modules["__main__"])
    for key, value in tuple(script.items()):
        for name, module in wrong.items():
            if value is module:
                script[key] = __import__(name)
