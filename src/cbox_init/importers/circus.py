"""circus.ini."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from cbox_init.importers.ini import IniEntry, parse_ini
from cbox_init.importers.model import Imported, ImportedProcess, Notes, Origin, Tree, literal, reference
from cbox_init.importers.values import (
    boolean,
    command_value,
    duration,
    is_name,
    number,
    put_env,
    seconds,
    shell_command,
    split_words,
)

if TYPE_CHECKING:
    from cbox_init.importers.ini import IniSection
    from cbox_init.importers.source import SourceFiles

_EXPANSION: Final = re.compile(r"(?:\$\(|\(\()circus\.([a-zA-Z0-9_.]+)(?:\)\)|\))", re.ASCII)
#: A variable of the environment in [env].
_VARIABLE: Final = re.compile(r"\$([A-Za-z_]\w*)", re.ASCII)
_DEFAULT_PRIORITY: Final = 0
_OWN_STREAMS: Final = ("StdoutStream", "FancyStdoutStream", "StderrStream")
_FILE_STREAMS: Final = ("FileStream", "WatchedFileStream", "TimedRotatingFileStream")
_LOST: Final = {
    "use_sockets": ("sockets are not passed on to children", "let the program listen itself"),
    "max_age": ("instances are not replaced by their age", "restart it by a schedule that calls the API"),
    "max_age_variance": ("instances are not replaced by their age", "leave it out"),
    "virtualenv": ("there is no virtualenv key", "write the Python of the virtualenv as the program"),
    "virtualenv_py_ver": ("there is no virtualenv key", "leave it out"),
    "on_demand": ("instances do not start with the first connection", "leave it out"),
    "rlimit_as": ("limits has no address space", "set limits.memory"),
    "copy_path": ("PATH is inherited", "set PATH in env where it has to differ"),
    "singleton": ("scale is not limited by it", "set scale_locked: true"),
    "respawn_delay": ("unknown key", "set restart_delay"),
    "send_hup": ("a reload sends no signal", "restart it by `cbox-init restart`"),
    "stdin_socket": ("sockets are not passed on to children", "let the program listen itself"),
    "close_child_stdin": ("standard input is /dev/null", "set stdin: pipe where it must stay open"),
    "rlimit_fsize": ("limits has no size of files", "use --ulimit fsize of the container"),
    "rlimit_stack": ("limits has no stack", "use --ulimit stack of the container"),
}
_NEEDLESS: Final = frozenset(
    ("copy_env", "close_child_stdout", "close_child_stderr", "stop_children", "shell_args")
)
#: Keys that are read with another one.
_TOGETHER: Final = frozenset(("cmd", "args", "shell", "respawn", "priority"))
_RLIMITS: Final = {"rlimit_nofile": "nofile", "rlimit_nproc": "nproc", "rlimit_core": "core"}
_OF_ARBITER: Final = {
    "check_delay": "nothing is polled here",
    "endpoint": "the API takes its place",
    "pubsub_endpoint": "the API takes its place: /api/v1/logs/stream",
    "stats_endpoint": "use the metrics",
    "endpoint_owner": "use api_socket_group",
    "pidfile": "there is no PID file",
    "logoutput": "everything goes to standard output",
    "umask": "set umask for each process",
    "loglevel": "log_level holds for the lines of processes too",
    "debug": "set log_level: debug",
    "statsd": "use the metrics",
    "httpd": "the API takes its place",
    "stream_backend": "nothing is polled here",
    "warmup_delay": "instances start at once",
}


def read(path: str, text: str, files: SourceFiles) -> Imported:
    """The watchers of a circus.ini."""
    imported = Imported(path)
    sections = parse_ini(text)
    priorities: dict[str, int] = {}
    environments = [section for section in sections if section.name.partition(":")[0] == "env"]
    for section in sections:
        kind, _, name = section.name.partition(":")
        if kind == "watcher" and name.strip():
            _watcher(imported, section, name.strip(), environments, priorities)
        elif kind == "circus":
            _arbiter(imported, section)
        elif kind == "socket":
            why = "sockets are not opened for children"
            hint = "let the program listen itself; several instances get ports by port_base"
            imported.notes.lost(section.line, section.name, why, hint)
        elif kind == "plugin":
            imported.notes.lost(
                section.line, section.name, "there are no plugins", "use the API and the metrics"
            )
        elif kind == "" and section.name == "":
            for entry in section.entries:
                imported.notes.lost(entry.line, entry.key, "stands outside of any section", "remove it")
        elif kind != "env":
            imported.notes.lost(
                section.line, section.name, "unknown section", "remove it, or write it by hand"
            )
    imported.processes.sort(key=lambda one: -priorities.get(one.name, _DEFAULT_PRIORITY))
    return imported


def _arbiter(imported: Imported, section: IniSection) -> None:
    for entry in section.entries:
        key = entry.key.lower()
        if key in ("include", "include_dir"):
            imported.notes.lost(
                entry.line, f"circus.{key}", "is not followed", "import these files too, in one call"
            )
        elif key in _OF_ARBITER:
            imported.notes.changed(entry.line, f"circus.{key}", f"not needed: {_OF_ARBITER[key]}")
        else:
            imported.notes.lost(entry.line, f"circus.{entry.key}", "unknown key", "remove it")


def _variables(sections: list[IniSection], watcher: str) -> dict[str, str]:
    """The variables of [env] and of each [env:…] whose names or patterns fit the watcher."""
    env: dict[str, str] = {}
    for section in sections:
        kind, _, names = section.name.partition(":")
        if kind == "env" and (
            not names or any(fnmatchcase(watcher, one.strip()) for one in names.split(","))
        ):
            env.update({entry.key: entry.value or "" for entry in section.entries if "=" not in entry.key})
    return env


def _watcher(
    imported: Imported,
    section: IniSection,
    name: str,
    environments: list[IniSection],
    priorities: dict[str, int],
) -> None:
    entries = {entry.key.lower(): entry for entry in section.entries}
    notes, keys = imported.notes, Tree()
    env = _variables(environments, name)
    put = _Expander(name, env, notes, section)
    if not _command(keys, entries, put, section, notes, name):
        return
    for entry in section.entries:
        _entry(keys, entry, put, notes, section, name)
    _streams(keys, entries, put, notes, section, name)
    if boolean(entries["respawn"].value if "respawn" in entries else "true") is False:
        keys["restart"] = "never"
    else:
        keys["restart"] = "always"
        keys.setdefault("restart_delay", "100ms")
        keys.setdefault("max_restarts", 5)
    if not boolean(entries["copy_env"].value if "copy_env" in entries else "false"):
        keys["environment"] = "clean"
    put_env(keys, {key: _VARIABLE.sub(r"${\1}", put.text(value, None)) for key, value in env.items()})
    priorities[name] = number(entries["priority"].value if "priority" in entries else "0") or 0
    imported.add(ImportedProcess(name, Origin(notes.file, section.line), keys))


class _Expander:
    """Replaces ``$(circus.wid)`` and the like."""

    def __init__(self, name: str, env: dict[str, str], notes: Notes, section: IniSection) -> None:
        self._name = name
        self._env = {key.lower(): value for key, value in env.items()}
        self._notes = notes
        self._section = section

    def text(self, text: str, entry: IniEntry | None) -> str:
        """A text of the file."""
        return self.in_literal(literal(text), entry)

    def in_literal(self, text: str, entry: IniEntry | None) -> str:
        """A text that went through `literal`."""

        def put(found: re.Match[str]) -> str:
            what = found[1].lower()
            if what == "wid":
                return reference("CBOX_INIT_INSTANCE_NUMBER")
            if what in ("name", "watcher.name"):
                return self._name
            if what.startswith("env."):
                own = self._env.get(what[4:])
                if own is not None:
                    return literal(own)
                return reference(found[1][4:].upper()) if is_name(found[1][4:]) else found[0]
            line = entry.line if entry is not None else self._section.line
            why = f"{found[0]} is not known here"
            hint = (
                "let the program listen itself" if what.startswith("sockets") else "write what stands for it"
            )
            self._notes.lost(line, f"{self._section.name}", why, hint, process=self._name)
            return found[0]

        return _EXPANSION.sub(put, text)


def _command(
    keys: Tree, entries: dict[str, IniEntry], put: _Expander, section: IniSection, notes: Notes, name: str
) -> bool:
    entry = entries.get("cmd")
    line = entry.value or "" if entry else ""
    arguments = entries.get("args")
    if arguments is not None and arguments.value:
        line = f"{line} {arguments.value}"
    line = line.replace("\n", " ")
    words = split_words(line)
    if entry is None or not words:
        why = "has no cmd" if entry is None or not entry.value else "the quotes of cmd do not match"
        notes.lost(entry.line if entry else section.line, section.name, why, "write one")
        return False
    if "shell" in entries and boolean(entries["shell"].value):
        found = shell_command(line)
        assert found is not None  # its quotes match
        keys["command"] = command_value([put.in_literal(word, entry) for word in found.words])
        put_env(keys, found.env)
    else:
        keys["command"] = command_value([put.text(word, entry) for word in words])
    return True


def _entry(keys: Tree, entry: IniEntry, put: _Expander, notes: Notes, section: IniSection, name: str) -> None:
    key = entry.key.lower()
    if key in _TOGETHER:
        return
    value = put.text(entry.value or "", entry)

    def lost(why: str, hint: str) -> None:
        notes.lost(entry.line, f"{section.name}.{entry.key}", why, hint, process=name)

    match key:
        case "numprocesses":
            count = number(value)
            if count is None or count < 0:
                lost(f"expected a whole number, got {value[:40]!r}", "set scale")
            elif count != 1:
                keys["scale"] = count or "off"
        case "working_dir":
            keys["working_dir"] = value
        case "uid":
            keys["user"] = value
        case "gid":
            keys["group"] = value
        case "autostart":
            if boolean(value) is False:
                keys["initial_state"] = "stopped"
        case "stop_signal":
            signal = value.strip().upper()
            _shutdown(keys)["signal"] = signal if signal.isdigit() else f"SIG{signal.removeprefix('SIG')}"
        case "graceful_timeout":
            if (found := seconds(value)) is None:
                lost(f"expected seconds, got {value[:40]!r}", "set shutdown.timeout")
            else:
                _shutdown(keys)["timeout"] = duration(max(found, 0.1))
        case "max_retry":
            tries = number(value)
            if tries is None:
                lost(f"expected a whole number, got {value[:40]!r}", "set max_restarts")
            else:
                keys["max_restarts"] = "unlimited" if tries < 0 else tries
        case "warmup_delay":
            if seconds(value):
                lost("instances start at once, and one after another in a restart", "set rollout.pause")
        case "virtualenv":
            lost(*_LOST[key])
        case _ if key in _RLIMITS:
            if (limit := number(value)) is None or limit < 0:
                lost(f"expected a number, got {value[:40]!r}", f"set limits.{_RLIMITS[key]}")
            else:
                limits = keys.setdefault("limits", {})
                assert isinstance(limits, dict)
                limits[_RLIMITS[key]] = limit
        case _ if key.startswith(("stdout_stream.", "stderr_stream.")):
            pass  # read together
        case _ if key.startswith("hooks."):
            hook = key.partition(".")[2]
            hint = {
                "before_start": "write a oneshot that it depends on",
                "before_stop": "set shutdown.pre_stop_hook",
            }
            lost("hooks here are commands, not functions of Python", hint.get(hook, "set a hook by hand"))
        case _ if key in _LOST:
            lost(*_LOST[key])
        case _ if key not in _NEEDLESS:
            lost("unknown key", "remove it")


def _shutdown(keys: Tree) -> Tree:
    found = keys.setdefault("shutdown", {})
    assert isinstance(found, dict)
    return found


def _streams(
    keys: Tree, entries: dict[str, IniEntry], put: _Expander, notes: Notes, section: IniSection, name: str
) -> None:
    """stdout_stream.… and stderr_stream.…: files become an output, with its rotation."""
    output: Tree = {}
    for stream in ("stdout", "stderr"):
        own = {
            key.partition(".")[2]: entry
            for key, entry in entries.items()
            if key.startswith(f"{stream}_stream.")
        }
        for what, entry in own.items():
            value = put.text(entry.value or "", entry)
            key = f"{section.name}.{entry.key}"
            if what == "filename":
                if output and output["path"] != value:
                    why = "one file has both streams, in the order in which they were written"
                    notes.lost(entry.line, key, why, "let the program write this file", process=name)
                else:
                    output.update({"path": value, "format": "text"})
                    why = "the lines go to standard output too, and each has its time and level"
                    notes.changed(entry.line, key, why, process=name)
            elif what == "class":
                kind = value.rpartition(".")[2]
                if kind not in (*_OWN_STREAMS, *_FILE_STREAMS):
                    why = f"the stream {value} is not known"
                    notes.lost(entry.line, key, why, "see logging.outputs", process=name)
            elif what not in ("max_bytes", "backup_count", "refresh_time", "time_format", "color"):
                notes.lost(entry.line, key, "unknown key of a stream", "see logging.outputs", process=name)
        size = number(own["max_bytes"].value) if "max_bytes" in own else None
        kept = number(own["backup_count"].value) if "backup_count" in own else None
        if "filename" in own and size is not None and size > 0:
            output["rotate"] = {"max_size": size, "max_files": max(1, kept or 1)}
    if output:
        keys["logging"] = {"outputs": {"file": output}}
