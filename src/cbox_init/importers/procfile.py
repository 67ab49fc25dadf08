"""Procfile, as foreman and honcho read it."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from cbox_init.config.document import parse_document
from cbox_init.config.env_file import FileFault, parse_env_file
from cbox_init.errors import ImportFailed
from cbox_init.importers.model import Imported, ImportedProcess, Origin, Tree, literal
from cbox_init.importers.values import command_value, number, put_env, shell_command

if TYPE_CHECKING:
    from cbox_init.importers.source import SourceFiles

_LINE: Final = re.compile(r"([A-Za-z0-9_-]+):\s*(\S.*)", re.ASCII)
_PORT: Final = 5000
_PORTS_APART: Final = 100
#: The keys of .foreman that are read; the others change how foreman itself behaves.
_FOREMAN: Final = ("port", "formation", "concurrency")


def read(path: str, text: str, files: SourceFiles, formation: str | None = None) -> Imported:
    """The processes of a Procfile, each with the port that foreman would give it.

    ``formation`` is that of foreman: ``web=2,worker=3,all=1``. Raises ImportFailed when it is none.
    """
    imported = Imported(path)
    folder = os.path.dirname(path)
    base, given = _of_foreman(imported, folder, files)
    counts = _formation(formation if formation is not None else given)
    env_file = os.path.join(folder, ".env")
    has_env = files.is_file(env_file)
    if has_env:
        base = _port_of(env_file, base, imported, files)
    below = files.beside_result(folder) if folder else ""
    entries = _entries(imported, text)
    for index, (name, command, line) in enumerate(entries):
        keys: Tree = {}
        found = shell_command(command)
        if found is None:
            imported.notes.lost(line, name, "the quotes of the command do not match", "write it by hand")
            continue
        keys["command"] = command_value(found.words)
        put_env(keys, found.env)
        if below not in ("", ".") and not os.path.isabs(below):
            keys["working_dir"] = literal(below)
        if has_env:
            keys["env_file"] = literal(files.beside_result(env_file))
        count = counts.get(name, counts.get("all", 1))
        if name == "release":
            keys["type"] = "oneshot"
            why = "runs to its end before the others start, as a oneshot that they depend on"
            imported.notes.changed(line, name, why, process=name)
        else:
            keys["port_base"] = base + index * _PORTS_APART
            if count != 1:
                keys["scale"] = count or "off"
        imported.add(ImportedProcess(name, Origin(path, line), keys))
    if imported.named("release") is not None:
        for process in imported.processes:
            if process.name != "release":
                process.keys["depends_on"] = ["release"]
    for name in counts:
        if name != "all" and imported.named(name) is None:
            imported.notes.lost(
                None, name, "is in the formation, and not in the Procfile", "correct the name"
            )
    if imported.processes:
        why = "foreman ends all processes when one ends: here it is started again"
        imported.notes.changed(None, "all", why, "set on_exit: shutdown for the same")
    return imported


def _entries(imported: Imported, text: str) -> list[tuple[str, str, int]]:
    found: dict[str, tuple[str, str, int]] = {}
    for line, raw in enumerate(text.split("\n"), 1):
        stripped = raw.strip()
        if not stripped or stripped.startswith("#"):
            continue
        match = _LINE.fullmatch(stripped)
        if match is None:
            imported.notes.lost(
                line, stripped.partition(":")[0][:40], "is not NAME: COMMAND", "correct the line"
            )
            continue
        if match[1] in found:
            imported.notes.lost(
                found[match[1]][2], match[1], f"line {line} has it again, which counts", "rename one"
            )
        found[match[1]] = (match[1], match[2], line)
    return list(found.values())


def _formation(text: str | None) -> dict[str, int]:
    counts: dict[str, int] = {}
    for part in (text or "").split(","):
        name, sign, count = part.strip().partition("=")
        if not part.strip():
            continue
        found = number(count)
        if not sign or found is None or found < 0:
            raise ImportFailed(f"{text!r} is not a formation; write web=2,worker=3, or all=1")
        counts[name.strip()] = found
    return counts


def _of_foreman(imported: Imported, folder: str, files: SourceFiles) -> tuple[int, str | None]:
    """Port and formation of the file .foreman beside the Procfile."""
    path = os.path.join(folder, ".foreman")
    if not files.is_file(path):
        return _PORT, None
    root, _ = parse_document(files.text(path))
    if not isinstance(root, dict):
        return _PORT, None
    for key in root:
        if key not in _FOREMAN:
            why = "a setting of foreman in .foreman"
            imported.notes.lost(None, f".foreman {key}", why, "set what it means by hand")
    formation = root.get("formation", root.get("concurrency"))
    port = root.get("port")
    return number(str(port)) or _PORT, formation if isinstance(formation, str) else None


def _port_of(path: str, default: int, imported: Imported, files: SourceFiles) -> int:
    try:
        port = parse_env_file(files.text(path), files.environ.get).get("PORT")
    except FileFault as fault:
        imported.notes.lost(None, ".env", str(fault), fault.hint)
        return default
    return number(port) or default
