"""Patterns of secrets that have names, for `logging.redaction.patterns`.

They are made so that each of their repeats ends, and that most begin with a letter of their own, for which
``re`` looks fast: no line takes long. What they find is as exact as a pattern
can be; where it cannot be sure, it masks.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class BuiltinPattern(Struct, frozen=True):
    """One expression of a built-in pattern. ``replacement`` is for the mask as ``{mask}``; ``holds`` says of
    a match whether it is one.
    """

    pattern: str
    replacement: str = "{mask}"
    holds: Callable[[re.Match[str]], bool] | None = None

    def with_mask(self, mask: str) -> str:
        """The replacement with ``mask`` in it, of which a dollar is a dollar."""
        return self.replacement.replace("{mask}", mask.replace("$", "$$"))


def is_card_number(match: re.Match[str]) -> bool:
    """Whether the digits are 13 to 19, fit their check digit (Luhn), and are not the end of more."""
    before = match.string[match.start() - 1 : match.start()]
    if before.isalnum() or before in ("_", "."):
        return False
    digits = [int(letter) for letter in match[0] if letter.isdigit()]
    if not 13 <= len(digits) <= 19:
        return False
    doubled = (2 * digit - 9 * (digit > 4) for digit in digits[-2::-2])
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


_QUERY_NAMES: Final = (
    "password|passwd|passphrase|pwd|pass|secret|token|access_token|refresh_token|auth_token|private_token|"
    "api_key|apikey|client_secret|signature"
)

#: Slashes of a URL may be escaped, as PHP writes them in JSON.
BUILTIN_PATTERNS: Final[dict[str, tuple[BuiltinPattern, ...]]] = {
    "bearer_token": (
        BuiltinPattern(r"([Bb]earer|BEARER)(\s{1,8}|%20)[A-Za-z0-9._~+/=-]{6,}", "${1}${2}{mask}"),
        BuiltinPattern(
            r"(?i)(authorization\\?[\"']?\s{0,8}[:=]\s{0,8}\\?[\"']?basic\s{1,8})[a-z0-9+/=_-]{4,}",
            "${1}{mask}",
        ),
    ),
    "aws_key": (
        BuiltinPattern(r"A(?:KIA|SIA|BIA|CCA)[A-Z0-9]{16}\b"),
        BuiltinPattern(
            r"(?i)(aws_?(?:secret_?access_?key|session_?token|secret_?key)\\?[\"']?\s{0,8}[:=]\s{0,8}\\?[\"']?)"
            r"[a-z0-9/+=]{16,}",
            "${1}{mask}",
        ),
    ),
    "jwt": (BuiltinPattern(r"eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]*"),),
    "credit_card": (
        BuiltinPattern(r"[2-6][0-9]{12,18}\b", holds=is_card_number),
        BuiltinPattern(r"[2-6][0-9]{3}(?:[ -][0-9]{4}){3}\b", holds=is_card_number),
        BuiltinPattern(r"3[0-9]{3}[ -][0-9]{6}[ -][0-9]{5}\b", holds=is_card_number),
    ),
    "email": (BuiltinPattern(r"\b[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}\b"),),
    "url_password": (
        BuiltinPattern(r"(:\\?/\\?/[^\s/:@\"'?#\\]{0,256}:)[^\s/?#\"'\\]{1,1000}@", "${1}{mask}@"),
        BuiltinPattern(rf"(?i)([?&;](?:{_QUERY_NAMES})=)[^\s&;#\"'<>\\]{{1,1000}}", "${1}{mask}"),
    ),
    "github_token": (
        BuiltinPattern(r"gh[pousr]_[A-Za-z0-9]{20,255}"),
        BuiltinPattern(r"github_pat_[A-Za-z0-9_]{20,255}"),
    ),
    "private_key": (
        BuiltinPattern(
            r"(?s)(-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----).*?"
            r"(?:(-----END [A-Z ]{0,32}PRIVATE KEY-----)|\z)",
            "${1}{mask}${2}",
        ),
    ),
}

_WORD: Final = re.compile(r"[\w.-]+")

#: Other names for the same.
_ALSO: Final = {
    "bearer": "bearer_token",
    "bearer_tokens": "bearer_token",
    "aws": "aws_key",
    "aws_keys": "aws_key",
    "jwts": "jwt",
    "card": "credit_card",
    "card_number": "credit_card",
    "card_numbers": "credit_card",
    "credit_cards": "credit_card",
    "emails": "email",
    "e_mail": "email",
    "url_passwords": "url_password",
}


def builtin_patterns(name: str) -> tuple[BuiltinPattern, ...] | None:
    """The expressions that ``name`` stands for, None when it has none. Case, - and _ make no difference."""
    plain = name.strip().lower().replace("-", "_").replace(" ", "_")
    return BUILTIN_PATTERNS.get(_ALSO.get(plain, plain))


def is_word(text: str) -> bool:
    """Whether ``text`` is meant as a word: it has nothing but letters, digits, ``_``, ``-`` and ``.``."""
    return _WORD.fullmatch(text) is not None


def word_patterns(words: Sequence[str]) -> tuple[BuiltinPattern, ...]:
    """What masks the values of keys that end with one of ``words``, in either case.

    A value in quotes keeps them, so that JSON stays JSON; a number or a word of JSON becomes a text. A key in
    which a letter is escaped (``"pass\\u0077ord"``) is masked whatever it is: nothing but the wish to pass
    unseen writes a letter so.
    """
    if not words:
        return ()
    key = f"(?:{'|'.join(re.escape(word) for word in words)})"
    to = rf"(?i)({key}(?:\\?[\"'])?\s{{0,8}}[:=]\s{{0,8}}"
    escaped = r"(\\u00[4-7][0-9a-fA-F](?:[^\"\\]|\\[^\"]){0,200}\\?\"\s{0,8}:\s{0,8}"
    return (
        BuiltinPattern(escaped + r"\\?\")(?:[^\"\\]|\\[^\"])*", "${1}{mask}"),
        BuiltinPattern(escaped + r")(?:-?[0-9][0-9.e+-]*|true|false|null)", '${1}"{mask}"'),
        BuiltinPattern(rf"{to}\")(?:[^\"\\]|\\.)*", "${1}{mask}"),
        BuiltinPattern(rf"{to}\\\")(?:[^\"\\]|\\[^\"])*", "${1}{mask}"),
        BuiltinPattern(rf"{to}')(?:[^'\\]|\\.)*", "${1}{mask}"),
        BuiltinPattern(
            rf'(?i)({key}"\s{{0,8}}:\s{{0,8}})(?:-?[0-9][0-9.e+-]*|true|false|null)([\s,}}\]]|$)',
            '${1}"{mask}"${2}',
        ),
        BuiltinPattern(
            rf"{to})(?:(?:bearer|basic|token|digest)\s{{1,8}})?[^\s&,;\"'\\<>)}}\]]+",
            "${1}{mask}",
        ),
    )
