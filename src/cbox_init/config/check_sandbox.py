"""What is wrong with the keys of one process that give it fewer rights."""

from __future__ import annotations

import os.path
from typing import TYPE_CHECKING, Final

from cbox_init.capabilities import ALL, NAMES, capability_name
from cbox_init.config.raw import quoted

if TYPE_CHECKING:
    from cbox_init.config.model import CapabilitiesConfig, ProcessConfig
    from cbox_init.config.problems import ProblemReport
    from cbox_init.config.raw import Path

_MOST_PATHS: Final = 100
_TEMPORARY: Final = ("/tmp", "/var/tmp")
#: A process without a user is root too where it can have mounts, since the daemon is.
_ROOT: Final = (None, "root", "0")
#: With one of these a process of root leaves its mounts, or undoes them.
_UNDOING: Final = frozenset(("SYS_ADMIN", "SYS_PTRACE"))


def check_sandbox(process: ProcessConfig, path: Path, report: ProblemReport) -> None:
    """Report names that are no capabilities, paths that cannot be read-only, and what undoes the rest."""
    dropped: set[str] = set()
    as_root = process.user in _ROOT
    if process.capabilities is not None:
        dropped = _check_capabilities(process.capabilities, (*path, "capabilities"), report)
        if process.capabilities.add and not as_root:
            report.suggestion(
                (*path, "capabilities", "add"),
                "gives nothing to a user other than root, but to programs with file capabilities",
                "write it in ambient",
            )
    _check_paths(process, path, report)
    if process.private_tmp:
        for name, file in process.logging.files.items():
            if _is_temporary(file.path):
                report.warning(
                    (*path, "logging", "files", name, "path"),
                    "private_tmp gives each instance a directory there that the daemon does not see",
                    "have the file written elsewhere",
                )
    key = "read_only_paths" if process.read_only_paths else "private_tmp"
    if getattr(process, key) and as_root and _UNDOING - dropped:
        report.warning(
            (*path, key),
            "the process runs as root with capabilities that can undo this",
            "set user, or capabilities: {drop: [ALL]}",
        )


def _check_capabilities(sets: CapabilitiesConfig, path: Path, report: ProblemReport) -> set[str]:
    """Report what is wrong with the names; those that the process loses."""
    dropped = _known(sets.drop, (*path, "drop"), report)
    added = _known(sets.add, (*path, "add"), report)
    ambient = _known(sets.ambient, (*path, "ambient"), report)
    for key, names in (("add", added), ("ambient", ambient)):
        for name in sorted(dropped & names - {ALL}):
            report.error((*path, key), f"{name} is in drop too", "remove it from one of them")
    every = set(NAMES)
    return (every if ALL in dropped else dropped) - (every if ALL in added else added) - ambient


def _known(names: tuple[str, ...], path: Path, report: ProblemReport) -> set[str]:
    found = set()
    for index, text in enumerate(names):
        try:
            found.add(capability_name(text))
        except ValueError:
            bare = text.strip().upper().removeprefix("CAP_")
            hint = report.did_you_mean(bare, NAMES, "use a name such as NET_BIND_SERVICE, or ALL")
            report.error((*path, index), f"expected the name of a capability, got {quoted(text)}", hint)
    return found


def _check_paths(process: ProcessConfig, path: Path, report: ProblemReport) -> None:
    paths = process.read_only_paths
    if len(paths) > _MOST_PATHS:
        report.error(
            (*path, "read_only_paths"),
            f"has {len(paths)} entries, at most {_MOST_PATHS} are allowed",
            "name a directory above several of them",
        )
    for index, one in enumerate(paths):
        at = (*path, "read_only_paths", index)
        if not one.startswith("/"):
            report.error(at, f"expected an absolute path, got {quoted(one)}", "begin it with /")
        elif process.private_tmp and _is_temporary(one):
            report.warning(at, "has no effect: private_tmp puts an empty directory over it", "remove it")


def _is_temporary(path: str) -> bool:
    return f"{os.path.normpath(path)}/".startswith(tuple(f"{folder}/" for folder in _TEMPORARY))
