"""Directories of s6-rc, s6-overlay (also as it was before version 3) and s6."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from cbox_init.errors import ImportFailed
from cbox_init.importers.model import (
    Imported,
    ImportedProcess,
    Note,
    NoteKind,
    Origin,
    Tree,
    literal,
    section_of,
)
from cbox_init.importers.values import command_value, duration, number, put_env, split_words

if TYPE_CHECKING:
    from cbox_init.importers.source import SourceFiles

_MOST_SERVICES: Final = 1000
#: Services that s6-overlay itself brings.
_OF_OVERLAY: Final = re.compile(
    r"base|base-addon-.*|fix-attrs|init|init-services|legacy-cont-init|legacy-services|preinit|container-environment"
    r"|svscan-.*|syslogd-.*|user|user2|top|default"
)
_START_BUNDLES: Final = ("user", "default", "user2")
_ENDS_CONTAINER: Final = re.compile(
    r"\bhalt\b|s6-svscanctl\s+-\S*t|/run/s6/basedir/bin/halt|s6-linux-init-hpr"
)
_EXECLINE_SIGNS: Final = re.compile(r"[{}$]")
_SHEBANG: Final = re.compile(r"#!\s*(\S+)[ \t]*(.*)")
_HOOK_TIMEOUT: Final = "5m"
_KNOWN: Final = frozenset(
    (
        *("type", "run", "up", "down", "finish", "dependencies", "dependencies.d", "contents", "contents.d"),
        *("notification-fd", "timeout-kill", "timeout-finish", "timeout-up", "timeout-down", "down-signal"),
        *(
            "max-death-tally",
            "producer-for",
            "consumer-for",
            "pipeline-name",
            "env",
            "data",
            "log",
            "flag-essential",
        ),
        *("flag-newpidns", "lock-fd", "nosetsid", "event", "supervise", "README", "README.md"),
    )
)
_LOST: Final = {
    "notification-fd": (
        "readiness on a descriptor is not read",
        "set a health_check, or type: notify with a program that calls sd_notify",
    ),
    "timeout-up": ("a oneshot has no time limit", "put `timeout` in front of the command"),
    "timeout-down": ("has no meaning here", "leave it out"),
    "lock-fd": ("there is no lock", "leave it out"),
    "producer-for": ("the output goes to standard output, not into another service", "set logging.outputs"),
    "pipeline-name": ("there are no pipelines", "leave it out"),
    "flag-newpidns": ("there is no namespace of PIDs for a process", "leave it out"),
    "max-death-tally": ("is not a number", "set max_restarts"),
}


class _Entry(NamedTuple):
    """A directory of a service."""

    name: str
    path: str
    kind: str


def is_source(path: str, files: SourceFiles) -> bool:
    """Whether a directory is one that `read` knows."""
    return bool(_roots(path, files)) or any(
        _kind(os.path.join(path, name), files) for name in files.names_in(path)[:_MOST_SERVICES]
    )


def read(path: str, files: SourceFiles) -> Imported:
    """The services of a directory: of a root file system with s6-overlay, or of the services themselves."""
    imported = Imported(path)
    reader = _S6Reader(imported, files)
    roots = _roots(path, files)
    for kind, folder in roots:
        if kind == "hooks":
            reader.hooks(folder, "pre-start")
        elif kind == "owners":
            reader.owners(folder)
        elif kind == "finish":
            reader.hooks(folder, "post-stop")
        else:
            reader.services(folder)
    if not roots:
        reader.services(path)
    if not imported.processes and not imported.hooks:
        raise ImportFailed(
            f"{path}: no services of s6 in this directory; name s6-rc.d, services.d or a root file system"
        )
    return imported


def _roots(path: str, files: SourceFiles) -> list[tuple[str, str]]:
    """The folders of s6-overlay below a directory, with what is in them."""
    name = os.path.basename(os.path.normpath(path))
    alone = {
        "cont-init.d": "hooks",
        "cont-finish.d": "finish",
        "services.d": "services",
        "s6-rc.d": "services",
    }
    if name in alone:
        return [(alone[name], path)]
    places = (
        ("owners", "fix-attrs.d"),
        ("owners", "etc/fix-attrs.d"),
        ("hooks", "cont-init.d"),
        ("hooks", "etc/cont-init.d"),
        ("services", "s6-rc.d"),
        ("services", "etc/s6-overlay/s6-rc.d"),
        ("services", "services.d"),
        ("services", "etc/services.d"),
        ("finish", "cont-finish.d"),
        ("finish", "etc/cont-finish.d"),
    )
    found = ((kind, os.path.join(path, place)) for kind, place in places)
    return [(kind, folder) for kind, folder in found if files.is_directory(folder)]


def _kind(folder: str, files: SourceFiles) -> str:
    """The type of a service: as its file says, else longrun where there is a run script; "" for none."""
    place = os.path.join(folder, "type")
    if files.is_file(place):
        return files.text(place).strip()
    return "longrun" if files.is_file(os.path.join(folder, "run")) else ""


def in_image(path: str) -> str:
    """The path that a file has in the image, when it is below a copy of its root."""
    whole = os.path.abspath(path)
    for place in (
        "/etc/s6-overlay/",
        "/etc/services.d/",
        "/etc/cont-init.d/",
        "/etc/cont-finish.d/",
        "/etc/s6-rc/",
    ):
        at = whole.rfind(place)
        if at >= 0:
            return whole[at:]
    return whole


class _S6Reader:
    def __init__(self, imported: Imported, files: SourceFiles) -> None:
        self._imported = imported
        self._files = files
        self._bundles: dict[str, list[str]] = {}
        self._pipelines: dict[str, list[str]] = {}
        self._entries: dict[str, _Entry] = {}

    def hooks(self, folder: str, moment: str) -> None:
        """The scripts of cont-init.d or cont-finish.d, in the order of their names."""
        for name in self._files.names_in(folder)[:_MOST_SERVICES]:
            path = os.path.join(folder, name)
            if not self._files.is_file(path):
                continue
            words = self._script(path)
            hook: Tree = {"name": name, "command": command_value(words), "timeout": _HOOK_TIMEOUT}
            if moment == "pre-start":
                hook["continue_on_error"] = True
            self._imported.hooks.setdefault(moment, []).append(hook)

    def owners(self, folder: str) -> None:
        """The files of fix-attrs.d, which set owners and modes."""
        for name in self._files.names_in(folder)[:_MOST_SERVICES]:
            path = os.path.join(folder, name)
            if self._files.is_file(path):
                why = "owners and modes are not set from a file"
                hint = "run chown and chmod in the Dockerfile, or in hooks.pre-start"
                self._note(NoteKind.LOST, path, why, hint, None)

    def services(self, folder: str) -> None:
        """The services of one directory."""
        self._bundles, self._pipelines, self._entries = {}, {}, {}
        names = self._files.names_in(folder)
        if len(names) > _MOST_SERVICES:
            raise ImportFailed(f"{folder} has more than {_MOST_SERVICES} services; import fewer at a time")
        for name in names:
            path = os.path.join(folder, name)
            if not self._files.is_directory(path):
                continue
            kind = _kind(path, self._files)
            if kind == "bundle":
                self._bundles[name] = self._listed(path, "contents")
            elif kind in ("longrun", "oneshot"):
                self._entries[name] = _Entry(name, path, kind)
            elif name not in _START_BUNDLES:
                why = "has no type and no run script" if not kind else f"{kind[:40]!r} is not a type"
                place = os.path.join(path, "type")
                self._note(NoteKind.LOST, place, why, "write oneshot, longrun or bundle", None)
        for entry in self._entries.values():
            self._pipeline(entry)
        wanted = self._wanted()
        for entry in self._entries.values():
            self._service(entry, wanted)
        for name in self._bundles:
            names_in = " ".join(self._members(name))
            if name not in _START_BUNDLES and names_in:
                why = "there are no bundles: commands take several names"
                place = os.path.join(folder, name, "contents.d")
                self._note(NoteKind.CHANGED, place, why, f"run `cbox-init start {names_in}`", None)

    def _listed(self, path: str, what: str) -> list[str]:
        """The names of ``contents.d`` or ``dependencies.d``, or of the file without the .d."""
        names = self._files.names_in(os.path.join(path, f"{what}.d"))
        file = os.path.join(path, what)
        if self._files.is_file(file):
            names += [
                line.strip()
                for line in self._files.text(file).split("\n")
                if line.strip() and not line.startswith("#")
            ]
        return list(dict.fromkeys(names))

    def _pipeline(self, entry: _Entry) -> None:
        """Note the services of a pipeline: its last one names it, and each names what writes to it."""
        names = self._listed(entry.path, "pipeline-name")
        if not names:
            return
        members, left = [entry.name], self._listed(entry.path, "consumer-for")
        while left:
            name = left.pop()
            if name in self._entries and name not in members:
                members.append(name)
                left += self._listed(self._entries[name].path, "consumer-for")
        self._pipelines[names[0]] = members

    def _is_logger(self, name: str) -> bool:
        """Whether a service only takes the output of others: it is not carried over."""
        entry = self._entries.get(name)
        return entry is not None and self._files.is_file(os.path.join(entry.path, "consumer-for"))

    def _members(self, name: str) -> list[str]:
        """The services of a bundle, also of bundles in it; a service itself is its only member."""
        found: dict[str, None] = {}
        seen: set[str] = set()
        left = [name]
        while left:
            one = left.pop()
            if one in self._pipelines:
                found.update(dict.fromkeys(self._pipelines[one]))
            elif one not in self._bundles:
                found[one] = None
            elif one not in seen:
                seen.add(one)
                left += reversed(self._bundles[one])
        return list(found)

    def _wanted(self) -> set[str] | None:
        """The services that are started: those of the bundle user and what they need; None: all."""
        starts = [name for name in _START_BUNDLES if name in self._bundles]
        if not starts:
            return None
        wanted: set[str] = set()
        left = [one for name in starts for one in self._members(name)]
        while left:
            name = left.pop()
            if name in wanted:
                continue
            wanted.add(name)
            if (entry := self._entries.get(name)) is not None:
                left += [
                    one for need in self._listed(entry.path, "dependencies") for one in self._members(need)
                ]
        return wanted

    def _service(self, entry: _Entry, wanted: set[str] | None) -> None:
        keys: Tree = {}
        names = self._files.names_in(entry.path)
        if "consumer-for" in names:
            self._lost(
                entry, "consumer-for", "a logger of other services is not needed", "set logging.outputs"
            )
            return
        if entry.kind == "oneshot":
            keys["type"] = "oneshot"
            if not self._oneshot(entry, keys):
                return
        else:
            run = os.path.join(entry.path, "run")
            if not self._files.is_file(run):
                self._lost(entry, "run", "has no run script", "write a command")
                return
            keys["command"] = command_value(self._script(run, entry.name))
            keys.update({"restart": "always", "restart_delay": "1s", "max_restart_delay": "1s"})
            keys["max_restarts"] = "unlimited"
            self._finish(entry, keys)
        for name in names:
            self._file(entry, name, keys)
        needs: list[str] = []
        for need in self._listed(entry.path, "dependencies"):
            needs += [
                one
                for one in self._members(need)
                if not (_OF_OVERLAY.fullmatch(one) and one not in self._entries) and not self._is_logger(one)
            ]
        if needs:
            keys["depends_on"] = list(dict.fromkeys(needs))
        if wanted is not None and entry.name not in wanted:
            keys["initial_state"] = "stopped"
            self._changed(entry, "type", "is in no bundle that is started: starts by a command only")
        origin = Origin(os.path.join(entry.path, "run" if entry.kind == "longrun" else "up"))
        self._imported.add(ImportedProcess(entry.name, origin, keys))

    def _lost(self, entry: _Entry, name: str, why: str, hint: str) -> None:
        self._note(NoteKind.LOST, os.path.join(entry.path, name), why, hint, entry.name)

    def _changed(self, entry: _Entry, name: str, why: str, hint: str = "") -> None:
        self._note(NoteKind.CHANGED, os.path.join(entry.path, name), why, hint, entry.name)

    def _note(self, kind: NoteKind, path: str, why: str, hint: str, process: str | None) -> None:
        self._imported.notes.add((Note(kind, Origin(path), os.path.basename(path), why, hint, process),))

    def _oneshot(self, entry: _Entry, keys: Tree) -> bool:
        up, down = os.path.join(entry.path, "up"), os.path.join(entry.path, "down")
        if not self._files.is_file(up):
            self._lost(entry, "up", "has no up", "write a command")
            return False
        keys["command"] = command_value(self._execline(up, entry))
        if self._files.is_file(down) and self._files.text(down).strip():
            hook: Tree = {"name": f"{entry.name}-down", "command": command_value(self._execline(down, entry))}
            hook["continue_on_error"] = True
            self._imported.hooks.setdefault("post-stop", []).insert(0, hook)
            self._changed(entry, "down", "becomes a post-stop hook: it runs when all has stopped")
        return True

    def _execline(self, path: str, entry: _Entry) -> list[str]:
        """The words of an ``up``: one command of execline, without it where it needs none of its commands."""
        text = self._files.text(path)
        lines = [
            line.strip() for line in text.split("\n") if line.strip() and not line.strip().startswith("#")
        ]
        words = split_words(lines[0]) if len(lines) == 1 else None
        if words and not _EXECLINE_SIGNS.search(lines[0]):
            return self._without_contenv(words)
        self._changed(entry, os.path.basename(path), "is a script of execline, which must be in the image")
        return ["execlineb", "-P", literal(in_image(path))]

    def _without_contenv(self, words: list[str]) -> list[str]:
        if os.path.basename(words[0]) == "with-contenv" and len(words) > 1:
            words = words[1:]
        return [literal(word) for word in words]

    def _script(self, path: str, name: str | None = None) -> list[str]:
        """How to run a script: by itself, or by its interpreter where its first line needs s6-overlay."""
        place = literal(in_image(path))
        if self._files.begins_with(path, (b"\x7fELF",)):
            return [place]
        text = self._files.text(path)
        found = _SHEBANG.match(text)
        if found is None:
            if name is None:
                return ["sh", place]
            self._note(NoteKind.CHANGED, path, "has no #! line: sh runs it", "", name)
            return ["sh", place]
        program, words = os.path.basename(found[1]), split_words(found[2]) or []
        if program == "env" and words and os.path.basename(words[0]) == "with-contenv":
            program, words = "with-contenv", words[1:]
        if program == "with-contenv":
            if "s6-setuidgid" in text or "s6-" in text:
                self._s6_programs(text, path, name)
            return [*words, place] if words else ["sh", place]
        if program == "execlineb":
            why = "is a script of execline, which must be in the image"
            self._note(NoteKind.CHANGED, path, why, "write the command itself to do without", name)
        else:
            self._s6_programs(text, path, name)
        if not self._files.is_executable(path):
            if found[1] == "/usr/bin/env":
                return [words[0] if words else "sh", place]
            return [os.path.basename(found[1]), *words, place]
        return [place]

    def _s6_programs(self, text: str, path: str, name: str | None) -> None:
        programs = sorted(set(re.findall(r"(?<![\w/-])(s6-[a-z0-9-]+)", text)))[:5]
        if programs:
            why = f"the script runs {', '.join(programs)}, which must be in the image"
            hint = "write user, working_dir and env for the same" if "s6-setuidgid" in programs else ""
            self._note(NoteKind.CHANGED, path, why, hint, name)

    def _finish(self, entry: _Entry, keys: Tree) -> None:
        path = os.path.join(entry.path, "finish")
        if not self._files.is_file(path):
            return
        text = self._files.text(path)
        if _ENDS_CONTAINER.search(text):
            for key in ("restart", "restart_delay", "max_restart_delay", "max_restarts"):
                keys.pop(key, None)
            keys["on_exit"] = "shutdown"
            self._changed(entry, "finish", "becomes on_exit: shutdown: the container ends with it")
        elif "125" in text:
            self._lost(
                entry,
                "finish",
                "an exit with 125 does not stop it for good",
                "set restart: on-failure, or max_restarts",
            )
        else:
            self._lost(
                entry, "finish", "nothing runs after each end", "shutdown.post_stop_hook runs after a stop"
            )

    def _file(self, entry: _Entry, name: str, keys: Tree) -> None:
        path = os.path.join(entry.path, name)
        if name in ("timeout-kill", "timeout-finish", "max-death-tally"):
            found = number(self._files.text(path).strip())
            if found is None or found < 0:
                self._lost(entry, name, "is not a number", "write one")
            elif name == "timeout-kill" and found:
                section_of(keys, "shutdown")["timeout"] = duration(found / 1000)
            elif name == "max-death-tally" and entry.kind == "longrun" and "max_restarts" in keys:
                keys["max_restarts"] = found or "unlimited"
            return
        if name == "down-signal":
            signal = self._files.text(path).strip()
            section_of(keys, "shutdown")["signal"] = signal[:40]
        elif name == "down" and entry.kind == "longrun":
            keys["initial_state"] = "stopped"
        elif name == "env" and self._files.is_directory(path):
            env = {
                one: literal(self._files.text(os.path.join(path, one)).split("\n")[0])
                for one in self._files.names_in(path)
                if "=" not in one and self._files.is_file(os.path.join(path, one))
            }
            put_env(keys, env)
        elif name == "log":
            self._lost(
                entry,
                "log",
                "a logger is not needed: the output goes to standard output",
                "set logging.outputs",
            )
        elif name in _LOST:
            if name != "max-death-tally":
                self._lost(entry, name, *_LOST[name])
        elif name not in _KNOWN:
            self._lost(entry, name, "unknown file", "leave it out where the scripts do not use it")
