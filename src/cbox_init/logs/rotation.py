"""Rotated files: PATH.1 is the latest, PATH.N the oldest, each perhaps compressed as PATH.N.gz."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator

_COPY_BYTES = 1024 * 1024
_FASTEST = 1


class Rotation(Struct, frozen=True):
    """When a file is rotated (bytes), and how many rotated files are kept."""

    max_size: int
    max_files: int
    compress: bool


def rotate(path: str, max_files: int) -> None:
    """Rename PATH to PATH.1 and so on; remove what would be beyond ``max_files``. Raises OSError.

    Processes that have the file open go on writing to it. Afterwards there is no file at PATH.
    """
    remove_beyond(path, max_files)
    free = next((number for number in range(1, max_files) if not any(_there(path, number))), max_files)
    for name in _there(path, free):
        os.unlink(name)
    for number in range(free - 1, 0, -1):
        for name in _there(path, number):
            os.rename(name, f"{path}.{number + 1}{name.removeprefix(f'{path}.{number}')}")
    os.rename(path, f"{path}.1")


def remove_beyond(path: str, max_files: int) -> None:
    """Remove what was kept under a larger ``max_files``: PATH.N as far as the numbers go on. Raises OSError.

    Other files with a number behind PATH, such as a date, are left alone.
    """
    number = max_files + 1
    while names := tuple(_there(path, number)):
        for name in names:
            os.unlink(name)
        number += 1


def _there(path: str, number: int) -> Iterator[str]:
    """The existing forms of a rotated file."""
    for name in (f"{path}.{number}", f"{path}.{number}.gz"):
        if os.path.exists(name):
            yield name


def uncompressed(path: str, max_files: int, first: int = 1) -> Iterator[str]:
    """The rotated files from PATH.first on that are not compressed."""
    for number in range(first, max_files + 1):
        name = f"{path}.{number}"
        if os.path.exists(name):
            yield name


def compress(path: str) -> None:
    """Compress PATH to PATH.gz, with the same mode and owner. PATH is removed when that is complete.
    Raises OSError."""
    import zlib

    half = f"{path}.gz.tmp"
    packer = zlib.compressobj(_FASTEST, wbits=31)
    try:
        with open(path, "rb") as source, open(half, "wb") as packed:
            found = os.fstat(source.fileno())
            with suppress(PermissionError):
                os.fchown(packed.fileno(), found.st_uid, found.st_gid)
            os.fchmod(packed.fileno(), found.st_mode & 0o7777)
            while part := source.read(_COPY_BYTES):
                packed.write(packer.compress(part))
            packed.write(packer.flush())
        os.rename(half, f"{path}.gz")
    except OSError:
        with suppress(OSError):
            os.unlink(half)
        raise
    os.unlink(path)
