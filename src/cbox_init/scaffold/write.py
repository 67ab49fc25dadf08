"""Puts the files of a scaffold into a directory: all or none, and never over others without being told so."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

from cbox_init.errors import ScaffoldError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def existing(directory: str, names: Iterable[str]) -> list[str]:
    """Those of ``names`` that the directory has already, also as a broken link."""
    return [name for name in names if os.path.lexists(os.path.join(directory, name))]


def write_files(directory: str, files: Mapping[str, str], *, force: bool) -> None:
    """Write ``files`` into ``directory``, which is made if it is not there. Raises ScaffoldError.

    Nothing is written when one of them exists, but with ``force``. Each is written beside its place and put
    there as a whole; a link is replaced and not followed.
    """
    try:
        os.makedirs(directory, exist_ok=True)
    except OSError as error:
        reason = "it is a file" if isinstance(error, FileExistsError) else error.strerror
        raise ScaffoldError(
            f"cannot make the directory {directory}: {reason}; -o takes a directory, or '-'"
        ) from error
    found = existing(directory, files)
    if found and not force:
        them = "it" if len(found) == 1 else "them"
        raise ScaffoldError(
            f"{', '.join(_shown(directory, name) for name in found)}: already there, nothing was "
            f"written; give --force to replace {them}, or -o to write elsewhere"
        )
    folders = [name for name in found if os.path.isdir(path := os.path.join(directory, name))
               and not os.path.islink(path)]  # fmt: skip
    if folders:
        raise ScaffoldError(f"{_shown(directory, folders[0])}: is a directory; nothing was written")
    beside = {name: os.path.join(directory, f".{name}.{secrets.token_hex(4)}") for name in files}
    written: list[str] = []
    try:
        for name, text in files.items():
            _write_new(beside[name], text)
        for name, path in beside.items():
            _put(path, os.path.join(directory, name), force=force)
            written.append(os.path.join(directory, name))
    except BaseException as error:
        if not force:
            for path in written:
                os.unlink(path)
        if isinstance(error, OSError):
            raise ScaffoldError(f"cannot write into {directory}: {error.strerror}") from error
        raise
    finally:
        for path in beside.values():
            with suppress(OSError):
                os.unlink(path)


def _shown(directory: str, name: str) -> str:
    return os.path.normpath(os.path.join(directory, name))


def _write_new(path: str, text: str) -> None:
    with open(path, "x", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _put(path: str, place: str, *, force: bool) -> None:
    if not force:
        try:
            os.link(path, place)  # fails where a file has come meanwhile
            return
        except FileExistsError:
            raise
        except OSError:  # a file system without links
            pass
    os.rename(path, place)
