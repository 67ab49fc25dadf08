"""Reads ``token_file`` of the API's tokens, for the API and for the check of a file."""

from __future__ import annotations

import os
import stat
from typing import Final, NamedTuple

from cbox_init.config.token_hash import LONGEST_TOKEN

_MOST_BYTES: Final = 16 * 1024
#: Tokens that a file may hold: the old one and the new one, and some more.
MOST_TOKENS: Final = 8


class BadTokenFileError(ValueError):
    """A file without a token that could be used."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class TokenFile(NamedTuple):
    """The tokens of a file, one a line, and whether every user of the machine can read it."""

    tokens: tuple[str, ...]
    open_to_all: bool


def read_token_file(path: str) -> TokenFile:
    """The tokens in the file at ``path``, without line ends and blanks around them. Blocks.

    Raises BadTokenFileError.
    """
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise BadTokenFileError(f"{path} is not a file", "name a file that holds the token")
            data = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        raise BadTokenFileError(f"{path} does not exist", "mount it, or correct the path") from None
    except (OSError, ValueError) as error:
        if isinstance(error, BadTokenFileError):
            raise
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        hint = "let the daemon's user read it, or correct the path"
        raise BadTokenFileError(f"{path} cannot be read: {reason}", hint) from None
    if len(data) > _MOST_BYTES:
        raise BadTokenFileError(f"{path} is larger than 16 KiB", "name a file that holds the token alone")
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise BadTokenFileError(f"{path} is not text", "name a file that holds the token alone") from None
    tokens = tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not tokens:
        raise BadTokenFileError(f"{path} is empty", "write the token into it")
    if len(tokens) > MOST_TOKENS:
        raise BadTokenFileError(
            f"{path} has {len(tokens)} lines, and each would be a token", f"at most {MOST_TOKENS} are"
        )
    for token in tokens:
        if problem := problem_of(token):
            raise BadTokenFileError(f"{path}: a token {problem}", "make one with `cbox-init token new`")
    return TokenFile(tokens, bool(found.st_mode & (stat.S_IROTH | stat.S_IWOTH)))


def problem_of(token: str) -> str | None:
    """Why no client could send ``token`` in a header; None when it can be sent."""
    if len(token) > LONGEST_TOKEN:
        return f"has more than {LONGEST_TOKEN} characters"
    if not token.isascii() or not token.isprintable():
        return "has characters that an HTTP header cannot carry"
    return None
