"""The program that a file needs in order to run: a script's interpreter, a binary's loader."""

from __future__ import annotations

import os
import struct

from msgspec import Struct

from cbox_init.safe_paths import regular_only

_HEAD_BYTES = 4096
_MAX_CHAIN = 5
"""As many interpreters of interpreters as Linux follows."""
_PT_INTERP = 3


class Interpreter(Struct, frozen=True):
    """What a file needs in order to run: ``kind`` is "interpreter" or "loader"."""

    kind: str
    path: str


def interpreter_of(path: str) -> Interpreter | None:
    """The interpreter that ``path`` names in its #! line, or the loader in its ELF header, if any."""
    try:
        with open(path, "rb", opener=regular_only) as file:
            head = file.read(_HEAD_BYTES)
            if head.startswith(b"#!"):
                # Blanks end the name, a carriage return does not: Linux looks for "/bin/sh\r".
                words = head[2:].split(b"\n", 1)[0].replace(b"\t", b" ").split(b" ")
                name = next(filter(None, words), b"")
                return Interpreter("interpreter", os.fsdecode(name))
            if head.startswith(b"\x7fELF"):
                where = _loader_position(head)
                if where is not None:
                    file.seek(where[0])
                    name = file.read(min(where[1], _HEAD_BYTES)).rstrip(b"\0")
                    return Interpreter("loader", os.fsdecode(name))
    except (OSError, OverflowError, struct.error):
        pass  # it cannot be read, or is cut off or broken: then it names nothing
    return None


def first_unusable(path: str, cwd: str) -> Interpreter | None:
    """The first in the chain of interpreters of ``path`` that does not exist or has no permission to run.

    ``cwd`` is where a relative name counts from.
    """
    for _ in range(_MAX_CHAIN):
        needed = interpreter_of(path)
        if needed is None:
            return None
        path = os.path.join(cwd, needed.path)
        if not os.path.isfile(path) or not os.access(path, os.X_OK):
            return needed
    return None


def _loader_position(head: bytes) -> tuple[int, int] | None:
    """Offset and length of the loader's name in an ELF file, given its beginning."""
    wide = head[4:5] == b"\2"
    order = "<" if head[5:6] == b"\1" else ">"
    table: int = struct.unpack_from(order + ("Q" if wide else "I"), head, 32 if wide else 28)[0]
    entry_size, entries = struct.unpack_from(order + "HH", head, 54 if wide else 42)
    for index in range(entries):
        entry = table + index * entry_size
        if struct.unpack_from(order + "I", head, entry)[0] != _PT_INTERP:
            continue
        if wide:
            offset, length = struct.unpack_from(order + "Q16xQ", head, entry + 8)
        else:
            offset, length = struct.unpack_from(order + "I8xI", head, entry + 4)
        return offset, length
    return None
