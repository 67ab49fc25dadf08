"""Reads the files that are imported, each within limits."""

from __future__ import annotations

import os
import sys
from glob import glob, has_magic
from typing import TYPE_CHECKING, Final

from cbox_init.config.env_file import FileFault, FileReader
from cbox_init.config.raw import printable
from cbox_init.errors import ImportFailed
from cbox_init.safe_paths import regular_only

if TYPE_CHECKING:
    from collections.abc import Mapping

STDIN: Final = "-"
LARGEST_FILE: Final = 2**20
_MOST_FILES: Final = 1000
_MOST_BYTES: Final = 16 * 2**20
_MOST_NAMES: Final = 10_000


class SourceFiles:
    """The files of one import: at most 1000, each of at most 1 MiB, 16 MiB together, all read within 10 s.

    ``environ`` is the environment that sources may refer to, ``base`` the directory from which relative paths
    of the result count.
    """

    def __init__(self, environ: Mapping[str, str], base: str = ".") -> None:
        self.environ = environ
        self.base = base
        self._reader = FileReader()
        self._read: dict[str, int] = {}
        self._input: str | None = None

    def text(self, path: str) -> str:
        """The text of a file, or of standard input for ``-``. Raises ImportFailed."""
        try:
            text = self._stdin() if path == STDIN else self._reader.text(path, LARGEST_FILE)
        except FileFault as fault:
            raise ImportFailed(printable(str(fault))) from None
        self._read[path] = len(text)
        if len(self._read) > _MOST_FILES:
            raise ImportFailed(f"more than {_MOST_FILES} files would be read; import fewer at a time")
        if sum(self._read.values()) > _MOST_BYTES:
            raise ImportFailed(f"the files have more than {_MOST_BYTES >> 20} MiB; import fewer at a time")
        return text

    def _stdin(self) -> str:
        if self._input is None:
            data = sys.stdin.buffer.read(LARGEST_FILE + 1) if sys.stdin is not None else b""
            if len(data) > LARGEST_FILE:
                raise ImportFailed(f"standard input has more than {LARGEST_FILE >> 20} MiB")
            if b"\0" in data:
                raise ImportFailed("standard input contains a NUL byte: this is not a text")
            try:
                self._input = data.decode()
            except UnicodeDecodeError:
                raise ImportFailed("standard input is not UTF-8") from None
        return self._input

    def begins_with(self, path: str, signs: tuple[bytes, ...]) -> bool:
        """Whether a regular file is there that begins with one of these."""
        try:
            with open(path, "rb", opener=regular_only) as file:
                return file.read(max(map(len, signs))).startswith(signs)
        except (OSError, ValueError):
            return False

    def matching(self, pattern: str) -> list[str]:
        """The files that a path or pattern leads to, in the order of their names."""
        found = sorted(glob(pattern)) if has_magic(pattern) else [pattern]
        return [path for path in found if os.path.isfile(path)][:_MOST_FILES]

    def names_in(self, directory: str) -> list[str]:
        """The names in a directory, in their order; none when it cannot be read."""
        try:
            with os.scandir(directory) as entries:
                names = sorted(entry.name for _, entry in zip(range(_MOST_NAMES), entries, strict=False))
        except (OSError, ValueError):
            return []
        return [name for name in names if not name.startswith(".")]

    def is_file(self, path: str) -> bool:
        return os.path.isfile(path)

    def is_directory(self, path: str) -> bool:
        return os.path.isdir(path)

    def is_executable(self, path: str) -> bool:
        return os.access(path, os.X_OK)

    def beside_result(self, path: str) -> str:
        """``path`` as the result names it: relative when it is below the directory of the result."""
        relative = os.path.relpath(path, self.base)
        return os.path.abspath(path) if relative.startswith("..") else relative
