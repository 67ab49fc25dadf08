"""Whether a name or a value is a secret, and texts without their secrets. All that masks asks this module.

The stages of logs have patterns of their own (`cbox_init.patterns.builtin`), which a user chooses. The
expressions here are texts, which ``re`` compiles and keeps when they are first needed: not at the start.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

MASK: Final = "***"

_PARTS: Final = (
    *("PASSW", "PASSPHRASE", "PASSCODE", "PGPASS", "SECRET", "TOKEN", "KEY", "CRED", "DSN", "AUTH"),
    *("PRIVATE", "SIGNATURE", "BEARER"),
)
_WORDS: Final = frozenset(("PASS", "PWD", "PW", "PIN", "JWT", "SALT", "COOKIE"))
#: Words that end with PASS and have nothing to do with a password.
_NO_PASS: Final = frozenset(("COMPASS", "BYPASS", "ENCOMPASS", "OVERPASS", "UNDERPASS", "SURPASS"))
#: In the middle of a text a name counts when there is less doubt: ``--sort-key=name`` is no secret.
_PARTS_IN_TEXTS: Final = (
    *("PASSW", "PASSPHRASE", "PASSCODE", "PGPASS", "SECRET", "TOKEN", "CREDENTIAL", "BEARER"),
    *("APIKEY", "ACCESSKEY", "PRIVATEKEY", "APPKEY", "MASTERKEY", "SIGNINGKEY", "ENCRYPTIONKEY"),
)
#: Names that end so hold a place rather than what is there.
_PLACES: Final = ("FILE", "PATH", "DIR", "SOCK", "SOCKET", "STDIN")
_DIRECTORIES: Final = ("PWD", "OLDPWD")
_NOT_A_LETTER: Final = r"[^A-Z0-9]+"

# Up to the last @ of the word: a password that is not percent-encoded may contain / and @.
_URL_PASSWORD: Final = r"(://[^/\s:@]*:)\S{0,1000}@"
_AUTHORIZATION: Final = (
    r"(?i)(authorization\\?[\"']?\s{0,8}[:=]\s{0,8}\\?[\"']?(?:[a-z-]{1,20}\s{1,8})?)[^\s\"'\\,]+"
)
_BEARER: Final = r"(?i)(\bbearer(?:\s{1,8}|%20))[a-z0-9._~+/=-]{6,}"
_ASSIGNED: Final = (
    r"(?<![\w.-])(--?)?([A-Za-z_][\w.-]{0,100}(?:\[[\w.-]{1,100}\])?)="
    r"(\\?\"(?:[^\"\\]|\\[^\"])*|'[^']*|[^\s&;|,\"')}\]]+)"
)
_OPTION: Final = r"(?<![\w-])(--?([A-Za-z][\w-]{0,100})\s{1,8})(\"[^\"]*|'[^']*|[^\s\"'-]\S*)"
_MEMBER: Final = r"(\"((?:[^\"\\]|\\.){1,200})\"\s{0,8}:\s{0,8})(\"(?:[^\"\\]|\\.)*\"?|[^\s,}\]\[{\"]+)"
_HEADER: Final = r"(?<![\w-])([Xx]-[A-Za-z-]{1,60}|[Aa]pi-[Kk]ey|[Cc]ookie)(:\s{0,8})([^\s\"']+)"
_OPENSSL: Final = r"(?<![\w:])(pass:)[^\s\"']+"

#: Programs with a short option whose value is a password: joined to the option, or the next word too.
_JOINED: Final = {"-p": r"(?:mysql|mariadb)[\w-]*\Z|sshpass\Z"}
_NEXT: Final = {
    "-p": r"sshpass\Z",
    "-a": r"redis-cli\Z|valkey-cli\Z",
    "-u": r"curl\Z",
    "--user": r"curl\Z",
}
_IN_A_SHELL: Final = (
    r"(\b(?:mysql|mariadb)[\w-]*\s(?:[^|;&\n]{0,500}?\s)?-p)(?=[^\s-])\S+",
    r"(\bsshpass\s+-p\s{0,8})\S+",
    r"(\b(?:redis|valkey)-cli\s(?:[^|;&\n]{0,500}?\s)?-a\s{1,8})\S+",
    r"(\bcurl\s(?:[^|;&\n]{0,500}?\s)?(?:-u|--user)[\s=]{0,8}[^\s:]{0,100}:)\S+",
)
#: Without one of these a text cannot match any of the expressions above.
_SIGNS: Final = ("=", ":", "--", " -", "earer", "EARER")

_SHORTEST_VALUE: Final = 8
_SHORTEST_LINE: Final = 16


def sounds_secret(name: str) -> bool:
    """Whether a variable of this name is likely to hold a secret."""
    upper = name.upper()
    return upper not in _DIRECTORIES and (any(part in upper for part in _PARTS) or _has_secret_word(upper))


def names_a_place(name: str) -> bool:
    """Whether a variable of this name holds a path rather than a value: ``DB_PASSWORD_FILE``, ``PWD``."""
    upper = name.upper()
    return upper.endswith(_PLACES) or upper in _DIRECTORIES


def without_url_password(text: str) -> str:
    """``text`` with the passwords of URLs such as postgres://user:password@host masked."""
    return re.sub(_URL_PASSWORD, rf"\1{MASK}@", text) if "://" in text else text


