"""Who may use the API: fills in and checks its tokens and roles.

Imported only where ``global`` has one of these keys.
"""

from __future__ import annotations

import re
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from cbox_init.config.model import ClientAuth, Role, Secret
from cbox_init.config.token_files import BadTokenFileError, problem_of, read_token_file
from cbox_init.config.token_hash import USUAL_WORK, TokenHash

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cbox_init.config.model import (
        ApiCertificateRole,
        ApiSocketRole,
        ApiTokenConfig,
        Config,
        GlobalConfig,
    )
    from cbox_init.config.problems import ProblemReport
    from cbox_init.config.raw import Path

_SOURCES: Final = ("token", "token_file", "token_env", "hash")
_BEARER: Final = "Bearer "
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", re.ASCII)
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_LONGEST_PATTERN: Final = 128
_MOST_ENTRIES: Final = 1000
#: An unknown token is compared with each of them, at 40 ms.
_MOST_HASHES: Final = 32

#: What comparing hashes with tokens may take in `check-config`: 50 of those that `cbox-init token new` makes.
_MOST_HASH_WORK: Final = 50 * USUAL_WORK
_SHORT_TOKEN: Final = 12
_SOON_S: Final = 30 * 86400
_MAKE: Final = "make one with `cbox-init token new`"
_ROLES: Final = "write role: viewer, operator or admin"


def is_token_name(text: str) -> bool:
    """Whether ``text`` can be the name of a token."""
    return _NAME.fullmatch(text) is not None


# -- tokens -------------------------------------------------------------------------------------------------


def resolved(
    tokens: tuple[ApiTokenConfig, ...], environ: Mapping[str, str], report: ProblemReport
) -> tuple[ApiTokenConfig, ...]:
    """``tokens`` with what the variables of ``token_env`` hold as their ``token``."""
    return tuple(
        _with_variable(one, environ, ("global", "api_tokens", index), report)
        for index, one in enumerate(tokens)
    )


def _with_variable(
    config: ApiTokenConfig, environ: Mapping[str, str], path: Path, report: ProblemReport
) -> ApiTokenConfig:
    if config.token is not None and config.token.reveal().startswith(_BEARER):
        report.warning(
            (*path, "token"), 'begins with "Bearer ", which is not part of the token', 'remove "Bearer "'
        )
    if config.token is not None:
        if config.token_env is not None:
            report.error((*path, "token_env"), "token and token_env are both set", "keep one of them")
        return replace(config, token=_stripped(config.token.reveal()))
    if config.token_env is None:
        return config
    value = environ.get(config.token_env, "").strip()
    if not value:
        report.error(
            (*path, "token_env"),
            f"the variable {config.token_env} is not set, or empty",
            "set it, or remove this token",
        )
        return config
    return replace(config, token=_stripped(value))


def _stripped(text: str) -> Secret:
    return Secret(text.strip().removeprefix(_BEARER).strip())


def expiry_of(text: str) -> float:
    """The Unix time from which a token with this ``expires`` is refused. Raises ValueError.

    A date counts to its end in UTC; a time without a zone is in UTC.
    """
    text = text.strip()
    when = datetime.fromisoformat(text)
    if _DATE.fullmatch(text):
        with suppress(OverflowError):  # 9999-12-31, as some write "never"
            when += timedelta(days=1)
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return when.timestamp()


def _check_tokens(config: Config, report: ProblemReport) -> None:
    global_ = config.global_
    if sum(one.hash is not None for one in global_.api_tokens) > _MOST_HASHES:
        report.error(
            ("global", "api_tokens"),
            f"has more than {_MOST_HASHES} hashes, and an unknown token is compared with each",
            "use token_file for the others",
        )
    names: dict[str, int] = {}
    texts = {global_.api_auth.reveal(): "api_auth"} if global_.api_auth else {}
    for index, one in enumerate(global_.api_tokens):
        path = ("global", "api_tokens", index)
        if not one.name:
            report.missing((*path, "name"), "is not set", "give the token a name, such as deploy")
        elif not is_token_name(one.name):
            report.error(
                (*path, "name"),
                f"{one.name!r} is not a name of a token",
                "use 1 to 64 letters, digits, and . _ - @, such as deploy",
            )
        elif one.name in names or one.name == "api_auth":
            other = f"api_tokens[{names[one.name]}]" if one.name in names else "the token of api_auth"
            report.error((*path, "name"), f"{one.name} is also the name of {other}", "give it another name")
        names.setdefault(one.name, index)
        _check_grant(one, path, config, report)
        _check_source(one, path, texts, index, report)
        if one.expires is not None:
            _check_expiry(one.expires, (*path, "expires"), report)


