"""supervisord.conf."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from cbox_init.config.scalars import parse_size
from cbox_init.errors import ImportFailed
from cbox_init.importers.ini import IniEntry, parse_ini
from cbox_init.importers.model import Imported, ImportedProcess, Notes, Origin, Tree, literal, reference
from cbox_init.importers.values import (
    boolean,
    command_value,
    duration,
    is_name,
    number,
    pairs,
    put_env,
    split_words,
)

if TYPE_CHECKING:
    from cbox_init.importers.ini import IniSection
    from cbox_init.importers.source import SourceFiles

_EXPANSION: Final = re.compile(r"%\(([A-Za-z_]\w*)\)(0?\d{0,2})([sd])|%%", re.ASCII)
_PORT: Final = re.compile(r"(?<!\w)(\d{1,4})%\(process_num\)0?(\d?)d(?!\w)", re.ASCII)
_RESTART: Final = {"true": "always", "unexpected": "on-failure", "false": "never"}
_STANDARD: Final = frozenset(
    ("/dev/stdout", "/dev/stderr", "/dev/fd/1", "/dev/fd/2", "/proc/self/fd/1", "/proc/self/fd/2")
)
_DEFAULT_PRIORITY: Final = 999
_MOST_FILES: Final = 200

#: Keys of [supervisord] that need nothing here, and why.
_NEEDLESS: Final = {
    "logfile": "the daemon's own messages go to standard output with the lines of the processes",
    "logfile_maxbytes": "the daemon's own messages go to standard output",
    "logfile_backups": "the daemon's own messages go to standard output",
    "childlogdir": "the output of processes goes to standard output",
    "pidfile": "there is no PID file: use the API or `cbox-init list`",
    "nocleanup": "there are no log files to clean up",
    "strip_ansi": "use format: text, or JSON, in which colours are escaped",
    "identifier": "the API needs none",
    "silent": "use log_level",
}
_DAEMON_LOST: Final = {
    "user": ("the daemon stays the user that starts it", "set user for each process, or USER in the image"),
    "umask": ("there is no umask of the daemon", "set umask for each process"),
    "directory": ("the daemon stays in its directory", "set working_dir for each process, or WORKDIR"),
    "minfds": ("the daemon does not raise limits", "set limits.nofile for each process, or --ulimit nofile"),
    "minprocs": ("the daemon does not raise limits", "set limits.nproc for each process, or --ulimit nproc"),
    "loglevel": (
        "log_level holds for the lines of processes too",
        "set global.log_level, or logging.min_level of a process",
    ),
}
_PROGRAM_LOST: Final = {
    "stdout_capture_maxbytes": ("there are no events", "follow /api/v1/logs/stream"),
    "stderr_capture_maxbytes": ("there are no events", "follow /api/v1/logs/stream"),
    "stdout_events_enabled": ("there are no events", "follow /api/v1/logs/stream"),
    "stderr_events_enabled": ("there are no events", "follow /api/v1/logs/stream"),
    "serverurl": ("children get no URL of the API", "set it in env"),
}
#: Keys that are read with another one.
_WITH_OTHERS: Final = frozenset(
    (
        *(
            "command",
            "process_name",
            "numprocs",
            "numprocs_start",
            "startsecs",
            "priority",
            "redirect_stderr",
        ),
        *("stdout_logfile", "stdout_logfile_maxbytes", "stdout_logfile_backups", "stdout_syslog"),
        *("stderr_logfile", "stderr_logfile_maxbytes", "stderr_logfile_backups", "stderr_syslog"),
    )
)


def read(path: str, text: str, files: SourceFiles) -> Imported:
    """The programs of a supervisord.conf with the files that it includes."""
    imported = Imported(path)
    _SupervisordReader(imported, files).read(path, text)
    return imported


class _SupervisordReader:
    def __init__(self, imported: Imported, files: SourceFiles) -> None:
        self._imported = imported
        self._files = files
        self._env: dict[str, str] = {}
        self._priorities: dict[str, tuple[int, bool, int]] = {}
        self._groups: list[tuple[Notes, IniSection]] = []

    def read(self, path: str, text: str) -> None:
        sections = parse_ini(text)
        notes = self._imported.notes
        every = [(path, notes, section) for section in sections]
        for section in sections:
            if section.name == "include":
                every += self._included(path, section)
        for file, its_notes, section in every:
            self._section(file, its_notes, section)
        self._order()
        for process in self._imported.processes:
            put_env(process.keys, self._env)

    def _included(self, path: str, section: IniSection) -> list[tuple[str, Notes, IniSection]]:
        found: list[tuple[str, Notes, IniSection]] = []
        notes = self._imported.notes
        here = os.path.dirname(os.path.abspath(path))
        read = 0
        for entry in section.entries:
            if entry.key.lower() != "files":
                notes.lost(entry.line, f"include.{entry.key}", "unknown key", "remove it")
                continue
            for pattern in (entry.value or "").split():
                pattern = _expanded(pattern, {"here": here, **_of_environment(self._files)})
                matching = self._files.matching(os.path.join(here, pattern))
                if not matching:
                    why = f"no file matches {pattern}"
                    notes.lost(entry.line, "include.files", why, "import the file by its name")
                for file in matching:
                    read += 1
                    if read > _MOST_FILES:
                        raise ImportFailed(f"{path} includes more than {_MOST_FILES} files; import fewer")
                    found += self._of_file(file, notes)
        return found

    def _of_file(self, file: str, notes: Notes) -> list[tuple[str, Notes, IniSection]]:
        shown = os.path.relpath(file)
        shown = file if shown.startswith("..") else shown
        own = Notes(shown)
        own.found = notes.found  # one list, in the order in which the keys are met
        return [(shown, own, section) for section in parse_ini(self._files.text(file))]

    def _section(self, file: str, notes: Notes, section: IniSection) -> None:
        kind, _, name = section.name.partition(":")
        kind = kind.strip()
        match kind:
            case "supervisord":
                self._daemon(file, notes, section)
            case "program" | "fcgi-program" if name.strip():
                _Program(file, notes, section, self._files, self._imported).read(self._priorities)
                if kind == "fcgi-program":
                    self._socket(notes, section, name)
            case "eventlistener":
                why = f"{name} speaks supervisord's event protocol on its standard input"
                hint = "follow /api/v1/logs/stream or /api/v1/processes instead, or scrape the metrics"
                values = {entry.key: entry.value or "" for entry in section.entries}
                ends = re.search(r"kill|shutdown|exit", values.get("command", ""))
                if ends and "PROCESS_STATE" in values.get("events", ""):
                    hint = (
                        "where it ends the container, set on_exit: shutdown or on_give_up: shutdown instead"
                    )
                notes.lost(section.line, section.name, why, hint)
            case "group":
                self._group(notes, section, name)
            case "unix_http_server":
                _unix_server(notes, section, self._imported.global_, file)
            case "inet_http_server":
                _inet_server(notes, section, self._imported.global_)
            case "include":
                if notes is not self._imported.notes:
                    why = "an included file includes no others in supervisord either"
                    notes.lost(section.line, "include", why, "import that file too")
            case "supervisorctl" | "rpcinterface":
                pass  # how the client connects: `cbox-init list` needs none of it
            case "":
                for entry in section.entries:
                    notes.lost(entry.line, entry.key, "stands outside of any section", "remove it")
            case _:
                notes.lost(section.line, section.name, "unknown section", "remove it, or write it by hand")

    def _daemon(self, file: str, notes: Notes, section: IniSection) -> None:
        for entry in section.entries:
            key = entry.key.lower()
            if key == "environment":
                names = {"here": os.path.dirname(os.path.abspath(file)), **_of_environment(self._files)}
                env = _environment(entry, names, notes, "supervisord.environment", None)
                self._env.update(env)
            elif key == "user" and (entry.value or "").strip() in ("root", "0"):
                pass  # what it is in a container, unless the image says otherwise
            elif key in _DAEMON_LOST:
                notes.lost(entry.line, f"supervisord.{key}", *_DAEMON_LOST[key])
            elif key in _NEEDLESS:
                notes.changed(entry.line, f"supervisord.{key}", f"not needed: {_NEEDLESS[key]}")
            elif key != "nodaemon":
                notes.lost(entry.line, f"supervisord.{entry.key}", "unknown key", "remove it")

    def _socket(self, notes: Notes, section: IniSection, name: str) -> None:
        for entry in section.entries:
            if entry.key.lower() == "socket":
                why = "supervisord opens the socket and gives it to the program as standard input"
                hint = (
                    "let the program listen itself, such as `spawn-fcgi -n -s SOCKET -- PROGRAM` or php-fpm"
                )
                notes.lost(entry.line, f"{section.name}.socket", why, hint, process=name.strip())

    def _group(self, notes: Notes, section: IniSection, name: str) -> None:
        entries = {entry.key.lower(): entry for entry in section.entries}
        programs = entries.get("programs")
        names = " ".join((programs.value or "").replace(",", " ").split()) if programs else ""
        why = "there are no groups: commands take several names"
        notes.lost(section.line, section.name, why, f"run `cbox-init restart {names}`")
        for key, entry in entries.items():
            if key == "priority" and (priority := number(entry.value)) is not None:
                for program in names.split():
                    if program in self._priorities:
                        self._priorities[program] = (priority, *self._priorities[program][1:])
            elif key not in ("programs", "priority"):
                notes.lost(entry.line, f"{section.name}.{entry.key}", "unknown key", "remove it")

    def _order(self) -> None:
        """Order by priority: what has a higher one starts after what has the next lower one."""
        processes = self._imported.processes
        levels = sorted({priority for priority, _, _ in self._priorities.values()})
        processes.sort(key=lambda one: self._priorities[one.name][0])
        for process in processes:
            priority, _, line = self._priorities[process.name]
            below = [level for level in levels if level < priority]
            before = [
                other.name
                for other in processes
                if below and self._priorities[other.name][:2] == (below[-1], True)
            ]
            if before:
                process.keys["depends_on"] = list(before)
                why = f"becomes depends_on: it waits until {', '.join(before)} runs, and stops before"
                notes = Notes(process.origin.file)
                notes.changed(line or process.origin.line, f"program:{process.name}.priority", why)
                self._imported.notes.add(one._replace(process=process.name) for one in notes.found)


class _Program:
    """One [program:x] section."""

    def __init__(
        self, file: str, notes: Notes, section: IniSection, files: SourceFiles, imported: Imported
    ) -> None:
        self._notes = notes
        self._section = section
        self._name = section.name.partition(":")[2].strip()
        self._imported = imported
        self._entries = {entry.key.lower(): entry for entry in section.entries}
        self._keys: Tree = {}
        self._first, self._count = 0, 1
        self._origin = Origin(file, section.line)
        self._names = {
            "here": os.path.dirname(os.path.abspath(file)),
            "program_name": self._name,
            "group_name": self._name,
            "host_node_name": os.uname().nodename,
            **_of_environment(files),
        }

    def read(self, priorities: dict[str, tuple[int, bool, int]]) -> None:
        process = ImportedProcess(self._name, self._origin, self._keys)
        self._scale()
        self._command()
        for entry in self._entries.values():
            self._entry(entry)
        self._restarts()
        self._stopping()
        self._output()
        if "command" not in self._keys:
            return
        self._imported.add(process)
        given = self._entries.get("priority")
        priority = number(given.value) if given else None
        if given is not None and priority is None:
            self._wrong(given, "a whole number")
        runs_on = self._keys.get("restart") != "never" and "initial_state" not in self._keys
        priorities[self._name] = (
            _DEFAULT_PRIORITY if priority is None else priority,
            runs_on and self._keys.get("type") != "oneshot",
            given.line if given else 0,
        )

    def _lost(self, entry: IniEntry, why: str, hint: str) -> None:
        self._notes.lost(entry.line, f"{self._section.name}.{entry.key}", why, hint, process=self._name)

    def _changed(self, entry: IniEntry, why: str, hint: str = "") -> None:
        self._notes.changed(entry.line, f"{self._section.name}.{entry.key}", why, hint, process=self._name)

    def _wrong(self, entry: IniEntry, expected: str) -> None:
        self._lost(entry, f"expected {expected}, got {(entry.value or '')[:40]!r}", "correct it")

    def _number(self, key: str) -> int | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        found = number(self._text(entry))
        if found is None or found < 0:
            self._wrong(entry, "a whole number")
            return None
        return found

    def _flag(self, key: str) -> bool | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        found = boolean(self._text(entry))
        if found is None:
            self._wrong(entry, "true or false")
        return found

    def _text(self, entry: IniEntry) -> str:
        """The value with what is known here put in."""
        return _expanded(entry.value or "", self._names)

    def _variable(self, entry: IniEntry | None) -> str | None:
        """The variable of the environment that the whole value is."""
        found = _EXPANSION.fullmatch(entry.value or "") if entry is not None else None
        name = (found[1] or "") if found is not None else ""
        return name[4:] if name.startswith("ENV_") and is_name(name[4:]) else None

    def _scale(self) -> None:
        variable = self._variable(self._entries.get("numprocs"))
        if variable is not None:
            self._keys["scale"] = reference(variable)
        count = self._number("numprocs") if variable is None else None
        if count is not None and count > 1:
            self._keys["scale"] = count
        elif count == 0:
            self._lost(self._entries["numprocs"], "0 processes", "set enabled: false")
        first = self._number("numprocs_start") or 0
        if first == 0:
            self._names["process_num"] = reference("CBOX_INIT_INSTANCE_INDEX")
        else:
            self._names["process_num"] = reference("CBOX_INIT_INSTANCE_NUMBER")
        if first > 1:
            why = f"instances count from 1, not from {first}"
            self._changed(self._entries["numprocs_start"], why)
        self._first, self._count = first, count or 1
        self._names["numprocs"] = str(self._count)

    def _command(self) -> None:
        entry = self._entries.get("command")
        words = split_words((entry.value or "").replace("\n", " ")) if entry is not None else None
        if entry is None or not words:
            why = (
                "has no command" if entry is None or not entry.value else "the quotes of command do not match"
            )
            self._notes.lost(
                entry.line if entry else self._section.line, self._section.name, why, "write one"
            )
            return
        words = self._with_port(entry, words)
        if "%(process_num)0" in " ".join(words):
            self._changed(entry, "the number of an instance has no leading zeros here")
        self._check_names(entry)
        self._keys["command"] = command_value([_expanded(literal(word), self._names) for word in words])

    def _with_port(self, entry: IniEntry, words: list[str]) -> list[str]:
        """The words with a port such as ``80%(process_num)02d`` as the port of the instance."""
        found = {match.groups() for word in words for match in _PORT.finditer(word)}
        if len(found) != 1:
            return words
        ((digits, width),) = found
        room = 10 ** int(width or 1)
        last = self._first + self._count - 1
        base = int(digits) * room + self._first
        if last >= room or not 1024 <= base <= 65535:
            return words
        self._names["instance_port"] = reference("PORT")
        self._keys["port_base"] = base
        self._changed(entry, f"the number in the port becomes port_base: {base}, and ${{PORT}}")
        return [_PORT.sub("%(instance_port)s", word) for word in words]

    def _check_names(self, entry: IniEntry) -> None:
        for found in _EXPANSION.finditer(entry.value or ""):
            if found[1] and found[1] not in self._names and not found[1].startswith("ENV_"):
                self._lost(entry, f"%({found[1]})s is not known", "write what stands for it")

    def _entry(self, entry: IniEntry) -> None:
        key = entry.key.lower()
        if entry.value is None:
            self._lost(entry, "has no value", "write KEY=VALUE")
            return
        value = _expanded(literal(entry.value), self._names)
        match key:
            case "directory":
                self._keys["working_dir"] = value
            case "user":
                self._keys["user"] = value
            case "umask":
                self._keys["umask"] = value
            case "environment":
                env = _environment(entry, self._names, self._notes, f"{self._section.name}.{key}", self._name)
                put_env(self._keys, env)
            case "autostart" if variable := self._variable(entry):
                self._keys["enabled"] = reference(variable)
                self._changed(
                    entry, f"becomes enabled: it cannot be started by hand where {variable} is false"
                )
            case "autostart":
                if self._flag("autostart") is False:
                    self._keys["initial_state"] = "stopped"
            case "startretries":
                tries = self._number("startretries")
                if tries == 0:
                    self._changed(entry, "no retries becomes restart: never")
                    self._keys["restart"] = "never"
                elif tries is not None and tries != 3:
                    self._keys["max_restarts"] = tries
            case "stopsignal" | "stopwaitsecs" | "stopasgroup" | "killasgroup" | "autorestart" | "exitcodes":
                pass  # read together, below
            case "socket" | "socket_owner" | "socket_mode" | "socket_backlog":
                if key != "socket" or self._section.name.startswith("program"):
                    self._lost(entry, "there are no sockets of supervisord", "let the program listen itself")
            case _ if key in _PROGRAM_LOST:
                self._lost(entry, *_PROGRAM_LOST[key])
            case _ if key not in _WITH_OTHERS:
                self._lost(entry, "unknown key", "remove it")

    def _restarts(self) -> None:
        entry = self._entries.get("autorestart")
        word = self._text(entry).strip().lower() if entry else "unexpected"
        flag = boolean(word)
        word = {True: "true", False: "false"}[flag] if flag is not None else word
        if word not in _RESTART:
            assert entry is not None
            self._wrong(entry, "true, false or unexpected")
            word = "unexpected"
        starting = self._number("startsecs")
        starting = 1 if starting is None else starting
        if word == "false" and starting == 0 and "scale" not in self._keys:
            self._keys["type"] = "oneshot"
            at = self._entries["startsecs"]
            self._changed(at, "with autorestart=false this is a oneshot: it is to end with 0")
        else:
            self._keys.setdefault("restart", _RESTART[word])
        if self._keys.get("restart") in ("always", "on-failure"):
            self._keys["restart_delay"] = "1s"
            self._keys["restart_threshold"] = duration(max(starting, 1))
        codes = self._entries.get("exitcodes")
        if codes is not None and word == "unexpected" and self._text(codes).replace(" ", "") != "0":
            why = f"success is exit code 0 alone, not {self._text(codes)}"
            hint = "map the code in a shell: `sh -c 'PROGRAM || [ $? = CODE ]'`"
            self._lost(codes, why, hint)

    def _stopping(self) -> None:
        shutdown: Tree = {}
        if (entry := self._entries.get("stopsignal")) is not None:
            shutdown["signal"] = f"SIG{self._text(entry).strip().upper().removeprefix('SIG')}"
        if (wait := self._number("stopwaitsecs")) is not None:
            shutdown["timeout"] = duration(max(wait, 1))
        if not self._flag("stopasgroup"):
            shutdown["mode"] = "main"
        if self._flag("killasgroup") is False:
            self._changed(
                self._entries["killasgroup"], "what is left after the grace period is always killed"
            )
        if self._keys.get("type") != "oneshot" or len(shutdown) > 1:
            self._keys["shutdown"] = shutdown
        if not shutdown:
            self._keys.pop("shutdown", None)

    def _output(self) -> None:
        outputs: Tree = {}
        merged = self._flag("redirect_stderr")
        for stream in ("stdout", "stderr"):
            entry = self._entries.get(f"{stream}_logfile")
            target = self._text(entry).strip() if entry is not None else ""
            if self._flag(f"{stream}_syslog") or target.lower() == "syslog":
                outputs["syslog"] = {"type": "syslog"}
            elif target.lower() == "none" and not (stream == "stderr" and merged):
                self._keys[stream] = False
            elif target and target.lower() != "auto" and target not in _STANDARD:
                assert entry is not None
                if stream == "stderr" and merged:
                    self._changed(entry, "not needed: redirect_stderr writes it to stdout_logfile")
                    continue
                file = outputs.get("file")
                if isinstance(file, dict) and file["path"] == self._file(stream, target)["path"]:
                    continue
                if file:
                    why = "one file has both streams, in the order in which they were written"
                    self._lost(entry, why, "filter by `stream` in it, or let the program write this file")
                    continue
                outputs["file"] = self._file(stream, target)
                why = "the lines go to standard output too, and each has its time and level"
                self._changed(
                    entry, why, "to keep them from standard output add stdout: {type: stdout, enabled: false}"
                )
        if outputs:
            self._keys["logging"] = {"outputs": outputs}

    def _file(self, stream: str, target: str) -> Tree:
        path = target.replace(reference("CBOX_INIT_INSTANCE_INDEX"), reference("CBOX_INIT_INSTANCE_ID"))
        path = path.replace(reference("CBOX_INIT_INSTANCE_NUMBER"), reference("CBOX_INIT_INSTANCE_ID"))
        output: Tree = {"path": path, "format": "text"}
        largest = self._entries.get(f"{stream}_logfile_maxbytes")
        size = 50 * 2**20
        if largest is not None:
            try:
                size = parse_size(self._text(largest).replace("MB", "MiB").replace("KB", "KiB"))
            except ValueError:
                self._wrong(largest, "a size")
        if size:
            kept = self._number(f"{stream}_logfile_backups")
            shown = f"{size >> 20}MiB" if size % 2**20 == 0 else size
            output["rotate"] = {"max_size": shown, "max_files": max(1, 10 if kept is None else kept)}
        return output


def _of_environment(files: SourceFiles) -> dict[str, str]:
    return {f"ENV_{name}": reference(name) for name in files.environ if is_name(name)}


def _expanded(text: str, names: dict[str, str]) -> str:
    """``text`` with its ``%(name)s`` replaced: variables of the environment become references."""

    def put(found: re.Match[str]) -> str:
        if found[0] == "%%":
            return "%"
        name = found[1]
        if name in names:
            return names[name]
        return reference(name[4:]) if name.startswith("ENV_") and is_name(name[4:]) else found[0]

    return _EXPANSION.sub(put, text)


def _environment(
    entry: IniEntry, names: dict[str, str], notes: Notes, key: str, process: str | None
) -> dict[str, str]:
    found = pairs((entry.value or "").replace("\n", " "))
    if found is None:
        notes.lost(
            entry.line, key, 'is not in the form KEY="value",KEY2="value"', "write it as env", process=process
        )
        return {}
    wrong = [name for name in found if not name or "=" in name]
    for name in wrong:
        notes.lost(
            entry.line, key, f"{name!r} is not a name of a variable", "write it as env", process=process
        )
    return {name: _expanded(literal(value), names) for name, value in found.items() if name not in wrong}


def _unix_server(notes: Notes, section: IniSection, global_: Tree, file: str) -> None:
    names = {"here": os.path.dirname(os.path.abspath(file))}
    for entry in section.entries:
        key, value = entry.key.lower(), _expanded(entry.value or "", names)
        if key == "file":
            global_["api_socket"] = value
            why = "this socket serves the HTTP API and not XML-RPC, at the same path"
            notes.changed(
                entry.line, f"{section.name}.{key}", why, "commands need --socket, or CBOX_INIT_API_SOCKET"
            )
        elif key == "chmod":
            global_["api_socket_mode"] = value
        elif key == "chown":
            group = value.partition(":")[2]
            if group:
                global_["api_socket_group"] = group
            why = "the socket belongs to the user of the daemon"
            notes.lost(entry.line, f"{section.name}.{key}", why, "set api_socket_group and api_socket_mode")
        elif key in ("username", "password"):
            why = "the socket needs no password: its permissions guard it"
            notes.lost(entry.line, f"{section.name}.{key}", why, "set api_socket_mode and api_socket_group")
        else:
            notes.lost(entry.line, f"{section.name}.{entry.key}", "unknown key", "remove it")


def _inet_server(notes: Notes, section: IniSection, global_: Tree) -> None:
    for entry in section.entries:
        key, value = entry.key.lower(), (entry.value or "").strip()
        if key == "port":
            host, _, port = value.rpartition(":")
            host = host.strip("[]")
            if (found := number(port)) is None or not 0 < found < 65536:
                notes.lost(entry.line, f"{section.name}.port", "is not a port", "set api_port")
                continue
            global_.update({"api_enabled": True, "api_host": "all" if host in ("", "*") else host})
            global_["api_port"] = found
            why = "the port serves the HTTP API and not XML-RPC"
            notes.changed(entry.line, f"{section.name}.port", why, "see docs/api.md")
        elif key == "password":
            if value.startswith("{SHA}"):
                why, hint = "a hashed password is not a token", "make one with `cbox-init token new`"
                notes.lost(entry.line, f"{section.name}.{key}", why, hint)
            else:
                global_["api_auth"] = _expanded(literal(value), {})
        elif key == "username":
            why = "there are no users: clients send `Authorization: Bearer TOKEN`"
            notes.lost(entry.line, f"{section.name}.{key}", why, "the password is the token")
        else:
            notes.lost(entry.line, f"{section.name}.{entry.key}", "unknown key", "remove it")
