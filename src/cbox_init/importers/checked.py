"""Checks an imported configuration as ``check-config`` does, and leaves out the keys that are wrong."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from cbox_init.config.load import examine_text
from cbox_init.config.problems import Severity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cbox_init.config.load import Examined
    from cbox_init.config.problems import Problem
    from cbox_init.importers.combine import Combined
    from cbox_init.importers.model import Tree

_MOST_ROUNDS: Final = 5
#: A variable that must be set where the configuration runs; here it need not be.
_NEEDED: Final = r"(?<!\$)\$\{([A-Za-z_]\w*):?\?"
_PLAIN: Final = re.compile(r"(?<!\$)\$\{([A-Za-z_]\w*)\}", re.ASCII)


def checked(made: Combined, path: str, environ: Mapping[str, str]) -> Examined:
    """What the check says of the result, which is to stand at ``path``.

    A value that the source had and the configuration does not take is left out, with a note. Errors that
    remain are not about single values. A variable that is not set here is taken as set where a value is
    wrong without it.
    """
    needed = re.findall(_NEEDED, made.text)
    environ = {**dict.fromkeys(needed, "1"), **environ}
    for _ in range(_MOST_ROUNDS):
        found = examine_text(made.text, path, environ)
        unset = dict.fromkeys(
            name for problem in found.of(Severity.ERROR) for name in _unset(made, problem, environ)
        )
        if unset:
            environ = {**environ, **dict.fromkeys(unset, "1")}
            continue
        dropped = [_drop(made, problem) for problem in found.of(Severity.ERROR)]
        if not any(dropped):
            return found
    return found


def _drop(made: Combined, problem: Problem) -> bool:
    """Leave out the value that a problem is about; whether there was one."""
    section, _, rest = problem.field.partition(".")
    if section == "global":
        return _drop_from(made, None, made.global_, rest, problem)
    if section == "processes":
        names = [name for name in made.processes if _begins_with(rest, name)]
        if names:
            name = max(names, key=len)
            return _drop_from(made, name, made.processes[name].keys, rest[len(name) :].lstrip("."), problem)
    return False


def _begins_with(path: str, name: str) -> bool:
    return path == name or path.startswith((f"{name}.", f"{name}["))


def _unset(made: Combined, problem: Problem, environ: Mapping[str, str]) -> list[str]:
    """The variables in the value that a problem is about, which are not set here. Each is noted."""
    found: list[str] = []
    for name, process in made.processes.items():
        _, _, rest = problem.field.partition(".")
        if not problem.field.startswith("processes.") or not _begins_with(rest, name):
            continue
        holder, key = _place(process.keys, rest[len(name) :].lstrip("."))
        found = [one for one in _PLAIN.findall(str(holder.get(key, ""))) if not environ.get(one)]
        for variable in dict.fromkeys(found):
            made.changed(
                name, key, f"is ${{{variable}}}, which is not set here", "set it where the configuration runs"
            )
    return found


def _place(tree: Tree, path: str) -> tuple[Tree, str]:
    """The deepest mapping on the way of ``path``, and its key; "" when there is none."""
    holder, key = tree, ""
    rest = path
    while True:
        names = [name for name in holder if _begins_with(rest, name)]
        if not names:
            break
        key = max(names, key=len)
        rest = rest[len(key) :].lstrip(".")
        inner = holder[key]
        if not isinstance(inner, dict) or not rest:
            break
        if not any(_begins_with(rest, name) for name in inner):
            break
        holder = inner
    return holder, key


def _drop_from(made: Combined, process: str | None, tree: Tree, path: str, problem: Problem) -> bool:
    """Remove the value of ``path``. One that is required turns a process off."""
    holder, key = _place(tree, path)
    if key:
        del holder[key]
    elif process is not None and tree.get("enabled") is not False:
        tree["enabled"] = False
    else:
        return False
    made.lost(process, path or "process", problem.message, problem.recommendation)
    return True
