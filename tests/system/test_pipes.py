from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cbox_init.system.descriptors import output_pipe
from cbox_init.system.identity import Identity

from .helpers import NOBODY, as_root, run

if TYPE_CHECKING:
    from cbox_init.system.spawn import Spawner

SOMEBODY = Identity(NOBODY, NOBODY, (NOBODY,), "nobody", None)
REOPEN = "echo out > /dev/stdout; echo err > /dev/stderr"


def test_ends() -> None:
    read_fd, write_fd = output_pipe(None)
    assert not os.get_inheritable(read_fd)
    assert not os.get_inheritable(write_fd)
    assert not os.get_blocking(read_fd)
    assert os.get_blocking(write_fd)
    os.write(write_fd, b"x")
    assert os.read(read_fd, 10) == b"x"
    with pytest.raises(BlockingIOError):
        os.read(read_fd, 10)
    os.close(write_fd)
    assert os.read(read_fd, 10) == b""
    os.close(read_fd)


def test_a_child_opens_its_outputs_anew(spawner: Spawner) -> None:
    assert run(spawner, "sh", "-c", REOPEN) == "out\nerr\n"


@as_root
def test_a_child_of_another_user_opens_its_outputs_anew(spawner: Spawner) -> None:
    assert run(spawner, "sh", "-c", "id -u; " + REOPEN, identity=SOMEBODY) == "65534\nout\nerr\n"


@as_root
def test_a_child_that_has_become_another_user_opens_its_outputs_again(spawner: Spawner) -> None:
    become = ("setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups")
    assert run(spawner, *become, "sh", "-c", "id -u; " + REOPEN) == "65534\nout\nerr\n"