def _check_source(
    one: ApiTokenConfig, path: Path, texts: dict[str, str], index: int, report: ProblemReport
) -> None:
    given = [key for key in _SOURCES if getattr(one, key) is not None]
    if one.token_env is not None and "token" in given:
        given.remove("token")  # what the variable holds
    if not given:
        report.missing(path, "has no token", f"set one of {', '.join(_SOURCES)}; {_MAKE}")
        return
    if len(given) > 1:
        report.error((*path, given[1]), f"{' and '.join(given)} are both set", "keep one of them")
        return
    (key,) = given
    secret = one.hash if key == "hash" else one.token
    if secret is None:
        return
    text = secret.reveal()
    if key == "hash":
        try:
            text = str(TokenHash.parse(text))
        except ValueError as error:
            report.error((*path, key), f"is not a hash of a token: {error}", _MAKE)
            return
    elif not text:
        report.error((*path, key), "is empty", f"set it, or remove this token; {_MAKE}")
        return
    elif problem := problem_of(text):
        report.error((*path, key), problem, _MAKE)
        return
    elif len(text) < _SHORT_TOKEN:
        report.suggestion((*path, key), "is short enough to be guessed", _MAKE)
    if text in texts:
        report.error((*path, key), f"is the same token as that of {texts[text]}", f"remove one; or {_MAKE}")
    texts.setdefault(text, f"api_tokens[{index}]")


def _check_expiry(text: str, path: Path, report: ProblemReport) -> None:
    try:
        left_s = expiry_of(text) - time.time()
    except (ValueError, OverflowError):
        report.error(
            path, f"{text!r} is not a date", "write 2027-01-31, or a time such as 2027-01-31T12:00:00Z"
        )
        return
    if left_s <= 0:
        report.warning(
            path, f"the token has expired ({text}): requests with it get 401", f"renew it: {_MAKE}"
        )
    elif left_s < _SOON_S:
        report.suggestion(path, f"the token expires soon ({text})", f"renew it: {_MAKE}")


def check_token_files(global_: GlobalConfig, report: ProblemReport) -> dict[str, str]:
    """Read the files of the tokens. A file that cannot be used is a warning: its token is refused until the
    file is there, and the daemon starts.

    Gives the tokens that are known as text, those of the configuration too, each with where it is from.
    """
    texts = {global_.api_auth.reveal(): "api_auth"} if global_.api_auth else {}
    for index, one in enumerate(global_.api_tokens):
        path = ("global", "api_tokens", index, "token_file")
        if one.token is not None:
            texts[one.token.reveal()] = f"api_tokens[{index}]"
        if one.token_file is None:
            continue
        try:
            found = read_token_file(one.token_file)
        except BadTokenFileError as error:
            report.warning(path, f"{error}; requests with this token get 401", error.hint)
            continue
        if found.open_to_all:
            report.warning(path, f"{one.token_file} can be read by every user", f"chmod 600 {one.token_file}")
        for text in found.tokens:
            if text in texts:
                report.warning(path, f"holds the same token as {texts[text]}, which counts", "remove one")
            elif len(text) < _SHORT_TOKEN:
                report.suggestion(path, "holds a token that is short enough to be guessed", _MAKE)
            texts.setdefault(text, f"api_tokens[{index}]")
    return texts


