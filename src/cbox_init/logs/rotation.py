"""Rotated files: PATH.1 is the latest, PATH.N the oldest, each perhaps compressed as PATH.N.gz."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cbox_init.safe_paths.place import Place

_COPY_BYTES = 1024 * 1024
_FASTEST = 1


class Rotation(Struct, frozen=True):
    """When a file is rotated (bytes), and how many rotated files are kept."""

    max_size: int
    max_files: int
    compress: bool


def rotate(place: Place, max_files: int) -> None:
    """Rename PATH to PATH.1 and so on; remove what would be beyond ``max_files``. Raises OSError.

    Processes that have the file open go on writing to it. Afterwards there is no file at PATH.
    """
    remove_beyond(place, max_files)
    path = place.name
    free = next((number for number in range(1, max_files) if not any(_there(place, number))), max_files)
    for name in _there(place, free):
        place.remove(name)
    for number in range(free - 1, 0, -1):
        for name in _there(place, number):
            place.rename(name, f"{path}.{number + 1}{name.removeprefix(f'{path}.{number}')}")
    place.rename(path, f"{path}.1")


def remove_beyond(place: Place, max_files: int) -> None:
    """Remove what was kept under a larger ``max_files``: PATH.N as far as the numbers go on. Raises OSError.

    Other files with a number behind PATH, such as a date, are left alone.
    """
    number = max_files + 1
    while names := tuple(_there(place, number)):
        for name in names:
            place.remove(name)
        number += 1


def _there(place: Place, number: int) -> Iterator[str]:
    """The existing forms of a rotated file."""
    for name in (f"{place.name}.{number}", f"{place.name}.{number}.gz"):
        if place.exists(name):
            yield name


def uncompressed(place: Place, max_files: int, first: int = 1) -> Iterator[str]:
    """The names of the rotated files from PATH.first on that are not compressed."""
    for number in range(first, max_files + 1):
        name = f"{place.name}.{number}"
        if place.exists(name):
            yield name


def compress(place: Place, name: str) -> None:
    """Compress the file NAME to NAME.gz, with the same permissions and owner, and remove it when that is
    complete. Raises UnsafePathError when it is a link, and OSError."""
    import zlib

    half = f"{name}.gz.tmp"
    packer = zlib.compressobj(_FASTEST, wbits=31)
    with open(place.open_regular(name), "rb") as source:
        found = os.fstat(source.fileno())
        try:
            with open(place.create_again(0o600, half), "wb") as packed:
                give(packed.fileno(), found)
                while part := source.read(_COPY_BYTES):
                    packed.write(packer.compress(part))
                packed.write(packer.flush())
            place.rename(half, f"{name}.gz")
        except OSError:
            with suppress(OSError):
                place.remove(half)
            raise
    place.remove(name)


def give(fd: int, former: os.stat_result) -> None:
    """Give a file that we have just created the owner and the permissions of another."""
    with suppress(PermissionError):
        os.fchown(fd, former.st_uid, former.st_gid)
    os.fchmod(fd, former.st_mode & 0o777)
