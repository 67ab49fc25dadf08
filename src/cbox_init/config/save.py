"""Writes edited processes into the file they came from, and nothing else."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from cbox_init.config.convert import current_keys, is_unset
from cbox_init.config.legacy import RENAMED
from cbox_init.config.load import Examined, examine_text
from cbox_init.config.masking import worded
from cbox_init.config.patch import PatchError, SourceText, drop, put, source_of_items
from cbox_init.config.problems import ProblemReport
from cbox_init.config.schema import ValueType, fields_of, section_type, single_value
from cbox_init.errors import NotSaved, UnsafePathError
from cbox_init.safe_paths import locate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cbox_init.config.edit import Edits
    from cbox_init.config.model import Config, ProcessConfig
    from cbox_init.config.raw import Raw
    from cbox_init.config.schema import ValueSpec
    from cbox_init.safe_paths.place import Place

_OVERRIDES: Final = "CBOX_INIT_PROCESS_"
_BOM: Final = "\ufeff"


def saved(path: str, edits: Edits, environ: Mapping[str, str]) -> None:
    """Put ``edits`` into the file at ``path``, in one step that a crash cannot leave half done.

    Only the keys that differ are written; comments, order, quoting, secrets and ``${VAR}`` stay as they are.
    Mode and owner stay, and a symbolic link goes on leading to the file. Raises NotSaved with the file as it
    was. Blocks: not for the event loop.
    """
    try:
        with locate(path) as place:
            text, before = _read(place)
            changed, _, _ = _changed(path, text.removeprefix(_BOM), edits, environ)
            bom = _BOM if text.startswith(_BOM) else ""
            if bom + changed != text:
                _write(place, (bom + changed).encode(), before)
    except (OSError, UnicodeDecodeError) as error:
        raise _not_saved(path, error) from None


def planned(path: str, edits: Edits, environ: Mapping[str, str]) -> tuple[Config | None, Config]:
    """What the file means now, None where that is nothing, and after `saved`, which would succeed so far.

    Nothing is written. Raises NotSaved. Blocks: not for the event loop.
    """
    try:
        with locate(path) as place:
            text, _ = _read(place)
        _, before, after = _changed(path, text.removeprefix(_BOM), edits, environ)
    except (OSError, UnicodeDecodeError) as error:
        raise _not_saved(path, error) from None
    return before, after


def _read(place: Place) -> tuple[str, os.stat_result]:
    with open(place.open_regular(), encoding="utf-8", newline="") as file:
        return file.read(), os.fstat(file.fileno())


def _changed(
    path: str, text: str, edits: Edits, environ: Mapping[str, str]
) -> tuple[str, Config | None, Config]:
    """The text with ``edits`` in it, and what it means without and with them. Raises NotSaved."""
    _refuse_included(path, text, edits, environ)
    try:
        changed = edited(text, edits)
        return changed, *_verified(path, text, changed, edits, environ)
    except PatchError as error:
        raise NotSaved(f"cannot save {path}: {error}; edit the file by hand") from None


def _refuse_included(path: str, text: str, edits: Edits, environ: Mapping[str, str]) -> None:
    """Only the main file is written. Raises NotSaved for a process that another file defines."""
    if "include" not in text:
        return
    included = examine_text(text, path, environ).included
    for name in edits.raws:
        if name in included:
            raise NotSaved(
                f"cannot save {path}: process {name} is defined in {included[name]}; edit that file"
            )


def edited(text: str, edits: Edits) -> str:
    """The text of a file with ``edits`` in it. Raises PatchError."""
    base, current = edits.base.processes, edits.config.processes
    for name, raw in edits.raws.items():
        path = ("processes", name)
        if raw is None:
            text = drop(text, path)
        elif name not in base:
            text = put(text, path, _added(raw, current[name]))
        else:
            text = _section(text, path, dict(raw), base[name], current[name])
    return text


def _added(raw: Mapping[str, Raw], process: ProcessConfig) -> dict[str, Raw]:
    """A process that was added, as a file has it: without the keys that are not set."""
    fields = fields_of(type(process))
    return {
        key: _in_a_file(field.spec, value, getattr(process, field.attribute)) if field is not None else value
        for key, value in raw.items()
        if (field := fields.get(key)) is None or not is_unset(field.spec, value, from_api=True)
    }


def _in_a_file(spec: ValueSpec, value: Raw, number: object) -> Raw:
    """``value`` of the API as a file has it, where 0 means "not set" for some keys: the word for it."""
    if isinstance(value, str) and value.isalpha():
        return value  # a word already
    return worded(spec, number) or value


def _section(text: str, path: tuple[str, ...], raw: dict[str, Raw], base: Struct, current: Struct) -> str:
    """Every key of a section that ``current`` has otherwise than ``base``."""
    kind = type(base)
    raw = current_keys(kind, raw, path, ProblemReport())
    for key, field in fields_of(kind).items():
        old, new = getattr(base, field.attribute), getattr(current, field.attribute)
        if old == new:
            continue
        for former, today in RENAMED.get(kind, {}).items():
            if today == key:
                text = drop(text, (*path, former))
        value = raw.get(key)
        if value is None or new is None:
            text = drop(text, (*path, key))
        else:
            text = _key(text, (*path, key), field.spec, _in_a_file(field.spec, value, new), old, new)
    return text


def _key(text: str, path: tuple[str, ...], spec: ValueSpec, value: Raw, old: object, new: object) -> str:
    section = section_type(spec)
    # One that may be written as a single value is written again: in the file it may be either.
    by_keys = section is not None and single_value(section) is None
    if by_keys and isinstance(old, Struct) and isinstance(value, dict):
        assert isinstance(new, Struct)
        return _section(text, path, value, old, new)
    if spec.value_type in (ValueType.TEXT_MAP, ValueType.SECRET_MAP) and isinstance(value, dict):
        assert isinstance(old, dict) and isinstance(new, dict)
        for name in old.keys() - new.keys():
            text = drop(text, (*path, name))
        for name in new:
            if old.get(name) != new[name]:
                text = put(text, (*path, name), value[name])
        return text
    if isinstance(value, list) and isinstance(old, tuple) and isinstance(new, tuple):
        value = _with_old_items(text, path, value, old, new)
    return put(text, path, value)


def _with_old_items(
    text: str, path: tuple[str, ...], value: list[Raw], old: tuple[object, ...], new: tuple[object, ...]
) -> Raw:
    """The list with each item that was there before as it was written there: it may be ``${VAR}``."""
    written = source_of_items(text, path)
    if len(written) != len(old) or len(value) != len(new):
        return value
    left = list(zip(old, written, strict=True))
    items: list[Raw] = []
    for item, after in zip(value, new, strict=True):
        found = next((pair for pair in left if pair[0] == after), None)
        if found is not None:
            left.remove(found)
        items.append(item if found is None else SourceText(found[1]))
    return items


def _verified(
    path: str, text: str, changed: str, edits: Edits, environ: Mapping[str, str]
) -> tuple[Config | None, Config]:
    """What both texts mean. ``changed`` must mean what is in force for what was edited, and else the same."""
    before, after = examine_text(text, path, environ), examine_text(changed, path, environ)
    if not after.valid or after.config is None:
        first = next(problem for problem in after.problems if problem.severity == "error")
        raise PatchError(f"the file would not be valid: {first}")
    overridden = any(name.startswith(_OVERRIDES) for name in environ)
    was = _processes(before)
    for name in {**was, **after.config.processes}:
        read = after.config.processes.get(name)
        if name not in edits.raws:
            same = read == was.get(name)
        else:
            same = overridden or read == edits.config.processes.get(name)
        if not same:
            raise PatchError(f"processes.{name} would not be read as it should be")
    if before.config is not None and _others(before.config) != _others(after.config):
        raise PatchError("other sections would be read differently")
    return before.config, after.config


def _others(config: Config) -> tuple[object, ...]:
    """The sections that an edit does not touch."""
    return config.global_, config.hooks, config.notifications


def _processes(found: Examined) -> Mapping[str, ProcessConfig]:
    return found.config.processes if found.config is not None else {}


def _write(place: Place, data: bytes, before: os.stat_result) -> None:
    """Replace the file by one with the same owner and mode. Raises OSError with the old one in place."""
    temporary = f"{place.name}.{os.getpid()}.tmp"
    fd = place.create_again(0o600, temporary)
    try:
        with open(fd, "wb") as file:
            file.write(data)
            if (os.geteuid(), os.getegid()) != (before.st_uid, before.st_gid):
                os.fchown(fd, before.st_uid, before.st_gid)
            os.fchmod(fd, before.st_mode & 0o7777)
            file.flush()
            os.fsync(fd)
        if _version(place.status()) != _version(before):
            raise OSError(0, "it was changed by another program meanwhile")
        place.rename(temporary, place.name)
    except BaseException:
        with suppress(OSError):
            place.remove(temporary)
        raise
    folder_fd = place.directory()
    try:
        os.fsync(folder_fd)
    finally:
        os.close(folder_fd)


def _version(found: os.stat_result | None) -> tuple[int, int, int] | None:
    return (found.st_ino, found.st_mtime_ns, found.st_size) if found is not None else None


def _not_saved(path: str, error: OSError | UnicodeDecodeError) -> NotSaved:
    if isinstance(error, UnsafePathError):
        return NotSaved(f"cannot save {path}: {error}")
    reason = (error.strerror or str(error)) if isinstance(error, OSError) else "it is not UTF-8"
    return NotSaved(
        f"cannot save {path}: {reason}; the file and its directory must be writable, "
        "and the file must not be a mount of its own"
    )