def check_token_hashes(global_: GlobalConfig, texts: Mapping[str, str], report: ProblemReport) -> None:
    """Report a hash of one of the tokens in ``texts``, which counts instead; for ``check-config`` alone.

    Each comparison takes 40 ms or more, so there is a limit to the work.
    """
    left = _MOST_HASH_WORK
    for index, one in enumerate(global_.api_tokens):
        if one.hash is None:
            continue
        path = ("global", "api_tokens", index, "hash")
        try:
            found = TokenHash.parse(one.hash.reveal())
        except ValueError:
            continue  # reported by check_api_roles
        for text, place in texts.items():
            left -= found.work
            if left < 0:
                report.suggestion(
                    path,
                    "is not compared with the other tokens, nor are further hashes: there are too many",
                    "make sure that each token is there once",
                )
                return
            if found.verify(text.encode()):
                report.warning(path, f"is the same token as that of {place}, which counts", "remove one")


# -- roles --------------------------------------------------------------------------------------------------


def check_api_roles(config: Config, report: ProblemReport) -> None:
    """Report what is wrong with the tokens and roles of the API."""
    global_ = config.global_
    for key in ("api_tokens", "api_certificate_roles", "api_socket_roles"):
        if len(getattr(global_, key)) > _MOST_ENTRIES:
            report.error(("global", key), f"has more than {_MOST_ENTRIES} entries", "remove some")
            return
    _check_tokens(config, report)
    for index, role in enumerate(global_.api_certificate_roles):
        _check_certificate(role, ("global", "api_certificate_roles", index), config, report)
    for index, one in enumerate(global_.api_socket_roles):
        path = ("global", "api_socket_roles", index)
        _check_grant(one, path, config, report)
        if one.user is None and one.group is None:
            report.missing(path, "names neither user nor group", "set user or group, by name or number")
    tls = global_.api_tls
    asks = tls is not None and tls.enabled and tls.client_auth is not ClientAuth.NONE
    if global_.api_certificate_roles and not asks:
        report.warning(
            ("global", "api_certificate_roles"),
            "has no effect: clients are not asked for a certificate",
            "set api_tls.client_auth: request or verify, and api_tls.ca_file",
        )


def _check_certificate(one: ApiCertificateRole, path: Path, config: Config, report: ProblemReport) -> None:
    _check_grant(one, path, config, report)
    if one.subject is None and one.san is None:
        report.missing(path, "names neither subject nor san", "set subject: CN=NAME, or san: NAME")
    if one.subject is not None:
        try:
            subject_parts(one.subject)
        except ValueError:
            report.error(
                (*path, "subject"),
                f"{one.subject!r} is not a subject",
                "write CN=deploy, or CN=deploy,O=Example",
            )


def subject_parts(text: str) -> frozenset[str]:
    r"""The parts of a subject such as ``CN=deploy, O=Example``; ``\,`` is a comma in a value.

    Raises ValueError.
    """
    parts = []
    for part in re.split(r"(?<!\\),", text):
        key, equals, value = part.partition("=")
        key, value = key.strip(), re.sub(r"\\(.)", r"\1", value.strip())
        if not equals or not key or not value:
            raise ValueError(text)
        parts.append(f"{key}={value}")
    return frozenset(parts)


def _check_grant(
    one: ApiTokenConfig | ApiCertificateRole | ApiSocketRole,
    path: Path,
    config: Config,
    report: ProblemReport,
) -> None:
    if one.role is None:
        report.missing((*path, "role"), "is not set", _ROLES)
    if one.role is Role.ADMIN and one.processes not in ((), ("*",)):
        report.error(
            (*path, "processes"),
            "has no effect on an admin, who can change every process",
            "write role: operator, or remove processes",
        )
    from fnmatch import fnmatchcase

    for index, pattern in enumerate(one.processes):
        where = (*path, "processes", index)
        if not pattern or len(pattern) > _LONGEST_PATTERN:
            report.error(where, "is empty or longer than 128 characters", "write a name, or worker-*")
        elif not any(fnmatchcase(name, pattern) for name in config.processes):
            report.suggestion(where, f"no process matches {pattern!r} now", "correct it, if one should")
