"""crontab: of a user, and of the system with a user in each line."""

from __future__ import annotations

import re
from shlex import quote
from typing import TYPE_CHECKING, Final, NamedTuple

from cbox_init.cron import CronError, find_zone, parse, split_zone
from cbox_init.importers.model import Imported, ImportedProcess, Origin, Tree, literal
from cbox_init.importers.values import command_value, put_env, shell_command, split_words

if TYPE_CHECKING:
    from collections.abc import Iterator

_SETTING: Final = re.compile(r"\s*(\"[^\"]*\"|'[^']*'|[A-Za-z_]\w*)\s*=\s*(.*)", re.ASCII)
_JOB: Final = re.compile(r"(@\w+|\S+(?:\s+\S+){4})\s+(.*\S)", re.ASCII)
_USER: Final = re.compile(r"(-?[a-z_][a-z0-9_-]*\$?|\d+)\s+(\S.*)", re.ASCII)
#: Accounts of which a crontab of the system has at least one in practice.
_USUAL_USERS: Final = frozenset(
    ("root", "www-data", "nobody", "daemon", "nginx", "apache", "app", "postgres")
)
_WRAPPERS: Final = frozenset(
    (
        *(
            "sh",
            "bash",
            "env",
            "nice",
            "ionice",
            "flock",
            "timeout",
            "sudo",
            "exec",
            "test",
            "command",
            "time",
        ),
        *("php", "python", "python3", "node", "ruby", "perl", "docker", "run-parts", "-n", "-c", "-x", "["),
    )
)
_FIELD: Final = re.compile(r"(?:\*(?:/\d+)?|\d[\d,/-]*)\s")
#: A lock, a time limit: what stands between flock or timeout and the program.
_NO_PROGRAM: Final = re.compile(r"/tmp/|/var/(?:lock|run)/|/run/|\d+[smhd]?$")
_NAME_PART: Final = re.compile(r"[^A-Za-z0-9]+")


class _Job(NamedTuple):
    line: int
    schedule: str
    user: str | None
    command: str
    settings: dict[str, str]


def is_system(text: str) -> bool:
    """Whether the lines have a user behind the schedule."""
    jobs = [found[2] for found in map(_JOB.fullmatch, _lines(text)) if found is not None]
    users = [match[1] for job in jobs if (match := _USER.fullmatch(job)) is not None]
    return bool(jobs) and len(users) == len(jobs) and not _USUAL_USERS.isdisjoint(users)


def looks_like_crontab(text: str) -> bool:
    """Whether there is a line with a schedule that can be read."""
    for line in _lines(text):
        found = _JOB.fullmatch(line)
        if found is not None and not _SETTING.fullmatch(line):
            if found[1].lower() == "@reboot":
                return True
            try:
                parse(found[1])
            except CronError:
                continue
            return True
    return False


def read(path: str, text: str, *, system: bool) -> Imported:
    """The jobs of a crontab as processes with a schedule."""
    imported = Imported(path)
    for job in _jobs(imported, text, system):
        keys = _keys(imported, job)
        if keys is None:
            continue
        name = _name(job.command)
        taken = {one.name for one in imported.processes}
        free, count = name, 2
        while free in taken:
            free, count = f"{name}-{count}", count + 1
        imported.add(ImportedProcess(free, Origin(path, job.line), keys))
    if imported.processes:
        why = "cron runs jobs in the home directory and with few variables"
        hint = "here it is the daemon's directory and environment: set working_dir and environment: clean"
        imported.notes.changed(None, "all", why, hint)
    return imported


def _lines(text: str) -> Iterator[str]:
    for raw in text.split("\n"):
        line = raw.strip()
        yield "" if line.startswith("#") else line


