"""Puts the keys of the service that ``extends`` names under those of a Compose service."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from cbox_init.config.document import parse_document
from cbox_init.config.raw import RawList, RawMap
from cbox_init.errors import ImportFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from cbox_init.config.raw import Raw
    from cbox_init.importers.source import SourceFiles

_MOST_DEEP: Final = 20
#: Lists that stand for a mapping, with the sign between name and value.
_PAIRS: Final = {"environment": "=", "labels": "=", "annotations": "=", "extra_hosts": ":", "sysctls": "="}
#: Lists of which the newer one counts; others are added to each other.
_REPLACED: Final = frozenset(("command", "entrypoint", "test"))


def with_bases(
    services: RawMap, path: str, files: SourceFiles, lost: Callable[[str, str, str], None]
) -> RawMap:
    """The services of the file ``path``, with what they extend. ``lost`` takes a service, why, and a hint."""
    reader = _Bases(files, {path: services})
    found = RawMap()
    found.lines = dict(services.lines)
    for name, service in services.items():
        if isinstance(service, RawMap) and service.get("extends") is not None:
            try:
                found[name] = reader.whole(path, name, ())
            except ImportFailed as error:
                lost(name, str(error), "import what it names too, or write its keys into this service")
                found[name] = _without_extends(service)
        else:
            found[name] = service
    return found


class _Bases:
    def __init__(self, files: SourceFiles, known: dict[str, RawMap]) -> None:
        self._files = files
        self._known = known

    def whole(self, path: str, name: str, below: tuple[tuple[str, str], ...]) -> RawMap:
        """A service with all that it extends. Raises ImportFailed."""
        if (path, name) in below or len(below) > _MOST_DEEP:
            raise ImportFailed(f"{name} extends itself")
        service = self._services(path).get(name)
        if not isinstance(service, RawMap):
            raise ImportFailed(f"there is no service {name[:40]} in {path}")
        extends = service.get("extends")
        if extends is None:
            return service
        place = extends if isinstance(extends, dict) else {"service": extends}
        base, file = place.get("service"), place.get("file")
        if not isinstance(base, str) or not isinstance(file, str | None):
            raise ImportFailed("has no service by its name")
        other = path if file is None else os.path.join(os.path.dirname(path), file)
        found = self.whole(other, base, (*below, (path, name)))
        if other != path:
            found = _moved(found, os.path.dirname(file or ""), service.lines.get("extends"))
        return _merged(found, _without_extends(service))

    def _services(self, path: str) -> RawMap:
        if path not in self._known:
            root, problems = parse_document(self._files.text(path))
            services = root.get("services") if isinstance(root, RawMap) else None
            if not isinstance(services, RawMap):
                raise ImportFailed(f"{path}: {problems[0] if problems else 'no services'}")
            self._known[path] = services
        return self._known[path]


def _without_extends(service: RawMap) -> RawMap:
    found = RawMap()
    found.update((key, value) for key, value in service.items() if key != "extends")
    found.lines = dict(service.lines)
    return found


def _moved(service: RawMap, folder: str, line: int | None) -> RawMap:
    """A service of a file in ``folder``: its paths as they are from here, all of it on one line."""
    found = RawMap()
    found.update(service)
    found.lines = dict.fromkeys(service, line) if line is not None else {}
    given = service.get("env_file")
    if given is not None:
        entries = RawList()
        for entry in given if isinstance(given, list) else [given]:
            if isinstance(entry, str):
                entry = os.path.join(folder, entry)
            elif isinstance(entry, dict) and isinstance(entry.get("path"), str):
                entry = {**entry, "path": os.path.join(folder, str(entry["path"]))}
            entries.append(entry)
        found["env_file"] = entries
    return found


def _merged(base: RawMap, over: RawMap) -> RawMap:
    """``over`` on top of ``base``: mappings key by key, lists one after the other, else what ``over`` has."""
    found = RawMap()
    found.update(base)
    found.lines = {**base.lines, **over.lines}
    for key, value in over.items():
        found[key] = _one(key, base.get(key), value)
    return found


def _one(key: str, below: Raw, above: Raw) -> Raw:
    if key == "depends_on" and (isinstance(below, RawMap) or isinstance(above, RawMap)):
        below, above = _as_map(below, ""), _as_map(above, "")
    elif key in _PAIRS and (isinstance(below, RawMap) or isinstance(above, RawMap)):
        below, above = _as_map(below, _PAIRS[key]), _as_map(above, _PAIRS[key])
    elif key == "env_file":
        below, above = _as_list(below), _as_list(above)
    if isinstance(below, RawMap) and isinstance(above, RawMap):
        return _merged(below, above)
    if isinstance(below, list) and isinstance(above, list) and key not in _REPLACED:
        both = RawList()
        both += [*below, *(one for one in above if one not in below)]
        return both
    return above


def _as_map(value: Raw, sign: str) -> Raw:
    if not isinstance(value, list):
        return value
    found = RawMap()
    for item in value:
        name, _, text = str(item).partition(sign) if sign else (str(item), "", None)
        found[name] = text
    return found


def _as_list(value: Raw) -> Raw:
    if value is None or isinstance(value, list):
        return value
    found = RawList()
    found.append(value)
    return found
