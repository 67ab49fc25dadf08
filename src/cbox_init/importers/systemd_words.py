"""The words of a command of systemd, with its variables, for a configuration or a shell."""

from __future__ import annotations

import os
import re
from shlex import quote
from typing import Final

VARIABLE: Final = re.compile(r"\$\$|\$\{([A-Za-z_]\w*)\}|\$([A-Za-z_]\w*)", re.ASCII)


def used_variables(words: list[str]) -> list[str]:
    """The names of the variables in the words."""
    return [found[1] or found[2] for word in words for found in VARIABLE.finditer(word) if found[0] != "$$"]


def filled(words: list[str], known: dict[str, str]) -> list[str]:
    """The words with variables of Environment= put in; ``$NAME`` as a whole word gives several words."""
    result: list[str] = []
    for word in words:
        alone = VARIABLE.fullmatch(word)
        if alone is not None and alone[2]:
            result += known[alone[2]].split()
        else:
            result.append(VARIABLE.sub(lambda m: "$" if m[0] == "$$" else known[m[1] or m[2]], word))
    return result


def as_shell(words: list[str]) -> str:
    """The words as a line for a shell, with their variables."""
    shown: list[str] = []
    for word in words:
        alone = VARIABLE.fullmatch(word)
        if alone is not None and alone[2]:
            shown.append(word)
        elif VARIABLE.search(word):
            shown.append('"' + _in_double_quotes(word) + '"')
        else:
            shown.append(quote(word))
    return " ".join(shown)


def in_foreground(words: list[str]) -> list[str] | None:
    """The words with which nginx or Apache stays in the foreground; None for other programs."""
    program = os.path.basename(words[0])
    if program == "nginx":
        found = [re.sub(r"\bdaemon\s+on\s*;", "daemon off;", word) for word in words]
        return found if any("daemon off;" in word for word in found) else [*found, "-g", "daemon off;"]
    if program in ("apachectl", "apache2ctl", "apache2", "httpd"):
        return [*(word for word in words if word not in ("start", "-k")), "-D", "FOREGROUND"]
    return None


def _in_double_quotes(word: str) -> str:
    parts: list[str] = []
    at = 0

    def plain(text: str) -> str:
        return re.sub(r'([\\"`$])', r"\\\1", text)

    for found in VARIABLE.finditer(word):
        parts.append(plain(word[at : found.start()]))
        parts.append("\\$" if found[0] == "$$" else found[0])
        at = found.end()
    return "".join([*parts, plain(word[at:])])
