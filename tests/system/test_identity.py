from __future__ import annotations

import os
import pwd
import subprocess

import pytest

from cbox_init.errors import SpawnError
from cbox_init.system.identity import Identity, differs, may_switch, resolve

from .helpers import NOBODY, as_root, become_nobody, isolated

UNKNOWN = 54321


def test_neither_user_nor_group() -> None:
    assert resolve(None, None) is None


@pytest.mark.parametrize("user", [entry.pw_name for entry in pwd.getpwall()])
def test_a_user_takes_the_groups_that_id_tells(user: str) -> None:
    identity = resolve(user, None)
    assert identity is not None
    entry = pwd.getpwnam(user)
    assert (identity.uid, identity.gid) == (entry.pw_uid, entry.pw_gid)
    assert (identity.name, identity.home) == (user, entry.pw_dir)
    told = subprocess.run(["id", "-G", user], capture_output=True, check=True).stdout.split()
    assert set(identity.groups) == set(map(int, told))
    assert resolve(str(entry.pw_uid), None) == identity


def test_a_group_replaces_the_primary_group() -> None:
    assert resolve("nobody", "daemon") == resolve("65534", "1")
    identity = resolve("nobody", "daemon")
    assert identity is not None
    assert identity.gid == 1
    assert 1 in identity.groups


@pytest.mark.parametrize("group", [None, "7777"])
def test_a_number_that_nobody_has(group: str | None) -> None:
    gid = os.getegid() if group is None else 7777
    assert resolve(str(UNKNOWN), group) == Identity(UNKNOWN, gid, (gid,), None, "/")


def test_a_group_alone_keeps_the_user() -> None:
    identity = resolve(None, "daemon")
    assert identity is not None
    assert (identity.uid, identity.gid) == (os.geteuid(), 1)


@pytest.mark.parametrize("name", ["no-such", "", "-1", "0x10", "ro\0ot", "\ud800", "\uff11"])
def test_an_unknown_name_is_an_error(name: str) -> None:
    for user, group, what in ((name, None, "user"), ("nobody", name, "group")):
        with pytest.raises(SpawnError, match=f"^{what} .* does not exist: add it to /etc/") as caught:
            resolve(user, group)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("number", ["4294967295", "99999999999", "9" * 5000])
def test_a_number_out_of_range_is_an_error(number: str) -> None:
    for user, group in ((number, None), (None, number)):
        with pytest.raises(SpawnError, match="is too large: the largest number is 4294967294"):
            resolve(user, group)


@as_root
def test_what_differs_for_root() -> None:
    groups = (os.getegid(), *os.getgroups())
    assert not differs(Identity(0, os.getegid(), groups, None, None))
    assert differs(Identity(0, os.getegid(), (*groups, 4), None, None))
    assert differs(Identity(NOBODY, os.getegid(), groups, None, None))
    assert may_switch()


@as_root
def test_what_differs_for_another() -> None:
    def test() -> None:
        become_nobody()
        assert not differs(Identity(NOBODY, NOBODY, (NOBODY, 4), None, None))
        assert differs(Identity(NOBODY, 4, (4,), None, None))
        assert not may_switch()
        own = resolve(str(UNKNOWN), None)
        assert own is not None
        assert own.gid == NOBODY

    isolated(test)
