"""One unit of systemd as it is in its file and its drop-ins."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from cbox_init.importers.ini import IniEntry, parse_unit
from cbox_init.importers.model import Imported

if TYPE_CHECKING:
    from cbox_init.importers.model import Notes
    from cbox_init.importers.source import SourceFiles

_SUFFIXES: Final = (
    ".service",
    ".timer",
    ".socket",
    ".target",
    ".path",
    ".mount",
    ".slice",
    ".automount",
    ".swap",
)


class Unit:
    """One file: its name as systemd has it, and its keys in order, those of drop-ins behind them."""

    def __init__(self, name: str, file: str, entries: list[tuple[str, IniEntry, str]], notes: Notes) -> None:
        self.name = name
        self.file = file
        self.entries = entries
        self.notes = notes
        self._by_key: dict[str, list[tuple[IniEntry, str]]] = {}
        self._files = {id(entry): its for _, entry, its in entries if its != file}
        for _, entry, its in entries:
            found = self._by_key.setdefault(entry.key, [])
            if entry.value:
                found.append((entry, its))
            else:
                found.clear()

    def file_of(self, entry: IniEntry) -> str:
        """The file that an entry is from."""
        return self._files.get(id(entry), self.file)

    def values(self, *keys: str) -> list[tuple[IniEntry, str]]:
        """The entries of keys that add up; an empty one resets what came before. With the file of each."""
        return [one for key in keys for one in self._by_key.get(key, ())]

    def value(self, *keys: str) -> IniEntry | None:
        """The last entry of a key."""
        found = self.values(*keys)
        return found[-1][0] if found else None

    def text(self, *keys: str) -> str:
        """The last value of a key; "" when there is none."""
        entry = self.value(*keys)
        return entry.value or "" if entry is not None else ""


def is_unit(path: str) -> bool:
    """Whether a file has the name of a unit."""
    return path.endswith(_SUFFIXES)


def load_unit(path: str, text: str, files: SourceFiles) -> tuple[Unit, Imported]:
    """A unit with its drop-ins, and where its process and its notes go."""
    imported = Imported(path)
    entries = [(section.name, entry, path) for section in parse_unit(text) for entry in section.entries]
    for drop_in in files.matching(f"{path}.d/*.conf"):
        entries += [
            (section.name, entry, drop_in)
            for section in parse_unit(files.text(drop_in))
            for entry in section.entries
        ]
    return Unit(os.path.basename(path), path, entries, imported.notes), imported


def process_name(unit: str) -> str:
    """The name of the process of a unit."""
    return unit.rpartition(".")[0].replace("@", "-").strip("-")
