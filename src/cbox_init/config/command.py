"""Commands that are written as one text: split into words, or run as a script."""

from __future__ import annotations

import re
from typing import Final

#: What runs a command of several lines.
SCRIPT: Final = ("sh", "-ec")

_SHELLS: Final = ("sh", "bash", "ash", "dash", "zsh")
_OPERATORS: Final = frozenset(("&&", "||", "|", ";", "&", ">", ">>", "<", "2>&1"))

_WORD: Final = re.compile(r"""(?:\\.|'[^']*'|"(?:[^"\\]|\\.)*"|[^\s'"\\])+""", re.DOTALL)
_QUOTED: Final = re.compile(r"""\\.|'[^']*'|"(?:[^"\\]|\\.)*\"""", re.DOTALL)
_NOT_EXPANDED: Final = re.compile(r"""\\.|'[^']*'""", re.DOTALL)
_REDIRECTION: Final = re.compile(r"(?:\d*|&)(?:>>|>|<)")
_ASSIGNMENT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
#: A literal reference is ``$${NAME}`` here; ``${NAME}`` is one that the instance replaces.
_EXPANSION: Final = re.compile(r"\$[A-Za-z_][A-Za-z0-9_]*|\$\([^)\s]*\)?|`|\$(\$\{[^}\s]*\}?)")


def parse_command(text: str) -> tuple[str, ...]:
    """Program and arguments of a command; raises ValueError where its quotes do not match.

    One line is split as a shell would, without anything expanded. Several lines are a script of ``sh -e``.
    """
    if "\n" in text.strip():
        return (*SCRIPT, text)
    if not any(mark in text for mark in "'\"\\"):
        return tuple(text.split())
    from shlex import split

    return tuple(split(text))


def runs_shell(command: tuple[str, ...]) -> bool:
    """Whether the program of a command is a shell."""
    return bool(command) and command[0].rsplit("/", 1)[-1] in _SHELLS


def operators_in(command: tuple[str, ...]) -> list[str]:
    """The words of a command that only a shell understands, where no shell gets them."""
    return [] if runs_shell(command) else [word for word in command if word in _OPERATORS]


def shell_syntax(text: str) -> list[str]:
    """What only a shell understands of a command in one line, in the order in which it stands there."""
    words = _WORD.findall(text)
    found: list[str] = []
    if len(words) > 1 and (assignment := _ASSIGNMENT.match(words[0])):
        found.append(assignment[0])
    for word in words:
        bare = _QUOTED.sub("", word)
        if bare in _OPERATORS:
            found.append(bare)
        elif redirection := _REDIRECTION.match(word):
            found.append(redirection[0])
        else:
            found += [sign for sign in ("&&", "||") if sign in bare]
            if word.endswith(";") or word.startswith(";"):
                found.append(";")
        found += [one[1] or one[0] for one in _EXPANSION.finditer(_NOT_EXPANDED.sub("", word))]
    return list(dict.fromkeys(found))