def without_secrets(text: str) -> str:
    """``text`` with what is a secret by its form masked, as far as that is unambiguous.

    These are passwords and tokens in URLs, ``Authorization`` and bearer tokens, ``--password=x``,
    ``PGPASSWORD=x``, ``"password": "x"`` also with escapes in the key, and passwords of known programs
    (``mysql -px``).
    """
    if not any(sign in text for sign in _SIGNS):
        return text
    text = without_url_password(text)
    if ":" in text:
        text = re.sub(_MEMBER, _member, text)
        text = re.sub(_HEADER, _header, text)
        text = re.sub(_OPENSSL, rf"\1{MASK}", text)
    text = re.sub(_AUTHORIZATION, rf"\1{MASK}", text)
    text = re.sub(_BEARER, rf"\1{MASK}", text)
    if "=" in text:
        text = re.sub(_ASSIGNED, _assigned, text)
    if " " in text:
        text = re.sub(_OPTION, _option, text)
        for expression in _IN_A_SHELL:
            text = re.sub(expression, rf"\1{MASK}", text)
    return text


def command_without_secrets(command: Sequence[str]) -> list[str]:
    """The words of a command as `without_secrets`, and with the values of options that are secret masked."""
    shown = [without_secrets(word) for word in command]
    program = command[0].rpartition("/")[2] if command else ""
    for index, word in enumerate(command):
        before = command[index - 1] if index > 1 else ""
        joined = _JOINED.get(word[:2])
        if joined is not None and len(word) > 2 and re.match(joined, program):
            shown[index] = word[:2] + MASK
        elif before in _NEXT and re.match(_NEXT[before], program):
            user, colon, _ = word.partition(":")
            shown[index] = f"{user}:{MASK}" if before in ("-u", "--user") and colon else MASK
            if before in ("-u", "--user") and not colon:
                shown[index] = word
        elif _is_secret_option(before) and not word.startswith("-") and not _is_reference(word):
            shown[index] = MASK
    return shown


class KnownSecrets:
    """The secrets whose values are known: they are masked wherever they stand. For any thread.

    A value counts when it is long and not a plain word, since a short one may be part of any text. ``values``
    is called when the first text is to be masked, which a start that goes well never needs.
    """

    __slots__ = ("_find", "_values")

    def __init__(self, values: Callable[[], Iterable[str]] = tuple) -> None:
        self._find: Callable[[], Iterable[str]] = values
        self._values: _Values | None = None

    def use(self, values: Callable[[], Iterable[str]]) -> None:
        """Mask these from now on, as the configuration has changed."""
        self._find, self._values = values, None

    def masked(self, text: str) -> str:
        """``text`` without the values."""
        known = self._values
        if known is None:
            known = self._values = _Values(_unmistakable(self._find()))
            self._find = tuple
        for value in known.possible_in(text):
            if value in text:
                text = text.replace(value, MASK)
        return text


