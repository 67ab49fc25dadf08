"""The ecosystem file of pm2: JSON, YAML, or JavaScript that Node.js reads."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from cbox_init.config.document import parse_document
from cbox_init.config.raw import RawList, RawMap
from cbox_init.config.scalars import parse_size
from cbox_init.cron import CronError, parse
from cbox_init.errors import ImportFailed
from cbox_init.importers.model import Imported, ImportedProcess, Origin, Tree, literal, reference, section_of
from cbox_init.importers.node import exports_of
from cbox_init.importers.values import (
    boolean,
    command_value,
    duration,
    megabytes,
    number,
    put_env,
    seconds,
    shell_command,
    split_words,
)

if TYPE_CHECKING:
    from cbox_init.config.raw import Raw
    from cbox_init.importers.source import SourceFiles

_JSON: Final = (".json", ".json5")
#: A string, or a comment as JavaScript has it.
_COMMENT: Final = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'|//[^\n]*|/\*.*?\*/', re.DOTALL)
_SCRIPTS: Final = (".js", ".cjs", ".mjs")
_INTERPRETERS: Final = {
    **dict.fromkeys((*_SCRIPTS, ".ts"), "node"),
    ".py": "python3",
    ".rb": "ruby",
    ".php": "php",
    ".pl": "perl",
    ".sh": "bash",
    ".lua": "lua",
    ".ls": "lsc",
    ".coffee": "coffee",
}
_DEFAULT_RESTARTS: Final = 16
_LOST: Final = {
    "watch": ("files are not watched", "use `node --watch`, or nodemon as the command"),
    "ignore_watch": ("files are not watched", "leave it out"),
    "watch_delay": ("files are not watched", "leave it out"),
    "watch_options": ("files are not watched", "leave it out"),
    "cron_restart": ("restarts have no schedule", "add a process with schedule that calls the API"),
    "wait_ready": (
        "process.send('ready') is not received",
        "set a health_check, or type: notify with a program that calls sd_notify",
    ),
    "listen_timeout": ("belongs to wait_ready", "set global.process_start_timeout"),
    "shutdown_with_message": (
        "processes get signals, and no messages",
        "handle shutdown.signal in the program",
    ),
    "filter_env": ("variables are not filtered by prefixes", "set environment"),
    "exec_interpreter": ("is an old name", "write interpreter"),
    "node_version": ("there is no nvm", "write the path of node in command"),
    "append_env_to_name": ("a process has one name", "leave it out"),
    "log_file": ("one more file for both streams", "add it to logging.outputs"),
    "deploy": ("nothing is deployed", "leave it out"),
    "trace": ("there is no tracing by pm2", "leave it out"),
    "pmx": ("there is no tracing by pm2", "leave it out"),
    "automation": ("there is no tracing by pm2", "leave it out"),
    "disable_metrics": ("there is no tracing by pm2", "leave it out"),
    "container": ("is not known here", "leave it out"),
}
_NEEDLESS: Final = frozenset(
    (
        *("vizion", "post_update", "force", "pid_file", "pid", "time", "log_date_format", "combine_logs"),
        *("merge_logs", "source_map_support", "disable_source_map_support", "instance_var", "namespace"),
        *(
            "autostart",
            "autorestart",
            "treekill",
            "kill_retry_time",
            "log_type",
            "disable_logs",
            "windowsHide",
        ),
        *("restart_delay", "max_restarts", "min_uptime", "exp_backoff_restart_delay", "stop_exit_codes"),
        *("name", "script", "args", "interpreter", "interpreter_args", "node_args", "instances", "exec_mode"),
        *(
            "env",
            "out_file",
            "error_file",
            "output",
            "error",
            "err_file",
            "increment_var",
            "user",
            "uid",
            "gid",
        ),
        *("cwd", "max_memory_restart", "kill_timeout", "exec_interpreter_args"),
    )
)


def read(path: str, text: str, files: SourceFiles, env: str | None = None) -> Imported:
    """The apps of an ecosystem file, with ``env_NAME`` of the environment that ``env`` names."""
    imported = Imported(path)
    is_script = path.endswith(_SCRIPTS)
    if is_script:
        text_of_data = exports_of(path, files.environ)
    else:
        text_of_data = _without_comments(text) if path.endswith(_JSON) else text
    root, problems = parse_document(text_of_data)
    if root is None:
        raise ImportFailed(f"{path}: {problems[0] if problems else 'it is empty'}")
    apps: Raw = root
    if isinstance(root, RawMap):
        apps = root.get("apps", root.get("pm2", root if "script" in root else None))
        for key in root if "script" not in root else ():
            if key in _LOST:
                imported.notes.lost(root.lines.get(key), key, *_LOST[key])
            elif key not in ("apps", "pm2"):
                imported.notes.lost(root.lines.get(key), key, "unknown key", "remove it")
    apps = [apps] if isinstance(apps, RawMap) else apps
    if not isinstance(apps, list):
        raise ImportFailed(f'{path}: no apps; write {{"apps": [{{"name": …, "script": …}}]}}')
    for index, app in enumerate(apps):
        line = apps.lines[index] if isinstance(apps, RawList) else None
        if isinstance(app, RawMap):
            _App(imported, app, index, line, _Lines(text) if is_script else None, env, files).read()
        else:
            imported.notes.lost(line, f"apps[{index}]", "is not an object", "correct it")
    return imported


def _without_comments(text: str) -> str:
    """JSON without the comments that pm2 allows in it; each line stays where it is."""

    def put(found: re.Match[str]) -> str:
        return "\n" * found[0].count("\n") if found[0].startswith("/") else found[0]

    return _COMMENT.sub(put, text)


class _Lines:
    """Where keys stand in a source of JavaScript: the n-th time that the key is written, for the n-th app."""

    def __init__(self, text: str) -> None:
        self._lines = text.split("\n")

    def of(self, key: str, index: int) -> int | None:
        """The line of a key in the app of this number, as far as that can be told."""
        sign = re.compile(rf"(?<![\w.]){re.escape(key)}['\"]?\s*:")
        found = [number for number, line in enumerate(self._lines, 1) if sign.search(line)]
        if not found:
            return None
        starts = self.starts()
        if index < len(starts):
            end = starts[index + 1] if index + 1 < len(starts) else len(self._lines) + 1
            return next((line for line in found if starts[index] <= line < end), None)
        return found[0]

    def starts(self) -> list[int]:
        """The lines on which apps have their name."""
        sign = re.compile(r"(?<![\w.])name['\"]?\s*:")
        return [number for number, line in enumerate(self._lines, 1) if sign.search(line)]


class _App:
    """One app."""

    def __init__(
        self,
        imported: Imported,
        app: RawMap,
        index: int,
        line: int | None,
        lines: _Lines | None,
        env: str | None,
        files: SourceFiles,
    ) -> None:
        self._imported = imported
        self._files = files
        self._app = app
        self._index = index
        self._line = lines.of("name", index) if lines is not None else line
        self._lines = lines
        self._environment_name = env
        name = app.get("name")
        script = app.get("script")
        stem = os.path.splitext(os.path.basename(str(script)))[0] if isinstance(script, str) else ""
        self._name = name if isinstance(name, str) and name else stem or f"app-{index}"
        self._keys: Tree = {}

    def read(self) -> None:
        if not self._command():
            return
        for key, value in self._app.items():
            self._key(key, value)
        self._env()
        self._scale()
        self._restarts()
        self._stopping()
        self._output()
        process = ImportedProcess(self._name, Origin(self._imported.notes.file, self._line), self._keys)
        self._imported.add(process)

    def _at(self, key: str) -> int | None:
        if self._lines is not None:
            return self._lines.of(key, self._index) or self._line
        return self._app.lines.get(key, self._line)

    def _lost(self, key: str, why: str, hint: str) -> None:
        self._imported.notes.lost(self._at(key), f"{self._name}.{key}", why, hint, process=self._name)

    def _changed(self, key: str, why: str, hint: str = "") -> None:
        self._imported.notes.changed(self._at(key), f"{self._name}.{key}", why, hint, process=self._name)

    def _text(self, *keys: str) -> str | None:
        for key in keys:
            value = self._app.get(key)
            if isinstance(value, str) and value:
                return value
        return None

    def _words(self, *keys: str) -> list[str]:
        for key in keys:
            value = self._app.get(key)
            if isinstance(value, list):
                return [str(word) for word in value if not isinstance(word, dict | list)]
            if isinstance(value, str):
                words = split_words(value)
                if words is None:
                    self._lost(key, "the quotes do not match", "write the command by hand")
                return words or []
        return []

    def _command(self) -> bool:
        script = self._text("script", "cmd")
        if script is None:
            self._lost("script", "has no script", "write a command")
            return False
        arguments = self._words("args")
        interpreter = self._text("interpreter", "exec_interpreter")
        options = self._words("interpreter_args", "node_args", "exec_interpreter_args")
        extension = os.path.splitext(script)[1]
        words = [script, *arguments]
        if interpreter not in (None, "none"):
            words = [str(interpreter), *options, *words]
        elif interpreter is None and extension in _INTERPRETERS and " " not in script:
            words = [_INTERPRETERS[extension], *options, *words]
        elif interpreter is None and "/" in script and not extension and not self._is_program(script):
            words = ["node", *options, *words]
            why = "node runs it, as pm2 does with what is not a program"
            self._changed("script", why, "leave node out if it is one")
        elif " " in script:
            found = shell_command(script)
            plain = found is not None and not (found.shell or found.env or found.uses_port)
            words = [*(split_words(script) or ()), *arguments] if plain else ["bash", "-c", script]
        self._keys["command"] = command_value([literal(word) for word in words])
        return True

    def _is_program(self, script: str) -> bool:
        """Whether a script without an extension is here, and says itself how it is run."""
        folder = os.path.join(os.path.dirname(self._imported.notes.file), self._text("cwd") or "")
        return self._files.begins_with(os.path.join(folder, script), (b"\x7fELF", b"#!"))

    def _key(self, key: str, value: Raw) -> None:
        if key == "cron_restart" and self._runs_at_times():
            return
        if key in _LOST:
            if value is None or (isinstance(value, str) and boolean(value) is False):
                return
            self._lost(key, *_LOST[key])
        elif key == "cwd" and isinstance(value, str):
            self._keys["working_dir"] = literal(value)
        elif key in ("user", "uid", "gid") and isinstance(value, str):
            self._keys["group" if key == "gid" else "user"] = literal(value)
        elif key == "max_memory_restart" and isinstance(value, str):
            try:
                self._keys["max_memory_mb"] = megabytes(parse_size(value))
            except ValueError:
                self._lost(key, f"{value[:40]!r} is not a size", "set max_memory_mb")
        elif key == "autostart" and isinstance(value, str) and boolean(value) is False:
            self._keys["initial_state"] = "stopped"
        elif key.startswith("env_"):
            if key.removeprefix("env_") != self._environment_name:
                self._lost(key, "is another environment", f"take it by --env {key.removeprefix('env_')}")
        elif key not in _NEEDLESS and not key.startswith("x-"):
            self._lost(key, "unknown key", "remove it, or write by hand what it means")

    def _env(self) -> None:
        env: dict[str, str] = {}
        names = ["env", *([f"env_{self._environment_name}"] if self._environment_name else [])]
        for key in names:
            value = self._app.get(key)
            if isinstance(value, RawMap):
                env.update({name: str(text) for name, text in value.items() if _is_value(name, text)})
            elif value is not None:
                self._lost(key, "is not an object", "write it as env")
        if self._environment_name and f"env_{self._environment_name}" not in self._app:
            self._changed("env", f"has no env_{self._environment_name}: env counts")
        put_env(self._keys, {name: literal(value) for name, value in env.items()})

    def _scale(self) -> None:
        given = self._text("instances")
        cluster = self._text("exec_mode") in ("cluster", "cluster_mode")
        count = number(given) if given is not None else 1
        if given == "max" or (count is not None and count <= 0):
            self._keys["scale"] = "auto"
            if count:
                self._changed("instances", f"{count} leaves CPUs free: scale auto uses all of them")
        elif count is None:
            self._lost("instances", f"{(given or '')[:40]!r} is not a number", "set scale")
        elif count > 1:
            self._keys["scale"] = count
        several = "scale" in self._keys
        if several and cluster:
            self._ports()
        elif cluster:
            self._changed("exec_mode", "one instance needs no cluster")
        if several:
            put_env(
                self._keys,
                {self._text("instance_var") or "NODE_APP_INSTANCE": reference("CBOX_INIT_INSTANCE_INDEX")},
            )
        if (variable := self._text("increment_var")) is not None:
            self._increment(variable)

    def _ports(self) -> None:
        env = self._keys.get("env")
        port = number(str(env.get("PORT"))) if isinstance(env, dict) and "PORT" in env else None
        why = "instances do not share a listening socket: each listens on its own ${PORT}"
        hint = "set port_base, let the program listen on PORT, and put a balancer such as nginx in front"
        if port is not None and port > 0 and isinstance(env, dict):
            self._keys["port_base"] = port
            del env["PORT"]
            if not env:
                del self._keys["env"]
            hint = f"they listen from {port} on: put a balancer such as nginx in front"
        self._lost("exec_mode", why, hint)

    def _increment(self, variable: str) -> None:
        env = self._keys.get("env")
        first = number(str(env.get(variable))) if isinstance(env, dict) else None
        if variable == "PORT" and first is not None and first > 0 and isinstance(env, dict):
            self._keys["port_base"] = first
            del env["PORT"]
        elif "port_base" not in self._keys:
            self._lost(
                "increment_var",
                f"{variable} is the same for all instances",
                "use ${CBOX_INIT_INSTANCE_INDEX}",
            )

    def _restarts(self) -> None:
        if self._runs_at_times():
            return
        if boolean(str(self._app.get("autorestart", "true"))) is False:
            self._keys["restart"] = "never"
            return
        codes = self._app.get("stop_exit_codes")
        listed = (
            [str(code) for code in codes]
            if isinstance(codes, list)
            else [str(codes)]
            if codes is not None
            else []
        )
        self._keys["restart"] = "on-failure" if "0" in listed else "always"
        if any(code != "0" for code in listed):
            self._lost("stop_exit_codes", "success is exit code 0 alone", "map the code in a shell")
        backoff = self._milliseconds("exp_backoff_restart_delay")
        delay = self._milliseconds("restart_delay")
        if backoff:
            self._keys.update({"restart_delay": duration(backoff), "max_restart_delay": "15s"})
        else:
            self._keys.update(
                {"restart_delay": duration(delay or 0), "max_restart_delay": duration(delay or 0)}
            )
        tries = number(str(self._app.get("max_restarts", _DEFAULT_RESTARTS)))
        if tries is None:
            self._lost("max_restarts", "is not a number", "set it by hand")
        tries = _DEFAULT_RESTARTS if tries is None or tries <= 0 else tries
        self._keys["max_restarts"] = max(1, tries - 1)  # pm2 counts the first start too
        uptime = self._milliseconds("min_uptime")
        self._keys["restart_threshold"] = duration(uptime or 1.0)

    def _runs_at_times(self) -> bool:
        """Whether it is a job that runs, ends, and is started again by a schedule; then that is written."""
        fields = (self._text("cron_restart") or "").split()
        if not fields or boolean(str(self._app.get("autorestart", "true"))) is not False:
            return False
        if "schedule" in self._keys:
            return True
        text = " ".join(fields[1:] if len(fields) == 6 and fields[0] == "0" else fields)
        try:
            parse(text)
        except CronError:
            return False
        self._keys.update({"schedule": text, "schedule_timezone": "Local", "schedule_max_concurrent": 1})
        why = "with autorestart: false this is a job: it runs at these times, and not also at the start"
        self._changed("cron_restart", why, "run `cbox-init trigger` for one more run")
        return True

    def _milliseconds(self, key: str) -> float | None:
        value = self._text(key)
        if value is None:
            return None
        found = seconds(value, 0.001)
        if found is None:
            self._lost(key, f"{value[:40]!r} is not a time", "set it by hand")
        return found

    def _stopping(self) -> None:
        shutdown = section_of(self._keys, "shutdown")
        shutdown["signal"] = "SIGINT"
        if (timeout := self._milliseconds("kill_timeout")) is not None:
            shutdown["timeout"] = duration(max(timeout, 0.001))
        if boolean(str(self._app.get("treekill", "true"))) is False:
            shutdown["mode"] = "main"

    def _output(self) -> None:
        own = {
            stream: path
            for stream, path in (
                ("stdout", self._text("out_file", "output")),
                ("stderr", self._text("error_file", "error", "err_file")),
            )
            if path is not None
        }
        for stream, path in list(own.items()):
            if path in ("/dev/null", "NULL"):
                self._keys[stream] = False
                del own[stream]
            elif path.startswith(("/dev/std", "/dev/fd/", "/proc/")):
                del own[stream]
        if not own:
            return
        paths = list(dict.fromkeys(own.values()))
        section_of(self._keys, "logging")["outputs"] = {"file": {"path": literal(paths[0]), "format": "text"}}
        key = (
            "out_file" if "out_file" in self._app else "error_file" if "error_file" in self._app else "output"
        )
        self._changed(key, "the lines go to standard output too, and each has its time and level")
        if len(paths) > 1:
            hint = "filter by `stream` in it, or let the program write this file"
            self._lost(
                "error_file" if "error_file" in self._app else "error", "one file has both streams", hint
            )


def _is_value(name: str, value: Raw) -> bool:
    return bool(name) and "=" not in name and value is not None and not isinstance(value, dict | list)
