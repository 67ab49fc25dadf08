"""Reads ``token_file`` of the API's tokens, for the API and for the check of a file."""

from __future__ import annotations

import stat
from typing import Final, NamedTuple

from cbox_init.config.small_file import SmallFileError, read_small_file
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
        data, mode = read_small_file(
            path, _MOST_BYTES, "name a file that holds the token", "name a file that holds the token alone"
        )
    except SmallFileError as error:
        raise BadTokenFileError(error.message, error.hint) from None
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
    return TokenFile(tokens, bool(mode & (stat.S_IROTH | stat.S_IWOTH)))


def problem_of(token: str) -> str | None:
    """Why no client could send ``token`` in a header; None when it can be sent."""
    if len(token) > LONGEST_TOKEN:
        return f"has more than {LONGEST_TOKEN} characters"
    if not token.isascii() or not token.isprintable():
        return "has characters that an HTTP header cannot carry"
    return None
