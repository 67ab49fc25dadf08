"""Who a child runs as: users and groups by name or number."""

from __future__ import annotations

import os

from msgspec import Struct

from cbox_init.errors import SpawnError

_HOME_WITHOUT_ENTRY = "/"
_LARGEST_ID = 2**32 - 2
"""The number above it is -1 to the kernel, "leave as it is"."""


class Identity(Struct, frozen=True):
    """A user, a primary group and the supplementary groups; the name where /etc/passwd has it.

    ``home`` is that of the entry, "/" for a user without one, None where the child stays the same user.
    """

    uid: int
    gid: int
    groups: tuple[int, ...]
    name: str | None
    home: str | None

    def __str__(self) -> str:
        """The name and numbers, for messages."""
        return f"{self.name or self.uid} (uid {self.uid}, gid {self.gid})"


def resolve(user: str | None, group: str | None) -> Identity | None:
    """The identity that a ``user`` and a ``group``, each a name, a number or None, stand for.

    * Neither: None, the child runs as we do.
    * A user takes its primary group unless a group is given, and the supplementary groups it is a member
      of in either case.
    * A number that /etc/passwd does not have is taken as it is, without supplementary groups. Its primary
      group is ours, which for a daemon that runs as root is the group 0 that Docker gives to ``USER 1000``.
    * A group alone: our own user with that primary group and our user's supplementary groups.

    Raises SpawnError for a name that does not exist and for a number that cannot be one: nothing falls
    back to root.
    """
    if user is None and group is None:
        return None
    uid, gid, name, home = _user(user)
    if group is not None:
        gid = _group(group)
    groups = tuple(os.getgrouplist(name, gid)) if name is not None else (gid,)
    return Identity(uid, gid, groups, name, home)


def differs(identity: Identity) -> bool:
    """Whether a child has to change user or groups to become that identity.

    Supplementary groups count for root alone. A daemon that is not root already runs as the only user it
    can offer, and the runtime chose its groups (``fsGroup`` of Kubernetes): its children keep them.
    """
    if (identity.uid, identity.gid) != (os.geteuid(), os.getegid()):
        return True
    return os.geteuid() == 0 and set(identity.groups) != {os.getegid(), *os.getgroups()}


def may_switch() -> bool:
    """Whether this process may start a child as another user at all: only root may."""
    return os.geteuid() == 0


def _user(user: str | None) -> tuple[int, int, str | None, str | None]:
    import pwd

    if user is None or _is_number(user):
        uid = os.geteuid() if user is None else _number("user", user)
        try:
            entry = pwd.getpwuid(uid)
        except KeyError:
            return uid, os.getegid(), None, None if user is None else _HOME_WITHOUT_ENTRY
        # A group alone leaves everything else of ours as it is, also a primary group that is not the entry's.
        gid = os.getegid() if user is None else entry.pw_gid
        return uid, gid, entry.pw_name, entry.pw_dir
    try:
        entry = pwd.getpwnam(user)
    except (KeyError, ValueError):  # ValueError: a NUL byte, or no bytes at all for a character
        raise SpawnError(f"user {user!r} does not exist: add it to /etc/passwd or give a number") from None
    return entry.pw_uid, entry.pw_gid, entry.pw_name, entry.pw_dir


def _group(group: str) -> int:
    import grp

    if _is_number(group):
        return _number("group", group)
    try:
        return grp.getgrnam(group).gr_gid
    except (KeyError, ValueError):
        raise SpawnError(f"group {group!r} does not exist: add it to /etc/group or give a number") from None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _number(what: str, text: str) -> int:
    if len(text) > 10 or int(text) > _LARGEST_ID:
        raise SpawnError(f"{what} {text[:20]} is too large: the largest number is {_LARGEST_ID}")
    return int(text)
