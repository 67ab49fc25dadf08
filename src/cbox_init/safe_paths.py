"""Opens files in directories that other users can write to, without being led to a file that is not theirs.

Each directory on the way is opened from the one before it, and what is then made, opened, renamed or removed
is named within an open directory: nobody can put another directory or a link in its place meanwhile.

Which symbolic links are followed:

* When we are root, those of root: any in a directory that only root can write to, and elsewhere those that
  have no second name (a hard link can put root's link into another user's directory).
* When we are another user, all: we can do nothing there that our applications cannot. But in a directory that
  everyone can write to (``/tmp``) only our own and those of its owner, as with ``fs.protected_symlinks``.
* For a `Reader`, those that this user could follow: each directory on the way and the file are checked with
  its permissions.

A file in a directory that others can write to is refused when it is a device, or when it has a second name
that does not come from the directory's owner: a hard link to a file of root looks like a file of root.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, Self

from cbox_init.errors import UnsafePathError

if TYPE_CHECKING:
    from types import TracebackType

_DIRECTORY_MODE: Final = 0o755
_MOST_LINKS: Final = 40
_STEP: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_ALWAYS: Final = os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_OTHERS_WRITE: Final = stat.S_ISVTX | stat.S_IWOTH
_ACL: Final = "system.posix_acl_access"
_TRIES: Final = 8


class Reader(Protocol):
    """A user whose permissions decide what may be read."""

    @property
    def uid(self) -> int: ...

    @property
    def gid(self) -> int: ...

    @property
    def groups(self) -> tuple[int, ...]: ...


class _Step(NamedTuple):
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

    def __init__(self, steps: list[_Step], name: str, *, magic: bool) -> None:
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
        self.shared = _is_shared(last.fd, last.found)
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
            return os.open(name, flags | nofollow | _ALWAYS, mode, dir_fd=self._fd)
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
        _check_regular(found)  # to open a device may do something
        fd = self.open(os.O_RDONLY, name=name)
        try:
            found = os.fstat(fd)
            _check_regular(found)
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
        fd = os.open(self.name, _STEP, dir_fd=self._fd)
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
        if reader is not None and _decides(reader):
            return  # its permission was checked
        if not self.shared:
            return
        if stat.S_ISBLK(found.st_mode) or stat.S_ISCHR(found.st_mode):
            raise self._refused("it is a device in a directory that others can write to")
        owners = (os.geteuid(), self._found.st_uid)
        if writes and self._found.st_mode & _OTHERS_WRITE == _OTHERS_WRITE and found.st_uid not in owners:
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
        if _decides(reader) and not _allows(fd, os.fstat(fd), reader, 4):
            raise self._refused(
                f"the user of its process (uid {reader.uid}) may not read it: "
                "if this is the right file, let that user read it"
            )

    def _refused(self, why: str, name: str | None = None) -> UnsafePathError:
        return UnsafePathError(self.path if name is None else self.path_of(name), why)


def locate(
    path: str, *, reader: Reader | None = None, make_directories: bool = False, last_link: bool = True
) -> Place:
    """The place that ``path`` leads to, whether there is something or not.

    With ``make_directories`` missing directories are created, in which only we and root can write. Without
    ``last_link`` the last name is taken as it is, also when it is a link. Raises UnsafePathError and OSError.
    """
    walk = _Walk(reader, make_directories=make_directories)
    try:
        return walk.to(os.path.abspath(path), last_link=last_link)
    except BaseException:
        walk.close()
        raise


def open_to_read(path: str, reader: Reader | None = None) -> int:
    """Open a regular file for reading. The descriptor does not block.

    Raises UnsafePathError, also when ``reader`` may not read it, and OSError.
    """
    with locate(path, reader=reader) as place:
        return place.open_regular(reader=reader)


def identity_at(path: str) -> tuple[int, int] | None:
    """Device and inode of the file that an output at ``path`` would append to, None when there is none."""
    try:
        with locate(path) as place:
            found = place.status()
            if found is None:
                return None
            place.check(found, writes=True)
            return found.st_dev, found.st_ino
    except OSError:
        return None


def why_refused(path: str) -> str | None:
    """Why an output at ``path`` would be refused now; None when it would not, or fail for another reason."""
    try:
        with locate(path) as place:
            found = place.status()
            if found is not None and not stat.S_ISDIR(found.st_mode):
                place.check(found, writes=True)
    except UnsafePathError as error:
        return str(error)
    except OSError:
        return None
    return None


def why_not_read(path: str, reader: Reader | None) -> str | None:
    """Why `open_to_read` refuses a path; None when it does not, or fails for another reason."""
    try:
        os.close(open_to_read(path, reader))
    except UnsafePathError as error:
        return str(error)
    except (OSError, ValueError):
        return None
    return None


def others_can_change(path: str) -> bool:
    """Whether others than root and ourselves can change what is at ``path``, or at what exists of it."""
    path = os.path.abspath(path)
    while True:
        try:
            with locate(path) as place:
                return place.shared
        except UnsafePathError:
            return True
        except OSError:
            if path == "/":
                return False
            path = os.path.dirname(path)


def others_can_write(path: str) -> bool:
    """Whether another user can change what is in the file at ``path``, when we are root."""
    if os.geteuid() != 0:
        return False
    try:
        with locate(path) as place:
            found = place.status()
            return place.shared or found is None or bool(found.st_uid or found.st_mode & 0o022)
    except OSError:
        return True


def real_path(path: str) -> str:
    """``path`` without the links in it; as it is where one of them may not be followed."""
    try:
        with locate(path) as place:
            return os.path.normpath(place.path)
    except UnsafePathError:
        return os.path.abspath(path)
    except OSError:
        return os.path.realpath(path)  # a directory that will be made later


def regular_only(path: str, flags: int) -> int:
    """An opener for open(): it follows all links, but opens nothing that may wait, such as a FIFO, or have an
    effect. Raises OSError."""
    _check_regular(os.stat(path))
    fd = os.open(path, flags | _ALWAYS)
    try:
        _check_regular(os.fstat(fd))
    except BaseException:
        os.close(fd)
        raise
    return fd


class _Walk:
    """Opens one directory after the other."""

    def __init__(self, reader: Reader | None, *, make_directories: bool) -> None:
        self._reader = reader if reader is not None and _decides(reader) else None
        self._makes = make_directories
        self._steps: list[_Step] = []
        self._links = 0
        self._foreign = False
        """Whether a link of another user was followed."""
        self._magic = False
        self._enter(os.open("/", _STEP), "", fixed=True)

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
        if not _is_shared(self._top.fd, self._top.found):
            return True
        return bool(self._top.found.st_mode & stat.S_ISVTX) and found.st_uid in (0, os.geteuid())

    @property
    def _top(self) -> _Step:
        return self._steps[-1]

    def _path(self, name: str) -> str:
        return "/" + "/".join([*(step.name for step in self._steps[1:]), name])

    def _found(self, name: str) -> Place:
        steps, self._steps = self._steps, []
        return Place(steps, name, magic=self._magic)

    def _look_up(self, name: str, *, last: bool) -> int | None:
        """A handle on what has this name; None when nothing has, and it is the last."""
        try:
            return os.open(name, _STEP, dir_fd=self._top.fd)
        except FileNotFoundError:
            if last:
                return None
            if not self._makes:
                raise
        with suppress(FileExistsError):
            os.mkdir(name, _DIRECTORY_MODE, dir_fd=self._top.fd)
        return os.open(name, _STEP, dir_fd=self._top.fd)

    def _enter(self, fd: int, name: str, *, fixed: bool) -> None:
        """Go on from this directory, which is closed when it cannot be used."""
        try:
            found = os.fstat(fd)
            self._check_directory(fd, name, found)
        except BaseException:
            os.close(fd)
            raise
        self._steps.append(_Step(fd, name, found, fixed))

    def _check_directory(self, fd: int, name: str, found: os.stat_result) -> None:
        """Check that a directory may be entered. Raises UnsafePathError."""
        if self._foreign and found.st_dev == _procfs():
            raise UnsafePathError(self._path(name), "a link of another user leads there")
        if self._reader is not None and not _allows(fd, found, self._reader, 1):
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
            sticky = directory.st_mode & _OTHERS_WRITE == _OTHERS_WRITE
            allowed = not sticky or found.st_uid in (us, directory.st_uid)
        if not allowed:
            raise UnsafePathError(
                self._path(name),
                f"uid {found.st_uid} made this link: replace it by a file or a directory, or make it as root",
            )
        if us == 0 and found.st_nlink > 1 and _is_shared(self._top.fd, directory):
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


def _is_shared(fd: int, found: os.stat_result) -> bool:
    """Whether others than root and ourselves can change which names a directory has.

    One that is mounted read-only cannot be changed by anyone: Kubernetes gives those of a ConfigMap the mode
    0777. When we are not root, a group may write: it is often a group of one user.
    """
    mine = os.geteuid()
    writable = stat.S_IWOTH if mine else stat.S_IWOTH | stat.S_IWGRP
    if found.st_uid in (0, mine) and not found.st_mode & writable:
        return False
    try:
        return not os.fstatvfs(fd).f_flag & os.ST_RDONLY
    except OSError:
        return True


def _decides(reader: Reader) -> bool:
    """Whether the permissions of a reader are fewer than ours."""
    return os.geteuid() == 0 and reader.uid != 0


def _allows(fd: int, found: os.stat_result, reader: Reader, wanted: int) -> bool:
    """Whether the mode and the access control list of an open file give a user what is ``wanted`` (4 to read,
    1 to enter a directory), as the kernel decides it."""
    mode = found.st_mode
    if found.st_uid == reader.uid:
        return mode >> 6 & wanted == wanted
    groups = {reader.gid, *reader.groups}
    if mode & 0o070 and (entries := _acl(fd)):
        return _allows_by_acl(entries, found, reader.uid, groups, wanted)
    bits = mode >> 3 if found.st_gid in groups else mode
    return bits & wanted == wanted


def _allows_by_acl(
    entries: list[tuple[int, int, int]], found: os.stat_result, uid: int, groups: set[int], wanted: int
) -> bool:
    """acl(5), "access check algorithm", for a user who does not own the file."""
    mask = next((bits for tag, bits, _ in entries if tag == 0x10), 7)
    for tag, bits, number in entries:
        if tag == 0x02 and number == uid:
            return bits & mask & wanted == wanted
    matched = [
        bits
        for tag, bits, number in entries
        if (tag == 0x04 and found.st_gid in groups) or (tag == 0x08 and number in groups)
    ]
    if matched:
        return any(bits & mask & wanted == wanted for bits in matched)
    return any(bits & wanted == wanted for tag, bits, _ in entries if tag == 0x20)


def _acl(fd: int) -> list[tuple[int, int, int]]:
    """The entries of an access control list: tag, permissions, and the number of a user or group."""
    try:
        data = os.getxattr(f"/proc/self/fd/{fd}", _ACL)
    except OSError:
        return []
    return [
        (
            int.from_bytes(data[at : at + 2], "little"),
            int.from_bytes(data[at + 2 : at + 4], "little"),
            int.from_bytes(data[at + 4 : at + 8], "little"),
        )
        for at in range(4, len(data), 8)
    ]


def _check_regular(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is no regular file")


def _procfs() -> int | None:
    """The device of /proc, None when it is not mounted."""
    try:
        found = os.stat("/proc").st_dev
        return found if found != os.stat("/").st_dev else None
    except OSError:
        return None