def _jobs(imported: Imported, text: str, system: bool) -> Iterator[_Job]:
    settings: dict[str, str] = {}
    notes = imported.notes
    for number, line in enumerate(_lines(text), 1):
        if not line:
            continue
        setting = _SETTING.fullmatch(line)
        if setting is not None:
            name = setting[1].strip("\"'")
            settings = {**settings, name: _unquoted(setting[2].strip())}
            if name in ("MAILTO", "MAILFROM") and settings[name]:
                why = "output is not mailed: it goes to the log"
                notes.lost(number, name, why, "set heartbeat.failure_url, or an alert on the log")
            elif name == "RANDOM_DELAY":
                notes.lost(number, name, "schedules have no random delay", "add `sleep` to the command")
            continue
        found = _JOB.fullmatch(line)
        if found is None:
            notes.lost(number, line[:40], "is not a schedule and a command", "correct the line")
            continue
        schedule, command, user = found[1], found[2], None
        if system:
            match = _USER.fullmatch(command)
            if match is None:
                notes.lost(number, schedule, "has no user and command", "import it with --from crontab")
                continue
            user, command = match[1].removeprefix("-"), match[2]
        if _FIELD.match(command):
            notes.lost(number, schedule, "has 6 fields, expected 5", "write minute hour day month weekday")
            continue
        yield _Job(number, " ".join(schedule.split()), user, command, settings)


def _keys(imported: Imported, job: _Job) -> Tree | None:
    notes = imported.notes
    name = _name(job.command)
    zone = job.settings.get("CRON_TZ")
    keys: Tree = {}
    if job.schedule.lower() == "@reboot":
        keys["type"] = "oneshot"
    else:
        own_zone, schedule = split_zone(job.schedule)
        try:
            parse(schedule)
            find_zone(own_zone or zone or "Local")
        except CronError as error:
            notes.lost(job.line, job.schedule, str(error), "write a schedule of five fields")
            return None
        keys["schedule"] = schedule.lower() if schedule.startswith("@") else schedule
        keys["schedule_timezone"] = own_zone or zone or "Local"
    command, given = _split_input(job.command)
    shell = job.settings.get("SHELL", "/bin/sh")
    shell = "sh" if shell == "/bin/sh" else shell
    if given is not None:
        lines = " ".join(quote(line) for line in given)
        words = [shell, "-c", literal(f"printf '%s\\n' {lines} | {{ {command}; }}")]
        notes.changed(job.line, name, "what stands behind % is piped to the command", process=name)
        found_env: dict[str, str] = {}
    else:
        found = shell_command(command, (shell, "-c"))
        if found is None:
            words, found_env = [shell, "-c", literal(command)], {}
        else:
            words, found_env = found.words, found.env
    keys["command"] = command_value(words)
    if job.user is not None and job.user != "root":
        keys["user"] = job.user
    ours = ("MAILTO", "MAILFROM", "CRON_TZ", "SHELL", "RANDOM_DELAY", "CONTENT_TYPE", "HOME")
    env = {key: literal(value) for key, value in job.settings.items() if key not in ours and _fits(key)}
    put_env(keys, found_env)
    put_env(keys, env)
    if (home := job.settings.get("HOME")) is not None:
        keys["working_dir"] = literal(home)
        put_env(keys, {"HOME": literal(home)})
    return keys


def _fits(name: str) -> bool:
    return bool(name) and "=" not in name


def _unquoted(text: str) -> str:
    if len(text) > 1 and text[0] in "\"'" and text[-1] == text[0]:
        return text[1:-1]
    return text


def _split_input(command: str) -> tuple[str, list[str] | None]:
    """The command, and the lines of its standard input behind the first % that has no backslash."""
    parts = [part.replace("\\%", "%") for part in re.split(r"(?<!\\)%", command)]
    return parts[0].strip(), parts[1:] if len(parts) > 1 else None


def _name(command: str) -> str:
    """A name for a job: the program behind shells and interpreters, and what it is told to do."""
    command = re.sub(r"^cd\s+\S+\s*(?:&&|;)\s*", "", command)
    command = re.split(r"[|;<>]|&&|\d?>", command)[0]
    words = split_words(command) or command.split()
    rest = [
        word
        for word in words
        if "=" not in word
        and not word.startswith("-")
        and word.rpartition("/")[2] not in _WRAPPERS
        and not _NO_PROGRAM.match(word)
    ]
    if not rest:
        rest = words[:1]
    first = rest[0].rstrip("/").rpartition("/")[2] if rest else ""
    first = re.sub(r"\.(?:sh|py|php|rb|pl|js)$", "", first)
    second = rest[1] if len(rest) > 1 and re.fullmatch(r"[a-z][a-z:_-]{1,20}", rest[1]) else ""
    return _NAME_PART.sub("-", f"{first} {second}").strip("-").lower()[:40] or "job"
