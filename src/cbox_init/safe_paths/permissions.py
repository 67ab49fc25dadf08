"""What a user may do with an open file or directory, by its mode and its access control list."""

from __future__ import annotations

import os
import stat
from typing import Final, Protocol

OTHERS_WRITE: Final = stat.S_ISVTX | stat.S_IWOTH
"""The mode of a directory such as /tmp: everyone makes files in it, and removes only their own."""

_ACL: Final = "system.posix_acl_access"


class Reader(Protocol):
    """A user whose permissions decide what may be read."""

    @property
    def uid(self) -> int: ...

    @property
    def gid(self) -> int: ...

    @property
    def groups(self) -> tuple[int, ...]: ...


def is_shared(fd: int, found: os.stat_result) -> bool:
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


def decides(reader: Reader) -> bool:
    """Whether the permissions of a reader are fewer than ours."""
    return os.geteuid() == 0 and reader.uid != 0


def allows(fd: int, found: os.stat_result, reader: Reader, wanted: int) -> bool:
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
