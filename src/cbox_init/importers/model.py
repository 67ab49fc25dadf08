"""What is read from the files of another process manager, and the notes about it."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from cbox_init.config.raw import printable
from cbox_init.errors import ImportFailed

if TYPE_CHECKING:
    from collections.abc import Iterable

#: A part of the configuration as its file has it.
Value: TypeAlias = "str | int | float | bool | list[Value] | dict[str, Value]"
Tree: TypeAlias = dict[str, Value]

#: Of more notes only the number is shown.
MOST_NOTES: Final = 2000
MOST_PROCESSES: Final = 2000
_LONGEST_KEY: Final = 100
_LONGEST_MESSAGE: Final = 400


class NoteKind(StrEnum):
    """``lost`` was not carried over; ``changed`` was, and means something else here, or needs nothing;
    ``secret`` is a secret that was carried over as it is."""

    LOST = "lost"
    CHANGED = "changed"
    SECRET = "secret"


class Origin(NamedTuple):
    """A line of a file, counted from 1; None is the file as a whole."""

    file: str
    line: int | None = None

    def __str__(self) -> str:
        return printable(self.file) + ("" if self.line is None else f":{self.line}")


class Note(NamedTuple):
    """What became of one key: what and why, and what to do instead. Never with the value of a secret."""

    kind: NoteKind
    origin: Origin
    key: str
    message: str
    hint: str = ""
    #: The process that it is about.
    process: str | None = None

    def __str__(self) -> str:
        """One line for a person."""
        word = "" if self.kind is NoteKind.LOST else "note: "
        return f"{self.origin}: {printable(self.key)}: {word}{self.text}"

    @property
    def text(self) -> str:
        """Message and hint, in one line."""
        return printable(f"{self.message}; {self.hint}" if self.hint else self.message)


class Notes:
    """Collects the notes about one import, up to a limit."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.found: list[Note] = []
        self.more = 0

    def lost(
        self, line: int | None, key: str, message: str, hint: str, *, process: str | None = None
    ) -> None:
        """A key that is not carried over."""
        self._add(NoteKind.LOST, line, key, message, hint, process)

    def changed(
        self, line: int | None, key: str, message: str, hint: str = "", *, process: str | None = None
    ) -> None:
        """A key that is carried over with another meaning, or that needs nothing here."""
        self._add(NoteKind.CHANGED, line, key, message, hint, process)

    def secret(
        self, line: int | None, key: str, message: str, hint: str, *, process: str | None = None
    ) -> None:
        """A secret that stands in the result as it stood in the source."""
        self._add(NoteKind.SECRET, line, key, message, hint, process)

    def add(self, notes: Iterable[Note]) -> None:
        """Notes from elsewhere, such as an included file."""
        for note in notes:
            if len(self.found) < MOST_NOTES:
                self.found.append(note)
            else:
                self.more += 1

    def _add(
        self, kind: NoteKind, line: int | None, key: str, message: str, hint: str, process: str | None
    ) -> None:
        key = key if len(key) <= _LONGEST_KEY else key[: _LONGEST_KEY - 3] + "..."
        message = message if len(message) <= _LONGEST_MESSAGE else message[: _LONGEST_MESSAGE - 3] + "..."
        self.add((Note(kind, Origin(self.file, line), key, message, hint, process),))


class ImportedProcess:
    """One process that was found: its keys as the configuration has them, and where it stands."""

    __slots__ = ("keys", "name", "origin")

    def __init__(self, name: str, origin: Origin, keys: Tree) -> None:
        self.name = name
        self.origin = origin
        self.keys = keys

    def section(self, key: str) -> Tree:
        """The mapping of a key, made when it is not there."""
        return section_of(self.keys, key)


class Imported:
    """What one source gives: processes by their names there, keys of ``global``, hooks, and notes."""

    __slots__ = ("global_", "hooks", "notes", "processes")

    def __init__(self, file: str) -> None:
        self.processes: list[ImportedProcess] = []
        self.global_: Tree = {}
        self.hooks: dict[str, list[Tree]] = {}
        self.notes = Notes(file)

    def add(self, process: ImportedProcess) -> None:
        """Add a process. Raises ImportFailed when there are too many."""
        if len(self.processes) >= MOST_PROCESSES:
            raise ImportFailed(
                f"{self.notes.file} has more than {MOST_PROCESSES} processes; import fewer at a time"
            )
        self.processes.append(process)

    def named(self, name: str) -> ImportedProcess | None:
        """The process of that name."""
        return next((one for one in self.processes if one.name == name), None)


def section_of(tree: Tree, key: str) -> Tree:
    """The mapping of a key, made when it is not there."""
    found = tree.setdefault(key, {})
    if not isinstance(found, dict):
        found = tree[key] = {}
    return found


def literal(text: str) -> str:
    """``text`` so that the configuration takes nothing in it for a reference to a variable."""
    return text.replace("${", "$${")


def reference(name: str, default: str | None = None) -> str:
    """A reference to a variable of the daemon's environment, or of the instance."""
    return f"${{{name}}}" if default is None else f"${{{name}:-{default}}}"
