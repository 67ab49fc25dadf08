"""A name in an open directory, and what can be done with the files there."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from cbox_init.errors import UnsafePathError
from cbox_init.safe_paths.permissions import OTHERS_WRITE, allows, decides, is_shared

if TYPE_CHECKING:
    from types import TracebackType

    from cbox_init.safe_paths.permissions import Reader

STEP: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
"""Opens a handle on whatever has a name; a link is not followed."""

ALWAYS: Final = os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_TRIES: Final = 8


class Step(NamedTuple):
    """An open directory. ``fixed``: no other user can put another directory in its place."""

    fd: int
    name: str
    found: os.stat_result
    fixed: bool


class Place:
    """A name in an open directory: where a path leads. Close it, or use it in a ``with``.

    ``path`` is for messages, and stays right while nobody moves the directories. All names that its methods
    take are names in the directory.
    """

    __slots__ = ("_fd", "_found", "_magic", "fixed", "name", "path", "shared")

    def __init__(self, steps: list[Step], name: str, *, magic: bool) -> None:
        *above, last = steps
        for step in above:
            os.close(step.fd)
        self._fd = last.fd
        self._found = last.found
        self._magic = magic
        self.name = name
        self.path = "/" + "/".join([step.name for step in steps[1:]] + [name])
        self.fixed = last.fixed
        """Whether ``path`` can be given to a call that takes no directory: it leads to the same directory."""
        self.shared = is_shared(last.fd, last.found)
        """Whether others than root and ourselves can create, rename and remove files in the directory."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the directory; no error when it is closed."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    # -- the directory ---------------------------------------------------------------------------------

    def directory(self) -> int:
        """The directory, opened for calls such as fsync and flock; the caller closes it."""
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._fd)

    def path_of(self, name: str) -> str:
        """The path of a name in the directory, for messages."""
        return os.path.join(os.path.dirname(self.path), name)

    def address(self, longest: int) -> str:
        """The path for a call that takes no directory, such as bind, of at most that many bytes.

        It leads through /proc when others can replace the directory, or the path is too long.
        """
        if self.fixed and len(os.fsencode(self.path)) <= longest:
            return self.path
        return f"/proc/self/fd/{self._fd}/{self.name}"

    # -- its files -------------------------------------------------------------------------------------

    def status(self, name: str | None = None) -> os.stat_result | None:
        """What has this name, None when nothing has; a link is not followed. Raises OSError."""
        try:
            if self._magic and name is None:
                return os.stat(self.name, dir_fd=self._fd)
            return os.stat(self.name if name is None else name, dir_fd=self._fd, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def exists(self, name: str | None = None) -> bool:
        """Whether something has this name, also a link that leads nowhere."""
        return self.status(name) is not None

    def open(self, flags: int, mode: int = 0o600, name: str | None = None) -> int:
        """Open a file of this name, which is no link; never waits for the other end of a FIFO.

        The file is not checked, see `check`. Raises UnsafePathError when it is a link by now, and OSError.
        """
        nofollow = 0 if self._magic and name is None else os.O_NOFOLLOW
        name = self.name if name is None else name
        try:
            return os.open(name, flags | nofollow | ALWAYS, mode, dir_fd=self._fd)
        except OSError as error:
            if nofollow and error.errno == errno.ELOOP:
                raise self._refused("it became a link while it was opened", name) from None
            raise

    def open_regular(self, name: str | None = None, *, reader: Reader | None = None) -> int:
        """Open a regular file for reading. Raises UnsafePathError, also when ``reader`` may not read it, and
        OSError."""
        found = self.status(name)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        check_regular(found)  # to open a device may do something
        fd = self.open(os.O_RDONLY, name=name)
        try:
            found = os.fstat(fd)
            check_regular(found)
            self.check(found, writes=False, reader=reader)
            if reader is not None:
                self.check_readable(fd, reader)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def open_to_append(self, mode: int = 0o644) -> int:
        """Open the file for appending, created if it does not exist; also a FIFO or a device.

        Raises UnsafePathError, and OSError: a FIFO without a reader is one. The descriptor does not block.
        """
        flags = os.O_WRONLY | os.O_APPEND
        for _ in range(_TRIES):
            found = self.status()
            if found is None:
                with suppress(FileExistsError):
                    return self.open(flags | os.O_CREAT | os.O_EXCL, mode)
                continue
            self.check(found, writes=True)
            try:
                fd = self.open(flags)
            except FileNotFoundError:
                continue
            try:
                self.check(os.fstat(fd), writes=True)
            except BaseException:
                os.close(fd)
                raise
            return fd
        raise OSError(errno.EAGAIN, "another program creates and removes it again and again")

    def create(self, mode: int = 0o600, name: str | None = None) -> int:
        """Create a file of this name and open it for writing. Raises FileExistsError, and OSError."""
        return self.open(os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode, name)

    def create_again(self, mode: int, name: str) -> int:
        """Create a file of this name, in place of what an earlier daemon may have left there."""
        self.remove(name)
        return self.create(mode, name)

    def rename(self, old: str, new: str) -> None:
        """Rename a file within the directory, in place of what has the new name."""
        os.rename(old, new, src_dir_fd=self._fd, dst_dir_fd=self._fd)

    def remove(self, name: str | None = None) -> None:
        """Remove a name, also a link; no error when there is none."""
        with suppress(FileNotFoundError):
            os.unlink(self.name if name is None else name, dir_fd=self._fd)

    def change_group(self, gid: int) -> None:
        """Change the group of what we have made here. Raises UnsafePathError and OSError."""
        if not self.shared:
            os.chown(self.name, -1, gid, dir_fd=self._fd, follow_symlinks=False)
            return
        fd = os.open(self.name, STEP, dir_fd=self._fd)
        try:
            found = os.fstat(fd)
            if found.st_uid != os.geteuid() or found.st_nlink > 1 or stat.S_ISLNK(found.st_mode):
                raise self._refused("it was replaced while it was made")
            os.chown(f"/proc/self/fd/{fd}", -1, gid)  # of this file, whatever the name leads to by now
        finally:
            os.close(fd)

    # -- checks ----------------------------------------------------------------------------------------

    def check(self, found: os.stat_result, *, writes: bool, reader: Reader | None = None) -> None:
        """Check the status of a file that was opened here. Raises UnsafePathError."""
        if reader is not None and decides(reader):
            return  # its permission was checked
        if not self.shared:
            return
        if stat.S_ISBLK(found.st_mode) or stat.S_ISCHR(found.st_mode):
            raise self._refused("it is a device in a directory that others can write to")
        owners = (os.geteuid(), self._found.st_uid)
        if writes and self._found.st_mode & OTHERS_WRITE == OTHERS_WRITE and found.st_uid not in owners:
            raise self._refused(
                f"uid {found.st_uid} made the file, in a directory that everyone can write to: "
                "remove it, or use another directory"
            )
        if os.geteuid() != 0 or found.st_nlink < 2 or not stat.S_ISREG(found.st_mode):
            return
        if found.st_uid != 0 and found.st_uid == self._found.st_uid:
            return
        if not writes and found.st_mode & stat.S_IROTH:
            return
        raise self._refused(
            f"it is a file of uid {found.st_uid} that has another name as well (a hard link), in a "
            "directory that others can write to: remove one of the names"
        )

    def check_readable(self, fd: int, reader: Reader) -> None:
        """Check that this user may read an open file. Raises UnsafePathError."""
        if decides(reader) and not allows(fd, os.fstat(fd), reader, 4):
            raise self._refused(
                f"the user of its process (uid {reader.uid}) may not read it: "
                "if this is the right file, let that user read it"
            )

    def _refused(self, why: str, name: str | None = None) -> UnsafePathError:
        return UnsafePathError(self.path if name is None else self.path_of(name), why)


def check_regular(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is no regular file")
