"""What a process does to itself, before its exec, to have fewer rights: mounts, capabilities, and the rest.

Imported by the fork server, for the first child that has a sandbox, and by check-config. All of it acts on
the calling process alone, which must have one thread.
"""

from __future__ import annotations

import ctypes
import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, TypeAlias

#: Sets of capabilities, a bit for each: to drop, to add and to have as ambient ones.
CapabilitySets: TypeAlias = "tuple[int, int, int]"

#: Paths that become read-only, whether /tmp is a new one, and the pid of a process whose mounts are to be
#: shared instead, if that is possible.
Mounts: TypeAlias = "tuple[tuple[bytes, ...], bool, int | None]"

#: What a child gives up: mounts, sets of capabilities, and whether exec gives no privileges any more.
SandboxOrder: TypeAlias = "tuple[Mounts | None, CapabilitySets | None, bool]"

#: Stands for every capability in a set, as `cbox_init.system.spawn_request.EVERY`.
EVERY: Final = 1 << 64

#: The directories of which ``private_tmp`` makes new ones; the first has to exist.
TEMPORARY: Final = ("/tmp", "/var/tmp")

_CLONE_NEWNS: Final = 0x00020000
_MS_RDONLY: Final = 1
_MS_NOSUID: Final = 2
_MS_NODEV: Final = 4
_MS_REMOUNT: Final = 32
_MS_BIND: Final = 4096
_MS_REC: Final = 16384
_MS_PRIVATE: Final = 1 << 18
_MS_SLAVE: Final = 1 << 19
_FLAG_OF_OPTION: Final = {
    b"nosuid": _MS_NOSUID,
    b"nodev": _MS_NODEV,
    b"noexec": 8,
    b"noatime": 1024,
    b"nodiratime": 2048,
    b"relatime": 1 << 21,
}

_SYS_MOUNT_SETATTR: Final = 442
"""The same number on every architecture."""
_AT_FDCWD: Final = -100
_AT_RECURSIVE: Final = 0x8000
_MOUNT_ATTR_RDONLY: Final = 1

_NS_GET_USERNS: Final = 0xB701

_PR_SET_KEEPCAPS: Final = 8
_PR_CAPBSET_READ: Final = 23
_PR_CAPBSET_DROP: Final = 24
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_RAISE: Final = 2
_CAPABILITY_VERSION: Final = 0x20080522

_libc: Final = ctypes.CDLL(None, use_errno=True)


class SandboxRefused(OSError):
    """The kernel refuses a part of the sandbox: the key, the error number, and its text.

    For capabilities that are not there the text is the set of them as a number.
    """

    def __init__(self, key: str, number: int, text: str) -> None:
        super().__init__(number, text)
        self.key = key


def apply_mounts(mounts: Mounts) -> None:
    """Leave the daemon's mounts for a copy, in which paths are read-only and /tmp is empty.

    What is mounted by others later on appears in the copy, but not below the read-only paths. Raises
    SandboxRefused.
    """
    paths, private_tmp, pid = mounts
    if pid is not None and _joined(pid):
        return
    key = "read_only_paths" if paths else "private_tmp"
    _call(key, _libc.unshare, _CLONE_NEWNS)
    _mount(key, None, b"/", _MS_REC | _MS_SLAVE)
    for index, path in enumerate(paths):
        _make_read_only(f"read_only_paths[{index}]", path)
    if private_tmp:
        for number, folder in enumerate(TEMPORARY):
            if number == 0 or os.path.isdir(folder):
                _mount(
                    "private_tmp", b"tmpfs", folder.encode(), _MS_NOSUID | _MS_NODEV, b"tmpfs", b"mode=1777"
                )


class Capabilities:
    """The capabilities of a child, set in two steps: before it becomes another user, and after that."""

    def __init__(self, sets: CapabilitySets, *, switches: bool, no_new_privileges: bool) -> None:
        self._switches = switches
        self._effective, self._permitted, self._inheritable = read_capabilities()
        self._bounding = read_bounding()
        self._no_new_privileges = no_new_privileges
        dropped, added, ambient = sets
        if missing := (added | ambient) & ~EVERY & ~self.available:
            key = "add" if added & missing else "ambient"
            raise SandboxRefused(f"capabilities.{key}", errno.EPERM, str(missing))
        kept = self.available if added & EVERY else added
        if not ambient & EVERY:
            kept |= ambient
        self._removed = (EVERY - 1 if dropped & EVERY else dropped) & ~kept
        self._ambient = self.available & ~self._removed if ambient & EVERY else ambient

    @property
    def available(self) -> int:
        """Those that a child can have."""
        return self._permitted & self._bounding

    def prepare(self) -> None:
        """Take the dropped ones out of the bounding set, and have the user switch keep what is ambient."""
        for number in _numbers(self._bounding & self._removed):
            try:
                _call("capabilities.drop", _libc.prctl, _PR_CAPBSET_DROP, number, 0, 0, 0)
            except SandboxRefused:
                # Without new privileges exec gives nothing that the process does not have already.
                if not self._no_new_privileges:
                    raise
                break
        if self._switches and self._ambient:
            _call("capabilities.ambient", _libc.prctl, _PR_SET_KEEPCAPS, 1, 0, 0, 0)

    def complete(self) -> None:
        """Reduce the permitted, effective and inheritable ones, and raise the ambient ones."""
        left = ~self._removed
        effective, permitted = self._effective & left, self._permitted & left
        if self._switches:
            effective = permitted = self._ambient
        _write_capabilities(effective, permitted, (self._inheritable & left) | self._ambient)
        for number in _numbers(self._ambient):
            _call("capabilities.ambient", _libc.prctl, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, number, 0, 0)


