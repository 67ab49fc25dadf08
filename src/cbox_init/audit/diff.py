"""What differs between two configurations, with every secret masked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from cbox_init.config.masking import masked_value
from cbox_init.config.model import ProcessConfig
from cbox_init.config.schema import fields_of
from cbox_init.core.reload_diff import GLOBAL_IN_PLACE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cbox_init.audit.record import ContextValue
    from cbox_init.config.model import Config
    from cbox_init.sensitive import KnownSecrets

    Change = tuple[str, object, object]

#: The most keys that are shown; the work is bounded by it, whatever the size of the configuration.
MOST_CHANGES: Final = 60


def differences(before: Config, after: Config, known: KnownSecrets | None = None) -> list[ContextValue]:
    """Each key that differs, as ``{path, before, after}``; a process that is new or gone, by what it sets.

    ``needs_restart`` marks keys of ``global`` that count only when the daemon is started again. A secret that
    has changed has ``***`` on both sides, as have values that are ``known``. At most `MOST_CHANGES`, and then
    how many processes are left.
    """
    shown: list[ContextValue] = []
    names = [
        name
        for name in dict.fromkeys((*before.processes, *after.processes))
        if before.processes.get(name) != after.processes.get(name)
    ]
    for path, old, new in _of_sections("global", before.global_, after.global_, known):
        entry = _entry(path, old, new)
        if path.split(".")[1] not in GLOBAL_IN_PLACE:
            entry["needs_restart"] = True
        shown.append(entry)
    for path, old, new in _of_sections("hooks", before.hooks, after.hooks, known):
        shown.append(_entry(path, old, new))
    if before.notifications != after.notifications:
        field = fields_of(type(after))["notifications"]
        sides = (masked_value(side, "notifications", field, known) for side in (before, after))
        shown.append(_entry("notifications", *sides))
    for index, name in enumerate(names):
        if len(shown) >= MOST_CHANGES:
            shown.append({"path": "processes", "more": len(names) - index})
            break
        old_process, new_process = before.processes.get(name), after.processes.get(name)
        if old_process is None or new_process is None:
            shown.append({"path": f"processes.{name}", "change": "removed" if old_process else "added"})
        default = ProcessConfig()
        found = _of_sections(f"processes.{name}", old_process or default, new_process or default, known)
        shown += (_entry(path, old, new) for path, old, new in found)
    return shown[: MOST_CHANGES + 1]


def _entry(path: str, before: object, after: object) -> dict[str, ContextValue]:
    entry: dict[str, ContextValue] = {"path": path}
    if before is not None:
        entry["before"] = before  # type: ignore[assignment]  # what JSON has: see `masked`
    if after is not None:
        entry["after"] = after  # type: ignore[assignment]
    return entry


def _of_sections(path: str, before: Struct, after: Struct, known: KnownSecrets | None) -> Iterator[Change]:
    """The keys that differ in two sections of one type, those of inner sections by themselves."""
    if before == after:
        return
    for key, field in fields_of(type(before)).items():
        old, new = getattr(before, field.attribute), getattr(after, field.attribute)
        if old != new:
            old_shown = masked_value(before, key, field, known)
            new_shown = masked_value(after, key, field, known)
            yield from _of_values(f"{path}.{key}", old, new, old_shown, new_shown, known)


def _of_values(
    path: str,
    old: object,
    new: object,
    old_shown: object,
    new_shown: object,
    known: KnownSecrets | None,
) -> Iterator[Change]:
    if isinstance(old, Struct) and type(old) is type(new):
        yield from _of_sections(path, old, new, known)
    elif isinstance(old, dict) and isinstance(new, dict):
        assert isinstance(old_shown, dict) and isinstance(new_shown, dict)
        for name in dict.fromkeys((*old, *new)):
            if old.get(name) != new.get(name):
                yield f"{path}.{name}", old_shown.get(name), new_shown.get(name)
    else:
        yield path, old_shown, new_shown
