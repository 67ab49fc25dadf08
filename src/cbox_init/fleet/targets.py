"""The daemons of a fleet: from arguments, from a file, and the limit of their number."""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

import msgspec

from cbox_init.client.address import ClientTls
from cbox_init.config.document import parse_document
from cbox_init.config.small_file import SmallFileError, read_small_file
from cbox_init.errors import ClientError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MOST_TARGETS: Final = 1000
_LARGEST_FILE: Final = 1 << 20
_LARGEST_TOKEN: Final = 4096


class DaemonTarget(NamedTuple):
    """One daemon. ``token`` and ``tls`` that are not set are those of the environment."""

    name: str
    url: str | None = None
    socket: str | None = None
    token: str | None = None
    tls: ClientTls = ClientTls()

    @property
    def address(self) -> str:
        """Where the daemon is, as people write it."""
        return self.url or self.socket or ""


class _ListedTarget(msgspec.Struct, forbid_unknown_fields=True):
    """A target as the file has it."""

    name: str | None = None
    url: str | None = None
    socket: str | None = None
    token: str | None = None
    token_file: str | None = None
    token_env: str | None = None
    cacert: str | None = None
    cert: str | None = None
    key: str | None = None


class _File(msgspec.Struct, forbid_unknown_fields=True):
    targets: list[str | _ListedTarget]


def target_at(url: str) -> DaemonTarget:
    """The daemon at a URL, named for its host and port."""
    return DaemonTarget(_name_of(url), url)


def read_targets(path: str, environ: Mapping[str, str]) -> list[DaemonTarget]:
    """The targets that the YAML file at ``path`` lists: URLs, or mappings. Raises ClientError in one line."""
    try:
        data, _ = read_small_file(path, _LARGEST_FILE, "give the path of a file", "list fewer targets")
        loaded, problems = parse_document(data.decode())
        if problems:
            raise ClientError(f"{path}: {problems[0]}")
        file = msgspec.convert({"targets": loaded} if isinstance(loaded, list) else loaded, _File)
    except SmallFileError as error:
        raise ClientError(f"{error.message}; {error.hint}") from None
    except UnicodeDecodeError:
        raise ClientError(f"{path}: this is not text in UTF-8") from None
    except msgspec.ValidationError as error:
        where = "targets: [URL, {name, url, token_env}, …]"
        raise ClientError(f"{path}: {_in_words(error)}; write it as {where}") from None
    return [
        target_at(entry) if isinstance(entry, str) else _target(entry, f"{path}: targets[{index}]", environ)
        for index, entry in enumerate(file.targets)
    ]


def unique(targets: Iterable[DaemonTarget]) -> list[DaemonTarget]:
    """The targets without those whose address came before; of equal names the later ones get a number."""
    found: dict[str, DaemonTarget] = {}
    names: set[str] = set()
    for target in targets:
        if target.address in found:
            continue
        name, number = target.name, 1
        while name in names:
            number += 1
            name = f"{target.name}-{number}"
        names.add(name)
        found[target.address] = target._replace(name=name)
        if len(found) > MOST_TARGETS:
            raise ClientError(f"there are more than {MOST_TARGETS} daemons; select fewer")
    return list(found.values())


def select(targets: Sequence[DaemonTarget], patterns: Sequence[str]) -> list[DaemonTarget]:
    """The targets whose name matches one of the patterns, in which * stands for any text; all without any."""
    if not patterns:
        return list(targets)
    chosen = [one for one in targets if any(fnmatchcase(one.name, pattern) for pattern in patterns)]
    if not chosen:
        names = ", ".join(one.name for one in targets[:10]) or "none"
        raise ClientError(f"no daemon matches {', '.join(patterns)}; there are {names}")
    return chosen


def _target(entry: _ListedTarget, where: str, environ: Mapping[str, str]) -> DaemonTarget:
    if (entry.url is None) == (entry.socket is None):
        raise ClientError(f"{where}: give either url or socket")
    name = entry.name or (_name_of(entry.url) if entry.url else os.path.basename(entry.socket or ""))
    return DaemonTarget(
        name,
        entry.url,
        entry.socket,
        _token(entry, where, environ),
        ClientTls(entry.cacert, entry.cert, entry.key),
    )


def _token(entry: _ListedTarget, where: str, environ: Mapping[str, str]) -> str | None:
    if sum(one is not None for one in (entry.token, entry.token_file, entry.token_env)) > 1:
        raise ClientError(f"{where}: give one of token, token_file and token_env")
    if entry.token_env is not None:
        token = environ.get(entry.token_env, "")
        if not token:
            raise ClientError(f"{where}.token_env: {entry.token_env} is not set")
        return token
    if entry.token_file is not None:
        try:
            data, _ = read_small_file(
                entry.token_file, _LARGEST_TOKEN, "give the path of a file", "give a file with one token"
            )
            return data.decode().strip()
        except SmallFileError as error:
            raise ClientError(f"{where}.token_file: {error.message}; {error.hint}") from None
        except UnicodeDecodeError:
            raise ClientError(f"{where}.token_file: {entry.token_file} is not text") from None
    return entry.token


def _name_of(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    return parts.netloc.rpartition("@")[2] or url


def _in_words(error: msgspec.ValidationError) -> str:
    what, _, where = str(error).partition(" - at ")
    return f"{where.strip('`').removeprefix('$.')}: {what}" if where else what
