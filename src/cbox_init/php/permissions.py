"""Prepares the directories that a PHP application writes to.

Those that are missing are made, and they and all that is in them are given to the application's user. Nothing
is reached through a symbolic link: each directory is opened from the one before it. A file with a second name
(a hard link) stays as it is: it may be one of root's that was linked there. Where the kernel lets users link
to files of others (fs.protected_hardlinks is 0), all files stay as they are, since a name can be removed
between the question how many there are and the change.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from cbox_init.errors import UnsafePathError
from cbox_init.safe_paths import locate
from cbox_init.threads import NoThreadError, start_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: How long the whole may take, in seconds. What is left then stays as it is.
LONGEST_S: Final = 10.0

_GRACE_S: Final = 1.0
_LOOK_S: Final = 0.05
_MODE: Final = 0o775
_DEEPEST: Final = 64
_MOST_PROBLEMS: Final = 10
_LARGEST_ID: Final = 2**32 - 2
_USUAL_USER: Final = "www-data"
_USUAL_ID: Final = 82
_PROTECTED_LINKS: Final = "/proc/sys/fs/protected_hardlinks"
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_HANDLE: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class Application(Struct, frozen=True):
    """A framework, the files by which it is known, and the directories that it writes to."""

    name: str
    markers: tuple[str, ...]
    directories: tuple[str, ...]


APPLICATIONS: Final = (
    Application(
        "laravel",
        ("artisan",),
        (
            *("storage/framework/sessions", "storage/framework/views", "storage/framework/cache"),
            *("storage/logs", "bootstrap/cache"),
        ),
    ),
    Application("symfony", ("bin/console", "var/cache"), ("var/cache", "var/log")),
    Application("wordpress", ("wp-config.php",), ("wp-content/uploads",)),
)


class Owner(Struct, frozen=True):
    """Who the directories belong to, and where that comes from; ``remark`` is for the operator."""

    uid: int
    gid: int
    source: str
    remark: str | None = None


class Prepared(Struct, frozen=True):
    """What was done. ``problems`` are paths that stay as they are, with the reason; at most ten are kept."""

    application: str
    made: int
    changed: int
    problems: tuple[tuple[str, str], ...]
    unfinished: bool


def application_in(workdir: str) -> Application | None:
    """The application in a directory, None for one that is not known."""
    return next(
        (
            one
            for one in APPLICATIONS
            if all(os.path.exists(os.path.join(workdir, marker)) for marker in one.markers)
        ),
        None,
    )


def owner_from(environ: Mapping[str, str], passwd: str = "/etc/passwd") -> Owner:
    """PUID and PGID, when both are set; else www-data; else 82, which is www-data on Alpine."""
    texts = {name: environ.get(name, "").strip() for name in ("PUID", "PGID")}
    remark = None
    if all(texts.values()):
        ids = [_id(text) for text in texts.values()]
        if (uid := ids[0]) is not None and (gid := ids[1]) is not None:
            return Owner(uid, gid, "PUID and PGID")
        wrong = next(name for name, number in zip(texts, ids, strict=True) if number is None)
        remark = f"{wrong} is {texts[wrong]!r}: write the number of a user or group"
    elif any(texts.values()):
        missing = next(name for name, text in texts.items() if not text)
        remark = f"{missing} is not set: PUID and PGID count only together"
    with suppress(OSError, ValueError), open(passwd, encoding="utf-8", errors="replace") as file:
        for line in file:
            fields = line.split(":")
            if fields[0] == _USUAL_USER:
                return Owner(int(fields[2]), int(fields[3]), f"{_USUAL_USER} of {passwd}", remark)
    return Owner(_USUAL_ID, _USUAL_ID, "the default", remark)


def _id(text: str) -> int | None:
    if not (text.isascii() and text.isdigit()) or len(text) > 10 or int(text) > _LARGEST_ID:
        return None
    return int(text)


class PermissionSetup:
    """Prepares the directories of one application, once.

    Without root they are made, and belong to us. ``longest_s`` limits the time.
    """

    def __init__(
        self, workdir: str, application: Application, owner: Owner, *, longest_s: float = LONGEST_S
    ) -> None:
        self._workdir = os.path.abspath(workdir)
        self._application = application
        self._owner = owner
        self._end = time.monotonic() + longest_s
        self._gives = os.geteuid() == 0
        self._gives_files = _links_are_protected()
        self._made = 0
        self._changed = 0
        self._problems: dict[str, str] = {}
        self.stopped = False
        """Set it to end the work at the next file."""

    def run(self) -> Prepared:
        """Prepare the directories. Takes long where there are many files, so in a thread of its own."""
        opened: list[tuple[int, str]] = []
        try:
            with locate(self._workdir) as place:
                root = place.open(os.O_RDONLY | os.O_DIRECTORY)
        except (UnsafePathError, OSError) as error:
            self._report(self._workdir, error)
            return self._prepared()
        try:
            # First all directories themselves: these matter most where the time is over.
            for directory in self._application.directories:
                found = self._open(root, directory)
                if found is not None:
                    opened.append((found, directory))
            while opened:
                directory_fd, path = opened.pop(0)
                self._give_contents(directory_fd, path, 0)
        finally:
            os.close(root)
            for directory_fd, _ in opened:
                os.close(directory_fd)
        return self._prepared()

    def _prepared(self) -> Prepared:
        return Prepared(
            self._application.name, self._made, self._changed, tuple(self._problems.items()), self.stopped
        )

    def _open(self, root: int, directory: str) -> int | None:
        """Open a directory, after making what is missing of it; None when that cannot be done."""
        current = os.dup(root)
        path = ""
        for name in directory.split("/"):
            path = os.path.join(path, name)
            try:
                made = self._make(current, name)
                below = os.open(name, _DIRECTORY, dir_fd=current)
            except OSError as error:
                self._report(path, error)
                os.close(current)
                return None
            os.close(current)
            current = below
            if made or path == directory:
                self._give_directory(current, path, made=made)
        return current

    def _make(self, fd: int, name: str) -> bool:
        """Make a directory; whether there was none."""
        try:
            os.mkdir(name, _MODE, dir_fd=fd)
        except FileExistsError:
            return False
        self._made += 1
        return True

    def _give_directory(self, fd: int, path: str, *, made: bool) -> None:
        try:
            if made:
                os.fchmod(fd, _MODE)  # whatever the umask is
            found = os.fstat(fd)
            if self._lacks(found):
                os.fchown(fd, self._owner.uid, self._owner.gid)
                os.fchmod(fd, stat.S_IMODE(found.st_mode) | stat.S_IRWXU)
                self._changed += not made
        except OSError as error:
            self._report(path, error)

    def _give_contents(self, fd: int, path: str, depth: int) -> None:
        """Give all that is in a directory to the owner; closes the directory."""
        below: list[str] = []
        try:
            with os.scandir(fd) as entries:
                for entry in entries:
                    if self._is_over():
                        return
                    found = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(found.st_mode):
                        below.append(entry.name)
                    elif stat.S_ISREG(found.st_mode) and self._lacks(found):
                        self._give_file(fd, entry.name, os.path.join(path, entry.name))
            for name in below:
                if self._is_over():
                    return
                where = os.path.join(path, name)
                if depth == _DEEPEST:
                    self._problems[where] = f"it is more than {_DEEPEST} directories deep"
                    continue
                try:
                    directory = os.open(name, _DIRECTORY, dir_fd=fd)
                except OSError as error:
                    self._report(where, error)
                    continue
                self._give_directory(directory, where, made=False)
                self._give_contents(directory, where, depth + 1)
        except OSError as error:
            self._report(path, error)
        finally:
            os.close(fd)

    def _give_file(self, fd: int, name: str, path: str) -> None:
        """Give one file to the owner: the one that was looked at, whatever has its name by now."""
        handle = -1
        if not self._gives_files:
            self._problem(path, "fs.protected_hardlinks is 0: it may be a file of another user")
            return
        try:
            handle = os.open(name, _HANDLE, dir_fd=fd)
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode):
                return
            named = os.stat(name, dir_fd=fd, follow_symlinks=False)
            if not os.path.samestat(found, named) or max(found.st_nlink, named.st_nlink) > 1:
                self._problem(path, "it has another name as well (a hard link)")
                return
            os.chown(f"/proc/self/fd/{handle}", self._owner.uid, self._owner.gid)
            os.chmod(f"/proc/self/fd/{handle}", found.st_mode & 0o777 | stat.S_IRUSR | stat.S_IWUSR)
            self._changed += 1
        except OSError as error:
            self._report(path, error)
        finally:
            if handle >= 0:
                os.close(handle)

    def _lacks(self, found: os.stat_result) -> bool:
        """Whether something does not belong to the owner, or is closed to him."""
        if not self._gives:
            return False
        own = stat.S_IRWXU if stat.S_ISDIR(found.st_mode) else stat.S_IRUSR | stat.S_IWUSR
        is_given = (found.st_uid, found.st_gid) == (self._owner.uid, self._owner.gid)
        return not is_given or found.st_mode & own != own

    def _is_over(self) -> bool:
        self.stopped = self.stopped or time.monotonic() > self._end
        return self.stopped

    def _report(self, path: str, error: OSError) -> None:
        if isinstance(error, UnsafePathError):
            why = error.why
        elif error.errno == errno.EPERM and self._gives:
            self._gives = False  # so it would be for every other file
            why = "the owner cannot be changed: root has no capability CHOWN, or the file system refuses it"
        elif error.errno in (errno.ELOOP, errno.ENOTDIR):
            why = "it is a symbolic link, or no directory"
        else:
            why = error.strerror or str(error)
        self._problem(path, why)

    def _problem(self, path: str, why: str) -> None:
        if len(self._problems) < _MOST_PROBLEMS:
            self._problems[path] = why


def _links_are_protected() -> bool:
    """Whether users can link only to files that they own, or may read and write (proc_sys_fs(5))."""
    try:
        with open(_PROTECTED_LINKS) as file:
            return file.read().strip() != "0"
    except OSError:
        return True  # no such setting: a kernel of a sandbox, with files of its own


def is_set(environ: Mapping[str, str], name: str) -> bool:
    """Whether a variable turns something on."""
    return environ.get(name, "").strip().lower() in ("1", "true", "yes", "on")


def why_skipped(environ: Mapping[str, str]) -> str | None:
    """Why nothing is prepared here; None when it is."""
    if is_set(environ, "CBOX_INIT_SKIP_PERMISSION_SETUP"):
        return "CBOX_INIT_SKIP_PERMISSION_SETUP is set"
    if is_set(environ, "CBOX_INIT_READ_ONLY_ROOT"):
        return "CBOX_INIT_READ_ONLY_ROOT is set"
    with suppress(OSError):
        if os.statvfs("/").f_flag & os.ST_RDONLY:
            return "the root file system is read-only"
    return None


def prepare(
    workdir: str,
    environ: Mapping[str, str],
    *,
    info: Callable[..., object],
    warn: Callable[..., object],
    is_ending: Callable[[], bool],
) -> None:
    """Prepare the directories of the application in ``workdir``, and log what was done.

    Returns when it is done, its time is over, or ``is_ending`` says that the daemon ends.
    """
    application = application_in(workdir)
    if application is None:
        return
    why = why_skipped(environ)
    if why is not None:
        info("Directories of the application are left alone", application=application.name, reason=why)
        return
    owner = owner_from(environ)
    setup = PermissionSetup(workdir, application, owner)
    results: list[Prepared] = []
    errors: list[Exception] = []
    try:
        thread = start_thread(lambda: results.append(setup.run()), name="permissions", failed=errors.append)
    except NoThreadError as error:
        warn("Directories of the application are left alone", application=application.name, error=str(error))
        return
    end = time.monotonic() + LONGEST_S + _GRACE_S
    while thread.is_alive() and not is_ending() and time.monotonic() < end:
        thread.join(_LOOK_S)
    setup.stopped |= thread.is_alive()
    if owner.remark:
        warn("The owner of the application's directories is not the one that was meant", reason=owner.remark)
    for path, reason in results[0].problems if results else ():
        warn("Left as it is", path=os.path.join(workdir, path), reason=reason)
    info(
        "Directories of the application are prepared",
        application=application.name,
        owner=f"{owner.uid}:{owner.gid} ({owner.source})",
        made=results[0].made if results else None,
        changed=results[0].changed if results else None,
        error=str(errors[0]) if errors else None,
    )
    if not is_ending() and (not results or results[0].unfinished):
        warn(
            f"Not all files of the application were looked at within {LONGEST_S:g} s",
            reason=f"{workdir} has too many, or its file system is slow: set their owner when the image is "
            "built, and use --skip-permission-setup",
        )
