"""Values that several formats have: command lines, durations, sizes, ports, users."""

from __future__ import annotations

import re
from shlex import shlex, split
from typing import TYPE_CHECKING, Final, NamedTuple

from cbox_init.config.scalars import format_duration, parse_bool
from cbox_init.errors import ImportFailed
from cbox_init.importers.model import literal, reference

if TYPE_CHECKING:
    from cbox_init.importers.model import Tree, Value

_PLAIN_WORD: Final = re.compile(r"(?:[\w@%+=:,./^-]|(?<!\$)\$\{[A-Za-z_]\w*(?::-[\w./-]*)?\})+", re.ASCII)
_QUOTED: Final = re.compile(r"""\\.|'[^']*'|"(?:[^"\\$`]|\\.)*\"""", re.DOTALL)
_SHELL_SIGNS: Final = re.compile(r"[*?\[\]()<>|&;`$!~#{}\n]")
_OPERATORS: Final = re.compile(r"[()<>|&;`!#\n]|\$\(")
_ASSIGNMENT: Final = re.compile(r"([A-Za-z_]\w*)=", re.ASCII)
_PORT: Final = re.compile(r"(?<![\\$])\$(?:PORT(?!\w)|\{PORT\})")
#: What only a shell has: no program has this name, or it would have no effect.
_BUILTINS: Final = frozenset(
    (
        *(".", ":", "source", "cd", "export", "unset", "set", "ulimit", "umask", "eval", "trap", "wait"),
        *("if", "while", "until", "for", "case", "read", "return", "exit", "test", "{", "[", "alias"),
    )
)
_NUMBER: Final = re.compile(r"[+-]?\d{1,12}", re.ASCII)
_TIME: Final = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)\s*([a-zA-Zµ]*)", re.ASCII)
_UNITS_S: Final = {
    **dict.fromkeys(("us", "usec", "µs"), 1e-6),
    **dict.fromkeys(("ms", "msec"), 1e-3),
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86_400.0),
    **dict.fromkeys(("w", "week", "weeks"), 604_800.0),
}
_LONGEST_COMMAND: Final = 64 * 1024
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class ShellCommand(NamedTuple):
    """A line that a shell would run: the variables in front of it, and the words of the command.

    ``uses_port``: its words refer to ``PORT``. ``shell``: a shell runs it here too.
    """

    env: dict[str, str]
    words: list[str]
    uses_port: bool
    shell: bool


def split_words(text: str) -> list[str] | None:
    """The words of a command line with its quotes, nothing expanded; None when quotes do not match.

    Raises ImportFailed when it is longer than any argument.
    """
    if len(text) > _LONGEST_COMMAND:
        raise ImportFailed(f"a command is longer than {_LONGEST_COMMAND >> 10} KiB; make a script of it")
    try:
        return split(text)
    except ValueError:
        return None


def command_value(words: list[str]) -> Value:
    """A command for the configuration: one text where no word needs quotes, else a list."""
    if words and "=" not in words[0] and all(_PLAIN_WORD.fullmatch(word) for word in words):
        return " ".join(words)
    return list(words)


def literal_command(words: list[str]) -> Value:
    """The same for words in which nothing is a reference."""
    return command_value([literal(word) for word in words])


def shell_command(line: str, shell: tuple[str, ...] = ("sh", "-c")) -> ShellCommand | None:
    """A line that a shell ran, without the shell where it needs none. None when its quotes do not match.

    ``$PORT`` becomes a reference to the port of the instance.
    """
    line = line.strip()
    if len(line) > _LONGEST_COMMAND:
        raise ImportFailed(f"a command is longer than {_LONGEST_COMMAND >> 10} KiB; make a script of it")
    env, rest = _assignments(line)
    words = split_words(_PORT.sub("PORT", rest))
    if words is None:
        return None
    if words and words[0] == "exec" and len(words) > 1:
        rest = rest.lstrip()[len("exec") :].lstrip()
        words = words[1:]
    bare = _QUOTED.sub("", _PORT.sub("", rest))
    uses_port = bool(_PORT.search(rest))
    if not words or words[0] in _BUILTINS or _SHELL_SIGNS.search(bare) or "'" in _quoted_ports(rest):
        script = line
        simple = words and words[0] not in _BUILTINS and not _ASSIGNMENT.match(words[0])
        if simple and not _OPERATORS.search(bare):
            script = f"exec {rest}"
        else:
            env = {}
        return ShellCommand(env, [*shell, literal(script)], uses_port, True)
    found = split_words(_PORT.sub(reference("PORT"), rest)) or []
    words = [word if "${PORT}" in word else literal(word) for word in found]
    return ShellCommand(env, words, uses_port, False)