def forbid_new_privileges() -> None:
    """Have no exec give this process more rights: set-user-ID programs, file capabilities."""
    _call("no_new_privileges", _libc.prctl, _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def read_capabilities() -> tuple[int, int, int]:
    """The effective, permitted and inheritable ones of this process."""
    words = (ctypes.c_uint32 * 6)()
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    _call("capabilities", _libc.capget, header, words)
    effective, permitted, inheritable = (words[at] | words[at + 3] << 32 for at in range(3))
    return effective, permitted, inheritable


def read_bounding() -> int:
    """The bounding set of this process."""
    found = 0
    for number in range(64):
        there = _libc.prctl(_PR_CAPBSET_READ, number, 0, 0, 0)
        if there < 0:  # the kernel has no more
            break
        found |= there << number
    return found


def _write_capabilities(effective: int, permitted: int, inheritable: int) -> None:
    sets = (effective, permitted, inheritable)
    words = (ctypes.c_uint32 * 6)(*(one & 0xFFFFFFFF for one in sets), *(one >> 32 for one in sets))
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    _call("capabilities", _libc.capset, header, words)


def _numbers(capabilities: int) -> list[int]:
    return [number for number in range(64) if capabilities >> number & 1]


def _joined(pid: int) -> bool:
    """Whether the mounts of that process are ours now; they are not where it is gone or we may not.

    Its user may open them, also where root may not (CAP_SYS_PTRACE). Only mounts that the daemon made count:
    not the daemon's own, nor those of a user namespace, in which the process could have mounted anything.
    """
    try:
        owner = os.stat(f"/proc/{pid}")
        _libc.setfsgid(owner.st_gid)
        _libc.setfsuid(owner.st_uid)
        try:
            descriptor = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            _libc.setfsuid(os.geteuid())
            _libc.setfsgid(os.getegid())
    except OSError:
        return False
    try:
        made_here = not _is_own(descriptor, "mnt") and _is_of_our_user_namespace(descriptor)
        return made_here and bool(_libc.setns(descriptor, _CLONE_NEWNS) == 0)
    finally:
        os.close(descriptor)


def _is_of_our_user_namespace(descriptor: int) -> bool:
    owner = _libc.ioctl(descriptor, ctypes.c_ulong(_NS_GET_USERNS))
    if owner < 0:
        return False
    try:
        return _is_own(owner, "user")
    finally:
        os.close(owner)


def _is_own(descriptor: int, kind: str) -> bool:
    return os.path.samestat(os.fstat(descriptor), os.stat(f"/proc/self/ns/{kind}"))


def _make_read_only(key: str, path: bytes) -> None:
    if not _is_set_read_only(key, path):
        _mount(key, path, path, _MS_BIND | _MS_REC)
        if not _is_set_read_only(key, path):
            _remount_read_only(key, path)
    _mount(key, None, path, _MS_REC | _MS_PRIVATE)
    try:
        done = os.statvfs(path).f_flag & os.ST_RDONLY
    except OSError as error:
        raise SandboxRefused(key, error.errno or 0, str(error.strerror)) from error
    if not done:  # such as "/" in a chroot, above which nothing can be mounted
        raise SandboxRefused(key, errno.EINVAL, "it cannot be mounted over")


def _is_set_read_only(key: str, path: bytes) -> bool:
    """Make a mount and all below it read-only; False when it is no mount or before Linux 5.12."""
    attributes = (ctypes.c_uint64 * 4)(_MOUNT_ATTR_RDONLY, 0, 0, 0)
    done = _libc.syscall(
        ctypes.c_long(_SYS_MOUNT_SETATTR),
        ctypes.c_long(_AT_FDCWD),
        ctypes.c_char_p(path),
        ctypes.c_long(_AT_RECURSIVE),
        attributes,
        ctypes.c_long(ctypes.sizeof(attributes)),
    )
    number = ctypes.get_errno()
    if done == 0:
        return True
    if number in (errno.EINVAL, errno.ENOSYS, errno.EPERM):
        return False
    raise SandboxRefused(key, number, os.strerror(number))


def _remount_read_only(key: str, path: bytes) -> None:
    """The same with the calls of older kernels, one for each mount."""
    top = os.path.realpath(path)
    below = top.rstrip(b"/") + b"/"
    try:
        with open("/proc/self/mountinfo", "rb") as file:
            lines = file.readlines()
    except OSError as error:
        raise SandboxRefused(key, error.errno or 0, f"/proc/self/mountinfo: {error.strerror}") from error
    for line in lines:
        fields = line.split(b" ")
        point = _unescaped(fields[4])
        if point == top or point.startswith(below):
            flags = _MS_BIND | _MS_REMOUNT | _MS_RDONLY
            for option in fields[5].split(b","):
                flags |= _FLAG_OF_OPTION.get(option, 0)
            _mount(key, None, point, flags)


def _unescaped(point: bytes) -> bytes:
    for letter in b" \t\n\\":
        point = point.replace(b"\\%03o" % letter, bytes((letter,)))
    return point


def _mount(
    key: str,
    source: bytes | None,
    target: bytes,
    flags: int,
    kind: bytes | None = None,
    options: bytes | None = None,
) -> None:
    _call(key, _libc.mount, source, target, kind, ctypes.c_ulong(flags), options)


def _call(key: str, function: ctypes._NamedFuncPointer, *arguments: object) -> None:
    if function(*arguments) < 0:
        number = ctypes.get_errno()
        raise SandboxRefused(key, number, os.strerror(number))
