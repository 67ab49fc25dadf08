"""What children inherit although the daemon has something else."""

from __future__ import annotations

import os
import resource
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from cbox_init.errors import SpawnError
from cbox_init.system.identity import resolve
from cbox_init.system.inherited import OOM_SCORE_ADJ, Inherited
from cbox_init.system.reaper import become_subreaper
from cbox_init.system.spawn import Spawner
from cbox_init.system.spawn_request import Limits
from tests.system.helpers import as_root, isolated, make_request, run

TELL = "echo $(ulimit -Sn) $(ulimit -Hn) $(cat /proc/self/oom_score_adj)"
SOFT, HARD = 100, 1000


def _own_oom() -> int:
    return int(Path("/proc/self/oom_score_adj").read_text())


def _spawner() -> Spawner:
    """One whose limit of open files was raised; in a process of its own."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (SOFT, HARD))
    spawner = Spawner()
    spawner.inherited = Inherited()
    assert spawner.inherited.problems == []
    return spawner


def test_the_daemon_has_more_and_is_killed_later() -> None:
    def test() -> None:
        before = _own_oom()
        spawner = _spawner()
        told = f"{SOFT} {HARD} {min(before + OOM_SCORE_ADJ, 1000)}\n"
        for _ in range(3):
            assert run(spawner, "sh", "-c", TELL) == told
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (HARD, HARD)
        assert _own_oom() == before
        spawner.close()

    isolated(test)


@as_root
def test_another_user_gets_the_same() -> None:
    def test() -> None:
        before = _own_oom()
        told = run(_spawner(), "sh", "-c", TELL, identity=resolve("nobody", None))
        assert told == f"{SOFT} {HARD} {min(before + OOM_SCORE_ADJ, 1000)}\n"

    isolated(test)


def test_also_with_more_descriptors_than_a_child_may_have() -> None:
    def test() -> None:
        spawner = _spawner()
        with ExitStack() as files:
            opened = [files.enter_context(open(os.devnull)) for _ in range(3 * SOFT)]
            assert opened[-1].fileno() > 2 * SOFT
            for _ in range(3):
                assert run(spawner, "sh", "-c", "ulimit -Sn") == f"{SOFT}\n"

    isolated(test)


def test_a_failed_start_leaves_the_daemon_as_it_was() -> None:
    def test() -> None:
        before, spawner = _own_oom(), _spawner()
        with pytest.raises(SpawnError):
            spawner.spawn(make_request("/no/such/program"))
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (HARD, HARD)
        assert _own_oom() == before

    isolated(test)


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ({"nice": 1}, (SOFT, HARD, OOM_SCORE_ADJ)),
        ({"oom_score_adj": 0}, (SOFT, HARD, 0)),
        ({"oom_score_adj": 7, "nofile": (50, None)}, (50, HARD, 7)),
    ],
)
def test_limits_of_its_own_come_after_that(
    tmp_path: Path, limits: dict[str, Any], told: tuple[int, int, int]
) -> None:
    def test() -> None:
        assert become_subreaper()
        own, spawner, out = _own_oom(), _spawner(), tmp_path / "out"
        if "oom_score_adj" in limits:
            limits["oom_score_adj"] += own
        with out.open("wb") as file:
            request = make_request("sh", "-c", TELL, out=file.fileno())
            pid = spawner.spawn(replace(request, limits=Limits(where="x", **limits)))
        assert os.waitpid(pid, 0)[1] == 0
        assert out.read_text() == "{} {} {}\n".format(*told[:2], own + told[2])
        spawner.close()

    isolated(test)
