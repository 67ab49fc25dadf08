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

import os
import stat
from typing import TYPE_CHECKING

from cbox_init.errors import UnsafePathError
from cbox_init.safe_paths.place import ALWAYS, Place, check_regular
from cbox_init.safe_paths.walk import Walk

if TYPE_CHECKING:
    from cbox_init.safe_paths.permissions import Reader


def locate(
    path: str, *, reader: Reader | None = None, make_directories: bool = False, last_link: bool = True
) -> Place:
    """The place that ``path`` leads to, whether there is something or not.

    With ``make_directories`` missing directories are created, in which only we and root can write. Without
    ``last_link`` the last name is taken as it is, also when it is a link. Raises UnsafePathError and OSError.
    """
    walk = Walk(reader, make_directories=make_directories)
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


def why_refused(path: str, *, last_link: bool = True) -> str | None:
    """Why a file at ``path`` would be refused now; None when it would not, or fail for another reason.

    It is a file to append to; without ``last_link`` one that is made, in place of what is there.
    """
    try:
        with locate(path, last_link=last_link) as place:
            found = place.status() if last_link else None
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
    check_regular(os.stat(path))
    fd = os.open(path, flags | ALWAYS)
    try:
        check_regular(os.fstat(fd))
    except BaseException:
        os.close(fd)
        raise
    return fd
