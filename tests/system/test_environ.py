from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from cbox_init.system.environ import read_variable

from .helpers import ENV, as_root, become_nobody, isolated, make_request, run_program

if TYPE_CHECKING:
    from cbox_init.system.spawn import Spawner


@pytest.mark.parametrize(
    ("env", "value"),
    [
        ({"ID": "web-0"}, "web-0"),
        ({"A": "1", "ID": "web-0", "B": "2"}, "web-0"),
        ({"A": "1", "ID": ""}, ""),
        ({"ID": "a=b ü"}, "a=b ü"),
        ({"XID": "no", "IDX": "no", "A": "ID=no"}, None),
        ({"XID": "no", "A": "\nID=no", "ID": "yes"}, "yes"),
        ({}, None),
    ],
)
def test_the_value_of_a_variable(spawner: Spawner, env: dict[str, str], value: str | None) -> None:
    pid = spawner.spawn(make_request("/bin/sleep", "100", env=env))
    assert read_variable(pid, "ID") == value
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert read_variable(pid, "ID") is None
    os.waitpid(pid, 0)
    assert read_variable(pid, "ID") is None


def test_a_process_in_the_middle_of_exec_has_its_environment(spawner: Spawner) -> None:
    for _ in range(100):
        pid = spawner.spawn(make_request("/bin/sleep", "100", env={"ID": "web-0"}))
        assert read_variable(pid, "ID") == "web-0"
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@as_root
def test_what_we_may_not_see_is_not_there(spawner: Spawner) -> None:
    pid = spawner.spawn(make_request("sleep", "100", env={**ENV, "ID": "web-0"}))

    def test() -> None:
        become_nobody()
        assert read_variable(pid, "ID") is None

    isolated(test)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


@as_root
def test_root_in_a_container_sees_the_children_of_other_users() -> None:
    # What a container's root does not have unless it is given.
    prefix = ("setpriv", "--bounding-set", "-sys_ptrace,-sys_admin,-perfmon")
    assert run_program("peek.py", prefix=prefix) == "denied\nweb-0\nuid 0 gid 0, dumpable 1\n"