def _quoted_ports(text: str) -> str:
    """The parts in single quotes that hold ``$PORT``, which a shell would not replace."""
    return "".join(part for part in re.findall(r"'[^']*'", text) if _PORT.search(part))


def _assignments(line: str) -> tuple[dict[str, str], str]:
    """The variables that stand in front of a command, as far as nothing in them is expanded, and the rest."""
    env: dict[str, str] = {}
    rest = line
    while found := _ASSIGNMENT.match(rest):
        word = re.match(r"""(?:\\.|'[^']*'|"(?:[^"\\]|\\.)*"|[^\s'"\\;&|<>()])*""", rest, re.DOTALL)
        assert word is not None
        values = split_words(word[0])
        behind = rest[word.end() :]
        if not behind[:1].isspace() or not values or any(sign in word[0] for sign in "$`~*"):
            return {}, line
        env[found[1]] = values[0].partition("=")[2]
        rest = behind.lstrip()
    return env, rest


def duration(seconds: float) -> str:
    """Seconds as people write them: ``1h``, not ``1h0m0s``."""
    text = format_duration(round(seconds, 3))
    return re.sub(r"(?<=[hm])0[ms](?:0s)?$", "", text)


def number(text: str | None) -> int | None:
    """A whole number, None when it is none."""
    return int(text) if text is not None and _NUMBER.fullmatch(text.strip()) else None


def seconds(text: str, unit_s: float = 1.0) -> float | None:
    """Seconds of a time such as ``90``, ``1min 30s`` or ``500ms``; a bare number has ``unit_s`` each."""
    total, position = 0.0, 0
    text = text.strip()
    while position < len(text):
        found = _TIME.match(text, position)
        unit = unit_s if found is not None and not found[2] else None
        if found is not None and found[2]:
            unit = _UNITS_S.get(found[2].lower() if len(found[2]) > 1 else found[2])
        if found is None or unit is None:
            return None
        total += float(found[1]) * unit
        position = found.end()
        while text[position : position + 1].isspace():
            position += 1
    return total if text and total < 315_360_000 else None


def boolean(text: str | None) -> bool | None:
    """True or false, None for another text."""
    try:
        return None if text is None else parse_bool(text)
    except ValueError:
        return None


def megabytes(size: int) -> int:
    """Bytes in whole MB of 1024 x 1024, at least 1."""
    return max(1, round(size / 2**20))


def is_name(text: str) -> bool:
    """Whether it can be the name of a variable."""
    return bool(_NAME.fullmatch(text))


def pairs(text: str) -> dict[str, str] | None:
    """The variables of ``KEY="value",KEY2=value`` as supervisord reads them; None for another form."""
    if len(text) > _LONGEST_COMMAND:
        return None
    lexer = shlex(text)
    lexer.wordchars += "/.+-():%$@!~*?^{}[]<>|&"
    try:
        tokens = list(lexer)
    except ValueError:
        return None
    found: dict[str, str] = {}
    for at in range(0, len(tokens), 4):
        part = tokens[at : at + 4]
        if len(part) < 3 or part[1] != "=" or part[3:] not in ([], [","]):
            return None
        found[part[0]] = part[2].strip("'\"")
    return found


def put_env(keys: Tree, env: dict[str, str]) -> None:
    """Add variables to a process; those that it has count before them."""
    if env:
        own = keys.get("env")
        keys["env"] = {**env, **(own if isinstance(own, dict) else {})}
