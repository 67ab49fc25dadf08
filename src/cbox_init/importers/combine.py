"""Makes one configuration of what several sources gave."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from cbox_init.config.model import ProcessConfig
from cbox_init.config.schema import fields_of
from cbox_init.errors import ImportFailed
from cbox_init.importers.model import (
    MOST_PROCESSES,
    Imported,
    ImportedProcess,
    Note,
    NoteKind,
    Notes,
    Origin,
    Tree,
    literal,
)
from cbox_init.importers.values import duration, seconds
from cbox_init.importers.writer import write
from cbox_init.sensitive import (
    command_without_secrets,
    names_a_place,
    passwords_in_urls,
    sounds_secret,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cbox_init.importers.model import Value

_LONGEST_NAME: Final = 100
_NOT_IN_NAMES: Final = re.compile(r"[^\w.@+:~-]+", re.ASCII)
_DEFAULT_SHUTDOWN_S: Final = 30.0
_LONGEST_SHUTDOWN_S: Final = 3600.0
_DEFAULT_MOST_INSTANCES: Final = 100
_MOST_INSTANCES: Final = 5000
_LAST_PORT: Final = 65535


class Combined:
    """A whole configuration, and every note about it."""

    def __init__(
        self,
        made_from: Sequence[str],
        global_: Tree,
        hooks: dict[str, list[Tree]],
        processes: dict[str, ImportedProcess],
        notes: Notes,
    ) -> None:
        self._made_from = made_from
        self._notes = notes
        self.global_ = global_
        self.hooks = hooks
        self.processes = processes

    @property
    def text(self) -> str:
        """The configuration as YAML."""
        return write(
            _header(self._made_from),
            self.global_,
            self.hooks,
            {
                name: (_comments(name, one, self._notes), _ordered(one.keys))
                for name, one in self.processes.items()
            },
        )

    def text_for(self, base: str) -> str:
        """The configuration for a file elsewhere: paths that count from ``base`` are absolute."""
        before = {name: one.keys.get("env_file") for name, one in self.processes.items()}
        try:
            for name, value in before.items():
                if value is not None:
                    self.processes[name].keys["env_file"] = _absolute(value, os.path.abspath(base))
            return self.text
        finally:
            for name, value in before.items():
                if value is not None:
                    self.processes[name].keys["env_file"] = value

    @property
    def notes(self) -> tuple[Note, ...]:
        """The notes in the order of the sources."""
        return _in_order(self._notes)

    @property
    def more(self) -> int:
        """How many notes are beyond the limit."""
        return self._notes.more

    def lost(self, process: str | None, key: str, why: str, hint: str) -> None:
        """Note that a key of the result had to be left out."""
        self._note(NoteKind.LOST, process, key, why, hint)

    def changed(self, process: str | None, key: str, why: str, hint: str) -> None:
        """Note what a key of the result needs where it runs."""
        self._note(NoteKind.CHANGED, process, key, why, hint)

    def _note(self, kind: NoteKind, process: str | None, key: str, why: str, hint: str) -> None:
        if process is not None:
            origin = self.processes[process].origin
        else:
            origin = Origin(self._made_from[0] if self._made_from else "")
        self._notes.add((Note(kind, origin, key, why, hint, process),))


def combine(sources: Sequence[Imported], made_from: Sequence[str]) -> Combined:
    """One configuration of all sources, ``made_from`` the files as they were named. Raises ImportFailed."""
    found = [process for source in sources for process in source.processes]
    if len(found) > MOST_PROCESSES:
        raise ImportFailed(f"{len(found)} processes are more than {MOST_PROCESSES}; import fewer at a time")
    notes = Notes(made_from[0] if made_from else "")
    processes: dict[str, ImportedProcess] = {}
    for source in sources:
        renamed = _take(source, processes, notes)
        notes.add(
            one._replace(process=renamed.get(one.process or "", one.process)) for one in source.notes.found
        )
        notes.more += source.notes.more
    _without_circles(processes, notes)
    global_ = _globals(sources, notes)
    _within_limits(processes, global_, notes)
    hooks: dict[str, list[Tree]] = {}
    for source in sources:
        for moment, entries in source.hooks.items():
            hooks.setdefault(moment, []).extend(entries)
    for name, process in processes.items():
        _note_secrets(name, process, notes)
    _note_secret(global_, "global", Origin(made_from[0] if made_from else ""), notes)
    return Combined(made_from, global_, hooks, processes, notes)


def _absolute(value: Value, base: str) -> Value:
    """The value of ``env_file`` with absolute paths."""
    if isinstance(value, list):
        return [_absolute(one, base) for one in value]
    if isinstance(value, dict):
        return {key: _absolute(one, base) if key == "path" else one for key, one in value.items()}
    return os.path.join(literal(base), str(value))


def _header(made_from: Sequence[str]) -> list[str]:
    names = ", ".join(str(Origin(name)) for name in made_from[:5])
    more = f" and {len(made_from) - 5} more files" if len(made_from) > 5 else ""
    return [f"Made by cbox-init import from {names}{more}."]


def _ordered(keys: Tree) -> Tree:
    """The keys in the order of the model."""
    return {key: keys[key] for key in (*fields_of(ProcessConfig), *keys) if key in keys}


def _in_order(notes: Notes) -> tuple[Note, ...]:
    files = {file: place for place, file in enumerate(dict.fromkeys(one.origin.file for one in notes.found))}
    return tuple(sorted(notes.found, key=lambda one: (files[one.origin.file], one.origin.line or 0)))


def _take(source: Imported, processes: dict[str, ImportedProcess], notes: Notes) -> dict[str, str]:
    """Add the processes of one source, under names that are free and valid: return these."""
    renamed: dict[str, str] = {}
    for process in source.processes:
        name = _valid(process.name)
        if name != process.name:
            why = f"the process is called {name}: its name is part of URLs"
            notes.add((Note(NoteKind.CHANGED, process.origin, process.name, why, "", name),))
        free, number = name, 2
        while free in processes:
            free, number = f"{name}-{number}", number + 1
        if free != name:
            other = processes[name].origin
            why = f"the process is called {free}: {other} has a {name} too"
            notes.add((Note(NoteKind.CHANGED, process.origin, process.name, why, "", free),))
        renamed.setdefault(process.name, free)
        process.name = free
        processes[free] = process
    for process in source.processes:
        _rename_dependencies(process, renamed, notes)
    return renamed


def _valid(name: str) -> str:
    plain = re.sub("-{2,}", "-", _NOT_IN_NAMES.sub("-", name)).strip("-")[:_LONGEST_NAME]
    return plain if plain not in ("", ".", "..") else "process"


def _rename_dependencies(process: ImportedProcess, renamed: dict[str, str], notes: Notes) -> None:
    needs = process.keys.get("depends_on")
    if not isinstance(needs, list):
        return
    kept: list[Value] = []
    for need in needs:
        if str(need) not in renamed:
            why = f"{need} is not among the files"
            hint = "import its file too, or remove the dependency"
            notes.add((Note(NoteKind.LOST, process.origin, "depends_on", why, hint, process.name),))
        elif renamed[str(need)] != process.name and renamed[str(need)] not in kept:
            kept.append(renamed[str(need)])
    if kept:
        process.keys["depends_on"] = kept
    else:
        del process.keys["depends_on"]


def _without_circles(processes: dict[str, ImportedProcess], notes: Notes) -> None:
    """Remove each dependency that closes a circle."""
    done: set[str] = set()
    for start in processes:
        trail: dict[str, list[Value]] = {}
        if start not in done:
            trail[start] = _needs(processes[start])
        while trail:
            name, left = next(reversed(trail.items()))
            if not left:
                del trail[name]
                done.add(name)
                continue
            other = str(left.pop())
            if other in trail:
                _drop_need(processes[name], other, notes)
            elif other in processes and other not in done:
                trail[other] = _needs(processes[other])


def _needs(process: ImportedProcess) -> list[Value]:
    needs = process.keys.get("depends_on")
    return list(needs) if isinstance(needs, list) else []


def _drop_need(process: ImportedProcess, other: str, notes: Notes) -> None:
    left = [need for need in _needs(process) if need != other]
    if left:
        process.keys["depends_on"] = left
    else:
        del process.keys["depends_on"]
    why = f"{process.name} and {other} wait for each other"
    hint = "one direction is left out: check which one is needed"
    notes.add((Note(NoteKind.LOST, process.origin, "depends_on", why, hint, process.name),))


def _globals(sources: Sequence[Imported], notes: Notes) -> Tree:
    result: Tree = {}
    for source in sources:
        for key, value in source.global_.items():
            if result.setdefault(key, value) != value:
                origin = source.processes[0].origin if source.processes else Origin("")
                why = f"another file sets it to {result[key]!r}, which is kept"
                hint = "set it by hand if the other value is needed"
                notes.add((Note(NoteKind.LOST, Origin(origin.file), f"global.{key}", why, hint),))
    return result


def _within_limits(processes: dict[str, ImportedProcess], global_: Tree, notes: Notes) -> None:
    """Raise the limits of ``global`` to what the processes need, as far as there are no limits above."""
    longest, most = _DEFAULT_SHUTDOWN_S, _DEFAULT_MOST_INSTANCES
    for name, process in processes.items():
        shutdown = process.keys.get("shutdown")
        if isinstance(shutdown, dict) and isinstance(given := shutdown.get("timeout"), str):
            wanted = seconds(given) or 0.0
            if wanted > _LONGEST_SHUTDOWN_S:
                why = f"{given} to stop is more than an hour"
                _lost(notes, process, "shutdown.timeout", why, "1h is written, the longest that there is")
                shutdown["timeout"] = "1h"
            longest = max(longest, min(wanted, _LONGEST_SHUTDOWN_S))
        scale = process.keys.get("scale")
        if isinstance(scale, int) and scale > _MOST_INSTANCES:
            why = f"{scale} instances are more than {_MOST_INSTANCES}"
            _lost(notes, process, "scale", why, f"{_MOST_INSTANCES} are written")
            process.keys["scale"] = _MOST_INSTANCES
            scale = _MOST_INSTANCES
        most = max(most, scale) if isinstance(scale, int) else most
        base = process.keys.get("port_base")
        if (
            isinstance(base, int)
            and not 0 < base + (scale if isinstance(scale, int) else 1) <= _LAST_PORT + 1
        ):
            _lost(
                notes,
                process,
                "port_base",
                f"{base} is not a port for all instances of {name}",
                "set port_base",
            )
            del process.keys["port_base"]
    if longest > _DEFAULT_SHUTDOWN_S:
        global_["shutdown_timeout"] = duration(longest)
    if most > _DEFAULT_MOST_INSTANCES:
        global_["max_process_scale"] = most


def _lost(notes: Notes, process: ImportedProcess, key: str, why: str, hint: str) -> None:
    notes.add((Note(NoteKind.LOST, process.origin, key, why, hint, process.name),))


def _note_secrets(name: str, process: ImportedProcess, notes: Notes) -> None:
    env = process.keys.get("env")
    for key, value in env.items() if isinstance(env, dict) else ():
        if _is_secret(key, str(value)):
            why = f"the value of {key} is carried over in clear text"
            hint = f"write ${{{key}}} and set it for the container, or use env_file"
            notes.add((Note(NoteKind.SECRET, process.origin, f"env.{key}", why, hint, name),))
    command = process.keys.get("command")
    words = [str(word) for word in command] if isinstance(command, list) else str(command or "").split()
    if command_without_secrets(words) != words:
        why = "a secret in the command is carried over in clear text"
        hint = "put it into env or env_file: every user can see the arguments of a process"
        notes.add((Note(NoteKind.SECRET, process.origin, "command", why, hint, name),))


def _note_secret(global_: Tree, key: str, origin: Origin, notes: Notes) -> None:
    token = global_.get("api_auth")
    if isinstance(token, str) and "${" not in token:
        why = "the password is carried over as the token of the API, in clear text"
        hint = "make one with `cbox-init token new`, and put its hash under api_tokens"
        notes.add((Note(NoteKind.SECRET, origin, f"{key}.api_auth", why, hint),))


def _is_secret(name: str, value: str) -> bool:
    if not value or value.startswith("${"):
        return False
    if any(not found.startswith(("$", "{")) for found in passwords_in_urls(value)):
        return True
    return sounds_secret(name) and not names_a_place(name) and len(value) > 3 and not value.isdigit()


def _comments(name: str, process: ImportedProcess, notes: Notes) -> list[str]:
    """Where the process comes from, and what of it is not carried over."""
    lines = [str(process.origin)]
    lines += [
        f"not carried over: {note.key}: {note.text}"
        for note in notes.found
        if note.kind is NoteKind.LOST and note.process == name
    ]
    return lines
