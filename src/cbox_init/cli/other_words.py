"""The words of other tools for what a command does, and what to type here. Pure; imported for an error."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from cbox_init.cli import PROGRAM
from cbox_init.cli.connection import most_similar

if TYPE_CHECKING:
    from collections.abc import Sequence


class OtherWord(NamedTuple):
    """A word, the tools that have it, and what does the same here, with commands in backquotes.

    No tools: the word is the name of a program.
    """

    word: str
    tools: str
    here: str


_SUPERVISOR: Final = "supervisorctl"
_PM2: Final = "pm2"
_SYSTEMD: Final = "systemctl"
_DOCKER: Final = "docker"
_CIRCUS: Final = "circusctl"
_S6: Final = "s6"

_FILE = "edit the configuration file, then `reload-config`"
_NOT_NEEDED = "not needed: the configuration file says what runs"
_BOOT = (
    "not needed: the container starts cbox-init; a process with `initial_state: stopped` waits for a command"
)
_INSTEAD = "leave this word out, as in `restart NAME`"

WORDS: Final = tuple(
    OtherWord(*row)
    for row in (
        ("update", _SUPERVISOR, "`reload-config`"),
        ("reread", _SUPERVISOR, "`reload-config --dry-run`"),
        ("fg", _SUPERVISOR, "`logs -f NAME`; a process has no input"),
        ("maintail", _SUPERVISOR, "`events -f`; the daemon's own messages are on its standard output"),
        ("avail", _SUPERVISOR, "`list`"),
        ("add", f"{_SUPERVISOR} and {_CIRCUS}", _FILE),
        ("remove", _SUPERVISOR, _FILE),
        ("pid", _SUPERVISOR, "`list`, or `list --columns name,pids` for those of all instances"),
        ("clear", _SUPERVISOR, "not needed: the lines that are kept have a limit"),
        ("quit", f"{_SUPERVISOR} and {_CIRCUS}", "`shutdown` ends the daemon"),
        ("jlist", _PM2, "`list --json`"),
        ("prettylist", _PM2, "`list -o yaml`"),
        ("monit", _PM2, "`top`, or `tui`"),
        ("dashboard", _PM2, "`tui`"),
        ("flush", _PM2, "not needed: the lines that are kept have a limit"),
        ("describe", _PM2, "`status NAME`"),
        ("desc", _PM2, "`status NAME`"),
        ("show", f"{_PM2} and {_SYSTEMD}", "`status NAME`"),
        ("delete", _PM2, _FILE),
        ("del", _PM2, _FILE),
        ("save", _PM2, _NOT_NEEDED),
        ("dump", _PM2, _NOT_NEEDED),
        ("resurrect", _PM2, _NOT_NEEDED),
        ("startup", _PM2, _BOOT),
        ("unstartup", _PM2, _BOOT),
        ("reloadLogs", _PM2, "send the daemon SIGUSR1: `kill -USR1 1` in the container"),
        ("sendSignal", _PM2, "`signal SIGNAL NAME`"),
        ("gracefulReload", _PM2, "`restart NAME`: one instance after another"),
        ("startOrRestart", _PM2, "`reload-config`"),
        ("startOrReload", _PM2, "`reload-config`"),
        ("ecosystem", _PM2, "`scaffold`, or `import ecosystem.config.js`"),
        ("reset", _PM2, "`start NAME` resets the restart budget; counts of restarts stay"),
        ("ping", _PM2, "`health`"),
        ("env", _PM2, "`explain processes.NAME.env`; the environment of a process is not shown"),
        ("s6-svc", _S6, "`start NAME`, `stop NAME`, `restart NAME` or `signal SIGNAL NAME`"),
        ("s6-rc", _S6, "`start NAME` and `stop NAME`, or `reload-config` for `s6-rc-update`"),
        ("s6-rc-update", _S6, "`reload-config`"),
        ("s6-svstat", _S6, "`status NAME`"),
        ("s6-svscanctl", _S6, "`reload-config`, or `shutdown`"),
        ("s6-svwait", _S6, "`start NAME --wait`, or `health --ready`"),
        ("s6-log", _S6, "`logs NAME`"),
        ("sv", "runit", "`start NAME`, `stop NAME`, `restart NAME` or `status NAME`"),
        ("up", f"runit and {_DOCKER} compose", "`start NAME`"),
        ("down", "runit", "`stop NAME`, or `shutdown` for everything"),
        ("dinitctl", "", _INSTEAD),
        ("daemon-reload", _SYSTEMD, "`reload-config`"),
        ("daemon-reexec", _SYSTEMD, "restart the container"),
        ("enable", _SYSTEMD, "`enabled: true` in the configuration file, then `reload-config`"),
        ("disable", _SYSTEMD, "`enabled: false` in the configuration file, then `reload-config`"),
        ("mask", _SYSTEMD, "`enabled: false` in the configuration file, then `reload-config`"),
        ("unmask", _SYSTEMD, "`enabled: true` in the configuration file, then `reload-config`"),
        ("is-active", _SYSTEMD, "`status NAME`: its exit code is 1 when the process is not well"),
        ("is-failed", _SYSTEMD, "`status NAME`: its exit code is 1 when the process is not well"),
        ("is-enabled", _SYSTEMD, "`list`; disabled processes are not in it"),
        ("is-system-running", _SYSTEMD, "`health --ready`"),
        ("kill", f"{_DOCKER} and {_SYSTEMD}", "`signal KILL NAME`, or `shutdown` to end the daemon"),
        ("journalctl", "systemd", "`logs NAME`, `logs -f NAME`, `logs --since 5m`"),
        ("list-units", _SYSTEMD, "`list`"),
        ("list-timers", _SYSTEMD, "`list`, and `status NAME` for the next run"),
        ("reset-failed", _SYSTEMD, "`start NAME`"),
        ("try-restart", _SYSTEMD, "`restart NAME`"),
        ("reload-or-restart", _SYSTEMD, "`restart NAME`, or `signal HUP NAME`"),
        ("edit", _SYSTEMD, _FILE),
        ("cat", _SYSTEMD, "`check-config` reads the file; the daemon's page and API show what is in force"),
        ("poweroff", _SYSTEMD, "`shutdown`"),
        ("halt", _SYSTEMD, "`shutdown`"),
        ("reboot", _SYSTEMD, "`restart all`, or `shutdown` where the container is restarted"),
        ("inspect", _DOCKER, "`status NAME --json`"),
        ("stats", f"{_DOCKER} and {_CIRCUS}", "`top`"),
        ("attach", f"{_DOCKER} and process-compose", "`logs -f NAME`, or `tui`"),
        ("unpause", _DOCKER, "`resume NAME`, for schedules"),
        ("rm", f"{_DOCKER} and {_CIRCUS}", _FILE),
        ("wait", _DOCKER, "`start NAME --wait`, or `changes ID --wait`"),
        ("incr", _CIRCUS, "`scale NAME +1`"),
        ("decr", _CIRCUS, "`scale NAME -1`"),
        ("numprocesses", _CIRCUS, "`list`"),
        ("summary", "monit", "`list`"),
        ("monitor", "monit", "`start NAME`"),
        ("unmonitor", "monit", "`stop NAME`"),
        ("validate", "monit", "`check-config`"),
        ("check", "foreman and honcho", "`check-config`"),
        ("config", f"{_DOCKER} compose", "`check-config`, `explain KEY`"),
        ("init", _PM2, "`scaffold`"),
        (_SUPERVISOR, "", _INSTEAD),
        (_PM2, "", _INSTEAD),
        (_SYSTEMD, "", _INSTEAD),
        ("service", "", _INSTEAD),
        ("supervisord", "", "use `serve`"),
        ("pm2-runtime", "", "use `serve`"),
        ("uptime", "the shell", "`status` without a name"),
        ("cron", "cron", "`history NAME`, `trigger NAME`; `explain schedule`"),
        ("crontab", "cron", "`explain schedule`"),
    )
)

_BY_WORD: Final = {one.word.casefold(): one for one in WORDS}


def find_word(word: str) -> OtherWord | None:
    """What another tool's ``word`` is here; letters of either case."""
    return _BY_WORD.get(word.casefold())


def unknown_word(word: str, known: Sequence[str]) -> str:
    """One line about a word that is no command: what it is here, else the nearest command."""
    line = f"no command is called {word!r}"
    other = find_word(word)
    if other is None:
        nearest = most_similar(word, known) or most_similar(word, tuple(one.word for one in WORDS))
        if nearest is None:
            return line
        other = None if nearest in known else find_word(nearest)
        if other is None:
            return f"{line}; did you mean {nearest!r}?"
    here = _with_program(other.here, known)
    return f"{line}; {other.word!r} of {other.tools} is here: {here}" if other.tools else f"{line}: {here}"


def _with_program(here: str, known: Sequence[str]) -> str:
    """The text with the program's name before its commands, to be copied into a shell."""

    def complete(found: re.Match[str]) -> str:
        return f"`{PROGRAM} {found[1]}" if found[1] in known else found[0]

    return re.sub("`([a-z-]+)(?=[` ])", complete, here)
