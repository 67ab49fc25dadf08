"""One service of systemd."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from cbox_init.capabilities import NAMES
from cbox_init.config.scalars import parse_size
from cbox_init.importers.ini import IniEntry
from cbox_init.importers.model import (
    ImportedProcess,
    Note,
    NoteKind,
    Origin,
    Tree,
    literal,
    section_of,
)
from cbox_init.importers.systemd_keys import DIRECTORIES, LOST, NEEDLESS, RLIMITS, SANDBOX, TOGETHER
from cbox_init.importers.systemd_unit import process_name
from cbox_init.importers.systemd_words import VARIABLE, as_shell, filled, in_foreground, used_variables
from cbox_init.importers.values import (
    boolean,
    command_value,
    duration,
    is_name,
    megabytes,
    number,
    put_env,
    seconds,
    split_words,
)

if TYPE_CHECKING:
    from cbox_init.importers.model import Imported
    from cbox_init.importers.source import SourceFiles
    from cbox_init.importers.systemd_unit import Unit

_PREFIX: Final = re.compile(r"[@\-:+!|]*")
_KILL: Final = re.compile(
    r"(?:/usr)?(?:/bin/)?kill\s+(?:-s\s+|-)(?:SIG)?([A-Z0-9+]+)\s+\$\{?MAINPID\}?", re.ASCII
)
_SPECIFIER: Final = re.compile(r"%(.)")
_SPECIFIERS: Final = {
    "t": "/run",
    "S": "/var/lib",
    "C": "/var/cache",
    "L": "/var/log",
    "E": "/etc",
    "T": "/tmp",
    "V": "/var/tmp",
}
_RESTART: Final = {"no": "never", "on-failure": "on-failure", "always": "always"}
_TYPES: Final = ("simple", "exec", "oneshot", "notify", "notify-reload", "forking", "dbus", "idle")
_DEFAULT_BURST: Final = 5
_DEFAULT_INTERVAL_S: Final = 10.0
_DEFAULT_RESTART_S: Final = 0.1


class ServiceUnit:
    """One .service file."""

    def __init__(self, unit: Unit, imported: Imported, services: dict[str, Unit], files: SourceFiles) -> None:
        self._unit = unit
        self._imported = imported
        self._services = services
        self._files = files
        self._keys: Tree = {}
        self._name = process_name(unit.name)
        stem = unit.name.removesuffix(".service")
        self._prefix, at, self._instance = stem.partition("@")
        self._template = bool(at) and not self._instance
        self._env: dict[str, str] = {}
        user = unit.text("User")
        self._known = {
            **_SPECIFIERS,
            "%": "%",
            "n": unit.name,
            "N": stem,
            "p": self._prefix,
            "i": self._instance,
            "I": self._instance.replace("-", "/"),
            "u": user or "root",
            "h": f"/home/{user}" if user not in ("", "root") else "/root",
        }

    def read(self) -> None:
        if self._template:
            why = "is a template without an instance"
            hint = f"copy it as {self._prefix}@INSTANCE.service, and import that"
            self._unit.notes.lost(None, self._unit.name, why, hint)
            return
        kind = self._kind()
        self._environment()
        self._command(kind)
        if "command" not in self._keys:
            return
        for section, entry, _ in self._unit.entries:
            self._entry(section, entry)
        if kind != "oneshot" or self._unit.value("Restart") is not None:
            self._restarts(kind)
        self._stopping()
        self._sandbox()
        self._output()
        origin = Origin(self._unit.file, (self._unit.value("ExecStart") or IniEntry("", "", 1)).line)
        self._imported.add(ImportedProcess(self._name, origin, self._keys))

    def _lost(self, entry: IniEntry, why: str, hint: str) -> None:
        self._note(NoteKind.LOST, entry, why, hint)

    def _changed(self, entry: IniEntry, why: str, hint: str = "") -> None:
        self._note(NoteKind.CHANGED, entry, why, hint)

    def _note(self, kind: NoteKind, entry: IniEntry, why: str, hint: str) -> None:
        origin = Origin(self._unit.file_of(entry), entry.line)
        self._unit.notes.add((Note(kind, origin, entry.key, why, hint, self._name),))

    def _text(self, entry: IniEntry) -> str:
        """The value of a key with its specifiers (``%i``) replaced, and nothing in it a reference."""
        return literal(self._specified(entry, entry.value or ""))

    def _specified(self, entry: IniEntry, text: str) -> str:
        known = self._known

        def put(found: re.Match[str]) -> str:
            if found[1] not in known:
                self._lost(entry, f"the specifier {found[0]} is not known here", "write what stands for it")
            return known.get(found[1], found[0])

        return _SPECIFIER.sub(put, text)

    def _kind(self) -> str:
        entry = self._unit.value("Type")
        kind = entry.value or "" if entry is not None else "simple"
        if kind == "oneshot":
            self._keys["type"] = "oneshot"
        elif kind in ("notify", "notify-reload"):
            self._keys["type"] = "notify"
        elif entry is not None and kind == "dbus":
            self._lost(entry, "there is no D-Bus: it counts as running from its exec", "set a health_check")
        elif entry is not None and kind not in _TYPES:
            self._lost(entry, f"{kind[:40]!r} is not a type", f"write one of {', '.join(_TYPES)}")
        return kind

    def _environment(self) -> None:
        for entry, _ in self._unit.values("Environment"):
            words = split_words(self._specified(entry, entry.value or ""))
            for word in words or ():
                name, sign, value = word.partition("=")
                if sign and is_name(name):
                    self._env[name] = value
                else:
                    self._lost(entry, f"{word[:40]!r} is not NAME=VALUE", "write it as env")
            if words is None:
                self._lost(entry, "the quotes do not match", "write it as env")
        put_env(self._keys, {name: literal(value) for name, value in self._env.items()})
        env_files: list[str | Tree] = []
        for entry, _ in self._unit.values("EnvironmentFile"):
            path = self._text(entry)
            required = not path.startswith("-")
            path = path.removeprefix("-")
            if required and not self._files.is_file(path):
                self._changed(
                    entry,
                    f"{path} is not here, so it is written with required: false",
                    "remove that where it must exist",
                )
                required = False
            env_files.append(path if required else {"path": path, "required": False})
        if env_files:
            self._keys["env_file"] = [*env_files]

    def _command(self, kind: str) -> None:
        starts = self._unit.values("ExecStart")
        if not starts:
            why = "has no ExecStart"
            self._unit.notes.lost(None, self._unit.name, why, "write a command")
            return
        if len(starts) > 1 and kind != "oneshot":
            self._lost(
                starts[1][0], "several ExecStart are for Type=oneshot: the last counts", "remove the others"
            )
            starts = starts[-1:]
        before = self._unit.values("ExecStartPre")
        lines = [self._line(entry) for entry, _ in (*before, *starts)]
        if None in lines:
            return
        commands = [line for line in lines if line is not None]
        if kind == "forking":
            commands[-1] = self._in_foreground(commands[-1])
        if len(commands) == 1 and not commands[0][1] and not commands[0][2]:
            self._keys["command"] = command_value([literal(word) for word in commands[0][0]])
            return
        script = "".join(
            f"{as_shell(words)}{' || :' if failing else ''}\n" for words, _, failing in commands[:-1]
        )
        words, _, failing = commands[-1]
        if failing:
            script += f"{as_shell(words)} || :\n"
        elif len(starts) > 1:
            script += f"{as_shell(words)}\n"
        else:
            script += f"exec {as_shell(words)}\n"
        if len(commands) == 1:
            self._keys["command"] = ["sh", "-c", literal(script.rstrip("\n"))]
        else:
            self._keys["command"] = literal(script)

    def _in_foreground(self, command: tuple[list[str], bool, bool]) -> tuple[list[str], bool, bool]:
        """The command of a forking unit, without going into the background where that is known."""
        entry = self._unit.value("Type")
        assert entry is not None
        words, variables, failing = command
        found = in_foreground(words)
        if found is None:
            why = "a program that goes into the background is not followed"
            self._lost(entry, why, "run it in the foreground")
            return command
        self._changed(entry, f"runs in the foreground: `{' '.join(found[1:])}`")
        return found, variables, failing

    def _line(self, entry: IniEntry) -> tuple[list[str], bool, bool] | None:
        """The words of one command, whether variables are in them, and whether it may fail."""
        text = self._specified(entry, entry.value or "")
        prefix = _PREFIX.match(text)
        assert prefix is not None
        signs = prefix[0]
        words = split_words(text[prefix.end() :])
        if not words:
            self._lost(
                entry,
                "the quotes do not match" if words is None else "has no program",
                "write the command by hand",
            )
            return None
        if "@" in signs and len(words) > 1:
            del words[1]
            self._changed(entry, "the program keeps its own name as its first argument")
        if set(signs) & set("+!"):
            self._lost(entry, "it runs as the user of the process", "use a process, or a hook, without user")
        if "|" in signs:
            self._lost(entry, "no shell of the user runs it", "write `sh -lc`")
        variables = ":" not in signs and any(VARIABLE.search(word) for word in words)
        if not variables:
            return words, False, "-" in signs
        known = {name: self._env[name] for name in used_variables(words) if name in self._env}
        if set(used_variables(words)) == set(known) and not self._unit.values("EnvironmentFile"):
            return filled(words, known), False, "-" in signs
        return words, True, "-" in signs

    def _entry(self, section: str, entry: IniEntry) -> None:
        key = entry.key
        if entry.value is None:
            self._lost(entry, "is not KEY=VALUE", "correct the line")
            return
        if not entry.value or key in TOGETHER or key in NEEDLESS or key.startswith("X-"):
            return
        if section.startswith("X-"):
            return
        text = self._text(entry)
        limits = "limits"
        match key:
            case "User":
                self._keys["user"] = text
            case "Group":
                self._keys["group"] = text
            case "WorkingDirectory":
                path = text.removeprefix("-")
                home = self._specified(entry, "%h")
                self._keys["working_dir"] = home if path == "~" else path
                if text.startswith("-"):
                    self._changed(entry, "the directory must exist here")
            case "UMask":
                self._keys["umask"] = text
            case "Nice" | "OOMScoreAdjust":
                if (found := number(text)) is None:
                    self._lost(entry, "is not a whole number", "correct it")
                else:
                    section_of(self._keys, limits)["nice" if key == "Nice" else "oom_score_adj"] = found
            case "MemoryMax":
                self._memory(entry, text)
            case "CPUQuota":
                share = text.removesuffix("%")
                if text.endswith("%") and (found := number(share)) is not None and found > 0:
                    section_of(self._keys, limits)["cpu"] = found / 100
                else:
                    self._lost(entry, "is not a share in percent", "set limits.cpu")
            case _ if key in RLIMITS:
                self._rlimit(entry, text)
            case _ if key.startswith("Limit"):
                self._lost(entry, "there is no such limit", "use --ulimit of the container")
            case "NoNewPrivileges" | "PrivateTmp":
                if boolean(text) or text in ("disconnected", "connected"):
                    self._keys["no_new_privileges" if key == "NoNewPrivileges" else "private_tmp"] = True
            case "WatchdogSec":
                self._watchdog(entry, text)
            case "KillSignal" | "FinalKillSignal":
                name = "signal" if key == "KillSignal" else "kill_signal"
                section_of(self._keys, "shutdown")[name] = text
            case "TimeoutStopSec" | "TimeoutSec":
                found_s = seconds(text)
                if text == "infinity" or found_s == 0:
                    section_of(self._keys, "shutdown")["timeout"] = "1h"
                    self._changed(entry, "a stop takes an hour at most")
                elif found_s is None:
                    self._lost(entry, f"{text[:40]!r} is not a time", "set shutdown.timeout")
                else:
                    section_of(self._keys, "shutdown")["timeout"] = duration(found_s)
            case "KillMode":
                self._kill_mode(entry, text)
            case _ if key in DIRECTORIES:
                paths = " ".join(f"{DIRECTORIES[key]}/{name}" for name in text.split())
                self._lost(entry, "directories are not made", f"make {paths} in the image, or in the command")
            case _ if key in LOST:
                self._lost(entry, *LOST[key])
            case _ if key.startswith(("Condition", "Assert")):
                self._lost(
                    entry, "a start has no condition", "test it in the command, or leave the process out"
                )
            case _ if SANDBOX.fullmatch(key):
                if text.lower() not in ("no", "false", "off", "0"):
                    self._lost(entry, "there is no such sandbox", "use the options of the container runtime")
            case _ if not key.endswith(("Mode", "Preserve")) or key.removesuffix("Mode") not in DIRECTORIES:
                self._lost(entry, "unknown key", "remove it, or write by hand what it means")

    def _memory(self, entry: IniEntry, text: str) -> None:
        if text == "infinity":
            return
        try:
            size = parse_size(text)
        except ValueError:
            self._lost(entry, "is not a size in bytes", "set limits.memory")
            return
        section_of(self._keys, "limits")["memory"] = f"{megabytes(size)}MiB"

    def _rlimit(self, entry: IniEntry, text: str) -> None:
        soft, colon, hard = text.partition(":")
        parts = [self._one_limit(entry.key, part) for part in ([soft, hard] if colon else [soft])]
        if None in parts:
            self._lost(entry, "is not a limit", f"set limits.{RLIMITS[entry.key]}")
            return
        given = [part for part in parts if part is not None]
        value: Tree | int | str = given[0] if len(given) == 1 else {"soft": given[0], "hard": given[1]}
        section_of(self._keys, "limits")[RLIMITS[entry.key]] = value

    def _one_limit(self, key: str, text: str) -> int | str | None:
        if text == "infinity":
            return "unlimited"
        try:
            return parse_size(text) if key == "LimitCORE" else number(text)
        except ValueError:
            return None

    def _watchdog(self, entry: IniEntry, text: str) -> None:
        found = seconds(text)
        if found and self._keys.get("type") == "notify":
            self._keys["watchdog"] = duration(found)
        elif found:
            self._lost(entry, "needs Type=notify", "set type: notify, or a health_check")

    def _kill_mode(self, entry: IniEntry, text: str) -> None:
        if text in ("mixed", "process"):
            section_of(self._keys, "shutdown")["mode"] = "main"
        if text in ("process", "none"):
            self._lost(
                entry,
                "what is left of a process is always ended",
                "start what must stay as a process of its own",
            )

    def _restarts(self, kind: str) -> None:
        entry = self._unit.value("Restart")
        word = entry.value or "" if entry is not None else "no"
        if word not in _RESTART and entry is not None:
            becomes = "never" if word == "on-success" else "on-failure"
            if word in ("on-abnormal", "on-abort", "on-watchdog"):
                self._changed(entry, f"{word} becomes on-failure: other exit codes than 0 count too")
            else:
                self._lost(entry, f"{word[:40]!r} has no counterpart here", f"restart: {becomes} is written")
            word = "no" if becomes == "never" else "on-failure"
        if kind == "oneshot" and word == "always":
            assert entry is not None
            self._lost(
                entry, "a oneshot is not started again after a success", "restart: on-failure is written"
            )
            word = "on-failure"
        if kind == "oneshot" and word == "no":
            return
        self._keys["restart"] = _RESTART[word]
        if word == "no":
            return
        wait = self._time("RestartSec", _DEFAULT_RESTART_S)
        longest = self._time("RestartMaxDelaySec", wait)
        self._keys["restart_delay"] = duration(wait)
        self._keys["max_restart_delay"] = duration(max(longest, wait))
        burst_entry = self._unit.value("StartLimitBurst")
        burst = number(burst_entry.value) if burst_entry is not None else _DEFAULT_BURST
        interval = self._time("StartLimitIntervalSec", self._time("StartLimitInterval", _DEFAULT_INTERVAL_S))
        if burst is None:
            assert burst_entry is not None
            self._lost(burst_entry, "is not a whole number", "set max_restarts")
            burst = _DEFAULT_BURST
        if burst <= 0 or interval <= 0 or wait * burst >= interval:
            self._keys["max_restarts"] = "unlimited"
        else:
            self._keys["max_restarts"] = max(burst - 1, 1)
            self._keys["restart_threshold"] = duration(interval)

    def _time(self, key: str, default: float) -> float:
        entry = self._unit.value(key)
        if entry is None:
            return default
        found = seconds(entry.value or "")
        if found is None and entry.value != "infinity":
            self._lost(entry, f"{(entry.value or '')[:40]!r} is not a time", "correct it")
        return default if found is None else found

    def _stopping(self) -> None:
        for entry, _ in self._unit.values("ExecStop"):
            text = self._specified(entry, entry.value or "").lstrip("-@:+!")
            signal = _KILL.fullmatch(text.strip())
            shutdown = section_of(self._keys, "shutdown")
            words = split_words(text)
            if signal is not None:
                shutdown["signal"] = f"SIG{signal[1]}" if not signal[1].isdigit() else signal[1]
            elif "MAINPID" in text or not words:
                self._lost(entry, "the PID is not known to hooks", "set shutdown.signal")
            elif "pre_stop_hook" in shutdown:
                self._lost(entry, "a stop has one hook", "write one script")
            else:
                shutdown["pre_stop_hook"] = {"command": command_value([literal(word) for word in words])}
        for entry, _ in self._unit.values("ExecStopPost"):
            words = split_words(self._specified(entry, entry.value or "").lstrip("-@:+!"))
            shutdown = section_of(self._keys, "shutdown")
            if not words or "post_stop_hook" in shutdown:
                self._lost(entry, "a stop has one hook", "write one script")
                continue
            shutdown["post_stop_hook"] = {"command": command_value([literal(word) for word in words])}
            self._changed(entry, "runs after a stop, and not after a crash")
        found = self._keys.get("shutdown")
        if isinstance(found, dict) and not found:
            del self._keys["shutdown"]
        elif (
            isinstance(found, dict)
            and self._keys.get("user")
            and {"pre_stop_hook", "post_stop_hook"} & found.keys()
        ):
            self._keys["hook_user"] = self._keys["user"]

    def _sandbox(self) -> None:
        capabilities: Tree = {}
        for _, entry, _ in self._unit.entries:
            if entry.key != "CapabilityBoundingSet" or entry.value is None:
                continue
            names = self._capabilities(entry)
            if entry.value == "~":
                capabilities = {}
            elif not entry.value:
                capabilities = {"drop": ["ALL"]}
            elif entry.value.startswith("~"):
                capabilities["drop"] = [*names]
            else:
                before = capabilities.get("add", [])
                assert isinstance(before, list)
                capabilities = {"drop": ["ALL"], "add": list(dict.fromkeys([*before, *names]))}
        for entry, _ in self._unit.values("AmbientCapabilities"):
            capabilities["ambient"] = [*self._capabilities(entry)]
        if capabilities:
            self._keys["capabilities"] = {key: value for key, value in capabilities.items() if value}
        paths: list[str] = []
        for entry, _ in self._unit.values("ReadOnlyPaths", "ReadOnlyDirectories"):
            paths += [path.lstrip("-+") for path in self._text(entry).split()]
        protect = self._unit.value("ProtectSystem")
        if protect is not None and protect.value == "strict":
            self._lost(
                protect,
                "single paths can be read-only, not all but /dev, /proc and /sys",
                "run the container read-only, or list read_only_paths",
            )
        elif protect is not None and (protect.value == "full" or boolean(protect.value)):
            paths += ["/usr", *(["/etc"] if protect.value == "full" else [])]
        if paths:
            self._keys["read_only_paths"] = list(
                dict.fromkeys(path for path in paths if path.startswith("/"))
            )

    def _capabilities(self, entry: IniEntry) -> list[str]:
        found = []
        for word in (entry.value or "").lstrip("~").split():
            name = word.upper().removeprefix("CAP_")
            if name in NAMES:
                found.append(name)
            else:
                self._lost(entry, f"{word[:40]!r} is not a capability", "correct the name")
        return found

    def _output(self) -> None:
        outputs: Tree = {}
        for key, stream in (("StandardOutput", "stdout"), ("StandardError", "stderr")):
            entry = self._unit.value(key)
            text = self._text(entry) if entry is not None else ""
            if entry is None or text in ("inherit", "journal", "journal+console", "syslog", "kmsg", "tty"):
                continue
            kind, _, path = text.partition(":")
            if text == "null":
                self._keys[stream] = False
            elif kind in ("file", "append", "truncate") and path.startswith("/"):
                if outputs and path not in str(outputs):
                    self._lost(entry, "one file has both streams", "let the program write this file")
                    continue
                outputs["file"] = {"path": path, "format": "text"}
                self._changed(entry, "the lines go to standard output too, and each has its time and level")
            else:
                self._lost(
                    entry, f"{text[:40]!r} has no counterpart here", "the output goes to standard output"
                )
        if outputs:
            section_of(self._keys, "logging")["outputs"] = outputs
