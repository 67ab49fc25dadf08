"""The way to a path: each directory is opened from the one before it."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from cbox_init.errors import UnsafePathError
from cbox_init.safe_paths.permissions import OTHERS_WRITE, allows, decides, is_shared
from cbox_init.safe_paths.place import STEP, Place, Step

if TYPE_CHECKING:
    from cbox_init.safe_paths.permissions import Reader

_DIRECTORY_MODE: Final = 0o755
_MOST_LINKS: Final = 40


class Walk:
    """Opens one directory after the other."""

    def __init__(self, reader: Reader | None, *, make_directories: bool) -> None:
        self._reader = reader if reader is not None and decides(reader) else None
        self._makes = make_directories
        self._steps: list[Step] = []
        self._links = 0
        self._foreign = False
        """Whether a link of another user was followed."""
        self._magic = False
        self._enter(os.open("/", STEP), "", fixed=True)

    def close(self) -> None:
        while self._steps:
            os.close(self._steps.pop().fd)

    def to(self, path: str, *, last_link: bool) -> Place:
        names = _parts(path)
        while names:
            name = names.pop()
            last = not names
            if name == "..":
                if len(self._steps) > 1:
                    os.close(self._steps.pop().fd)
                continue
            if last and not last_link:
                return self._found(name)
            fd = self._look_up(name, last=last)
            if fd is None:
                return self._found(name)
            try:
                found = os.fstat(fd)
                if stat.S_ISDIR(found.st_mode) and not last:
                    fixed, directory = self._stays(found), fd
                    fd = -1
                    self._enter(directory, name, fixed=fixed)
                elif stat.S_ISLNK(found.st_mode):
                    target = self._target(fd, name, found)
                    if target is not None:
                        self._turn(target, names)
                    elif last:
                        self._magic = True
                        return self._found(name)
                    else:
                        self._enter(self._followed(name), name, fixed=False)
                elif last:
                    return self._found(name)
                else:
                    raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), self._path(name))
            finally:
                if fd >= 0:
                    os.close(fd)
        return self._found(".")

    def _turn(self, target: str, names: list[str]) -> None:
        """Go on with the names in a link."""
        names += _parts(target)
        if target.startswith("/"):
            while len(self._steps) > 1:
                os.close(self._steps.pop().fd)

    def _stays(self, found: os.stat_result) -> bool:
        """Whether no other user can replace a directory in the one that was entered last."""
        if not self._top.fixed:
            return False
        if not is_shared(self._top.fd, self._top.found):
            return True
        return bool(self._top.found.st_mode & stat.S_ISVTX) and found.st_uid in (0, os.geteuid())

    @property
    def _top(self) -> Step:
        return self._steps[-1]

    def _path(self, name: str) -> str:
        return "/" + "/".join([*(step.name for step in self._steps[1:]), name])

    def _found(self, name: str) -> Place:
        steps, self._steps = self._steps, []
        return Place(steps, name, magic=self._magic)

    def _look_up(self, name: str, *, last: bool) -> int | None:
        """A handle on what has this name; None when nothing has, and it is the last."""
        try:
            return os.open(name, STEP, dir_fd=self._top.fd)
        except FileNotFoundError:
            if last:
                return None
            if not self._makes:
                raise
        with suppress(FileExistsError):
            os.mkdir(name, _DIRECTORY_MODE, dir_fd=self._top.fd)
        return os.open(name, STEP, dir_fd=self._top.fd)

    def _enter(self, fd: int, name: str, *, fixed: bool) -> None:
        """Go on from this directory, which is closed when it cannot be used."""
        try:
            found = os.fstat(fd)
            self._check_directory(fd, name, found)
        except BaseException:
            os.close(fd)
            raise
        self._steps.append(Step(fd, name, found, fixed))

    def _check_directory(self, fd: int, name: str, found: os.stat_result) -> None:
        """Check that a directory may be entered. Raises UnsafePathError."""
        if self._foreign and found.st_dev == _procfs():
            raise UnsafePathError(self._path(name), "a link of another user leads there")
        if self._reader is not None and not allows(fd, found, self._reader, 1):
            raise UnsafePathError(
                self._path(name),
                f"the user of its process (uid {self._reader.uid}) may not enter this directory: "
                "give it execute permission",
            )

    def _target(self, fd: int, name: str, found: os.stat_result) -> str | None:
        """Where a link leads, None when only the kernel can follow it (``/proc/self/fd/1``)."""
        self._check_link(name, found)
        self._links += 1
        if self._links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), self._path(name))
        target = os.readlink("", dir_fd=fd)
        procfs = _procfs()
        if found.st_dev == procfs and os.path.dirname(self._path(name)) != "/proc":
            return None
        return target

    def _check_link(self, name: str, found: os.stat_result) -> None:
        """Check that a link may be followed. Raises UnsafePathError."""
        directory = self._top.found
        us = os.geteuid() if self._reader is None else self._reader.uid
        if us == 0:
            allowed = found.st_uid == 0
        else:
            sticky = directory.st_mode & OTHERS_WRITE == OTHERS_WRITE
            allowed = not sticky or found.st_uid in (us, directory.st_uid)
        if not allowed:
            raise UnsafePathError(
                self._path(name),
                f"uid {found.st_uid} made this link: replace it by a file or a directory, or make it as root",
            )
        if us == 0 and found.st_nlink > 1 and is_shared(self._top.fd, directory):
            raise UnsafePathError(
                self._path(name),
                "this link has another name as well (a hard link), in a directory that others can write to: "
                "make a new link",
            )
        self._foreign |= found.st_uid not in (0, os.geteuid())

    def _followed(self, name: str) -> int:
        """A directory behind a link that only the kernel can follow."""
        return os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._top.fd)


def _parts(path: str) -> list[str]:
    """The names in a path, the last one first."""
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]


def _procfs() -> int | None:
    """The device of /proc, None when it is not mounted."""
    try:
        found = os.stat("/proc").st_dev
        return found if found != os.stat("/").st_dev else None
    except OSError:
        return None