class _Values:
    """The values in the order in which they are replaced, and an index of how they begin."""

    __slots__ = ("_all", "_beginning")

    def __init__(self, values: tuple[str, ...]) -> None:
        self._all = values
        self._beginning: dict[str, list[int]] = {}
        for number, value in enumerate(values):
            self._beginning.setdefault(value[:_SHORTEST_VALUE], []).append(number)

    def possible_in(self, text: str) -> Iterable[str]:
        """The values that may be in ``text``, without a search for each of thousands in a short text."""
        if len(self._all) <= len(text):
            return self._all
        found: set[int] = set()
        for at in range(len(text) - _SHORTEST_VALUE + 1):
            found.update(self._beginning.get(text[at : at + _SHORTEST_VALUE], ()))
        return [self._all[number] for number in sorted(found)]


def looks_random(value: str) -> bool:
    """Whether a value whose name says nothing is likely to be a key."""
    return (
        len(value) >= _SHORTEST_LINE
        and any(letter.isdigit() for letter in value)
        and any(letter.isalpha() for letter in value)
        and not any(letter in value for letter in "/.: ")
    )


def passwords_in_urls(text: str) -> list[str]:
    """The passwords of the URLs in ``text``."""
    return re.findall(r"://[^/\s:@]*:([^\s@/]{1,1000})@", text) if "://" in text else []


def _unmistakable(values: Iterable[str]) -> tuple[str, ...]:
    found: set[str] = set()
    for value in values:
        text = value.strip()
        if len(text) >= _SHORTEST_VALUE and not (text.isalpha() and text.islower()):
            found.add(text)
        if "\n" in text:  # such as a private key: a message may hold one of its lines
            found.update(line.strip() for line in text.split("\n") if len(line) >= _SHORTEST_LINE)
    return tuple(sorted(found, key=len, reverse=True))


def _has_secret_word(upper: str) -> bool:
    words = re.split(_NOT_A_LETTER, upper)
    return not _WORDS.isdisjoint(words) or any(
        word.endswith("PASS") and word not in _NO_PASS for word in words
    )


def _is_secret_in_text(name: str) -> bool:
    """Whether the value of an option or a member of this name is a secret."""
    upper = name.upper()
    if names_a_place(upper):
        return False
    plain = re.sub(_NOT_A_LETTER, "", upper)
    return any(part in plain for part in _PARTS_IN_TEXTS) or _has_secret_word(upper)


def _is_secret_option(word: str) -> bool:
    return word.startswith("--") and "=" not in word and _is_secret_in_text(word.lstrip("-"))


def _is_reference(value: str) -> bool:
    """Whether it is a variable that a shell or an instance puts in, and not a value."""
    return value.lstrip("\"'\\").startswith(("$", "***"))


def _quoted_mask(value: str) -> str:
    """The mask in the quotes of ``value``, whose closing one may be outside of the match."""
    opening = '\\"' if value.startswith('\\"') else value[:1] if value[:1] in "\"'" else ""
    return opening + MASK


def _assigned(match: re.Match[str]) -> str:
    dashes, name, value = match[1] or "", match[2], match[3]
    # What a shell takes for a variable's name may be less certain: KEY=x before a program is a setting.
    sure = _is_secret_in_text(name) or (
        not dashes and name.isupper() and sounds_secret(name) and not names_a_place(name)
    )
    if not sure or _is_reference(value):
        return match[0]
    return f"{dashes}{name}={_quoted_mask(value)}"


def _option(match: re.Match[str]) -> str:
    if not match[1].startswith("--") or not _is_secret_in_text(match[2]) or _is_reference(match[3]):
        return match[0]
    return match[1] + _quoted_mask(match[3])


def _member(match: re.Match[str]) -> str:
    key = match[2]
    if "\\" in key:
        import json

        try:
            key = str(json.loads(f'"{key}"'))
        except ValueError:
            return match[0]
    if not _is_secret_in_text(key) or match[3].strip('"') in ("", "null", "true", "false"):
        return match[0]
    return f'{match[1]}"{MASK}"'


def _header(match: re.Match[str]) -> str:
    name = match[1]
    if sounds_secret(name):
        return f"{name}{match[2]}{MASK}"
    return match[0]
