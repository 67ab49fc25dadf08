"""Which processes ``web``, ``web-0``, ``queue-*``, ``@workers`` and ``all`` select. Pure."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec import UnsetType

from cbox_init.cli.connection import unknown_process
from cbox_init.errors import ClientError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cbox_init.client import InstanceEntry, ProcessEntry

_WILD = "*?["


def is_pattern(word: str) -> bool:
    """Whether it may select several processes."""
    return word == "all" or word.startswith("@") or any(sign in word for sign in _WILD)


def selected(
    entries: Sequence[ProcessEntry], words: Sequence[str], *, missing_ok: bool = False
) -> Sequence[ProcessEntry]:
    """The processes that the words select, in their order, each once; all without a word.

    For the id of an instance it is its process with this instance alone. Raises ClientError for a word that
    selects nothing, but with ``missing_ok``.
    """
    if not words:
        return entries
    by_name = {entry.name: entry for entry in entries}
    whole: set[str] = set()
    parts: dict[str, list[InstanceEntry]] = {}
    for word in words:
        owner = None if word in by_name else _of_instance(entries, word)
        if owner is not None:
            name, one = owner
            if one not in parts.setdefault(name, []):
                parts[name].append(one)
            continue
        with suppress(*((ClientError,) if missing_ok else ())):
            whole.update(entry.name for entry in _found(by_name, word))
    return [
        entry if entry.name in whole else _with_instances(entry, parts[entry.name])
        for entry in entries
        if entry.name in whole or entry.name in parts
    ]


def _found(by_name: dict[str, ProcessEntry], word: str) -> list[ProcessEntry]:
    if word in by_name:
        return [by_name[word]]
    if word == "all":
        return list(by_name.values())
    if word.startswith("@"):
        found = [entry for entry in by_name.values() if word[1:] in groups_of(entry)]
        if not found:
            groups = dict.fromkeys(f"@{one}" for entry in by_name.values() for one in groups_of(entry))
            there = f"; there are {', '.join(groups)}" if groups else "; no process has a group"
            raise ClientError(f"no group is called {word!r}{there}")
        return found
    if any(sign in word for sign in _WILD):
        from fnmatch import fnmatchcase

        found = [entry for name, entry in by_name.items() if fnmatchcase(name, word)]
        if not found:
            raise ClientError(
                f"no process matches {word!r}; there are {', '.join(by_name) or 'no processes'}"
            )
        return found
    raise ClientError(unknown_process(word, list(by_name)))


def _of_instance(entries: Sequence[ProcessEntry], word: str) -> tuple[str, InstanceEntry] | None:
    """The instance of this id, and the name of its process."""
    return next(((entry.name, one) for entry in entries for one in entry.instances if one.id == word), None)


def _with_instances(entry: ProcessEntry, instances: Sequence[InstanceEntry]) -> ProcessEntry:
    """The process with these instances alone."""
    from msgspec.structs import replace

    return replace(
        entry,
        instances=tuple(instances),
        cpu_percent=sum(one.cpu_percent for one in instances),
        memory_rss_bytes=sum(one.memory_rss_bytes for one in instances),
        memory_percent=sum(one.memory_percent for one in instances),
    )


def groups_of(entry: ProcessEntry) -> Sequence[str]:
    """The groups of a process; none from a daemon that does not say."""
    return () if isinstance(entry.groups, UnsetType) else entry.groups
