"""processes.NAME.limits, with real children under a supervisor."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cbox_init.core.states import State
from cbox_init.system.cgroup import Cgroups, find_parent
from tests.supervisor.house import OBEDIENT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.supervisor.house import Build, House

TELL = "echo $(ulimit -n) $(ulimit -Hn) $(nice) $(cat /proc/self/oom_score_adj)"


#: For tests of cgroups: the workers that run tests at the same time have theirs below one parent.
OWN = f"web{os.getpid()}"


def web(script: str, limits: Mapping[str, object] | None, name: str = "web", **keys: object) -> str:
    process = {"command": ["sh", "-c", script], "limits": limits, "restart_delay": 0.05, **keys}
    return json.dumps({"processes": {name: process}})


def records(house: House, message: str) -> list[dict[str, object]]:
    return [record for record in map(json.loads, house.log_text().splitlines()) if record["msg"] == message]


async def test_instances_and_what_they_start_have_them(build: Build) -> None:
    limits = {"nofile": {"soft": 90, "hard": 100}, "nice": 4, "oom_score_adj": 70, "core": 0}
    house = build(web(f"{TELL}; sh -c '{TELL}' & wait; exec sleep 1000", limits, scale=3))
    await house.until_said("web", "90 100 4 70", times=6)


async def test_a_crash_and_a_stop_are_as_without(build: Build) -> None:
    house = build(web(OBEDIENT, {"nofile": 100}))
    await house.until_said("web", "ready")
    house.kill("web")
    await house.until_restarted("web", 1)
    await house.until_said("web", "ready", times=2)
    house.supervisor.stop("web")
    await house.until_state("web", State.STOPPED)
    assert house.lines("web")[-1] == "bye"


async def test_the_process_that_starts_them_is_no_orphan(build: Build) -> None:
    house = build(web("echo on; exec sleep 1000", {"nofile": 100}))
    await house.until_said("web", "on")
    server = house.runtime.spawner._fork_server
    assert server
    assert house.runtime.orphans() == []
    house.supervisor.shutdown("test")
    assert await house.ended() == 0
    assert not server.ended


async def test_many_at_once(build: Build) -> None:
    house = build(web("ulimit -n; exec sleep 1000", {"nofile": 77}, scale=60))
    await house.until_said("web", "77", times=60)
    assert len(set(house.pids("web"))) == 60
    house.supervisor.stop("web")
    await house.until_state("web", State.STOPPED)


async def test_a_limit_that_is_refused_fails_the_start_with_its_key(build: Build) -> None:
    house = build(web("exec sleep 1000", {"nofile": 2_000_000_000}, max_restarts=1))
    assert await house.ended() == 1
    reason = house.instance("web").reason
    assert reason and reason.startswith(
        "gave up after 1 restart: processes.web.limits.nofile cannot be set: "
    )
    assert len(records(house, "Process instance could not be started")) == 2


async def test_a_run_of_a_schedule_has_them(build: Build) -> None:
    house = build(web("ulimit -n", {"nofile": 88}, schedule="0 3 * * *"))
    house.supervisor.trigger("web")
    await house.until_said("web", "88")


async def test_other_limits_by_reload_are_those_of_new_instances(build: Build) -> None:
    script = "ulimit -n; exec sleep 1000"
    house = build(web(script, {"nofile": 100}))
    await house.until_said("web", "100")
    (before,) = house.pids("web")
    for limits, said in (({"nofile": 99}, "99"), (None, str(os.sysconf("SC_OPEN_MAX")))):
        house.file.write_text(web(script, limits))
        plan = (await house.parts.configuration.reload()).plan
        assert plan.changed == ("web",)
        await house.until_said("web", said)
    assert house.pids("web") != [before]


async def test_without_a_cgroup_they_are_left_out_and_said_once(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = build(
        web("ulimit -n; exec sleep 1000", {"memory": "64MiB", "cpu": 0.5, "nofile": 70}), start=False
    )
    monkeypatch.setattr(house.runtime, "_cgroups", Cgroups("/nonexistent"))
    house.supervisor.start_all()
    await house.until_said("web", "70")
    house.kill("web")
    await house.until_said("web", "70", times=2)
    assert [(record["process"], record["error"]) for record in records(house, "Limit is not applied")] == [
        ("web", "processes.web.limits.memory: the kernel has no cgroup v2"),
        ("web", "processes.web.limits.cpu: the kernel has no cgroup v2"),
    ]


async def test_with_nothing_to_set_they_are_started_as_without(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = build(web("echo on; exec sleep 1000", {"memory": "64MiB"}), start=False)
    monkeypatch.setattr(house.runtime, "_cgroups", Cgroups("/nonexistent"))
    house.supervisor.start_all()
    await house.until_said("web", "on")
    assert house.runtime.spawner._fork_server is None


@pytest.mark.cgroup
async def test_a_kill_by_the_kernel_is_the_reason(build: Build) -> None:
    script = "[ -e $DIR/fat ] && exec sleep 1000; touch $DIR/fat; tail /dev/zero"
    house = build(web(script, {"memory": "16MiB"}, OWN))
    await house.until_restarted(OWN, 1)
    (record,) = records(house, "Process instance exited with error")
    assert record["error"] == (
        f"exit code 137: the kernel killed it for its memory, above processes.{OWN}.limits.memory"
    )
    assert house.instance(OWN).restart_causes == {"memory_limit": 1}


@pytest.mark.cgroup
async def test_each_instance_has_a_cgroup_until_it_is_gone(build: Build) -> None:
    house = build(
        web("cat /proc/self/cgroup; exec sleep 1000", {"cpu": 0.25, "memory": "64MiB"}, OWN, scale=2)
    )
    await house.until(lambda: len(house.lines(OWN)) == 2)
    own = [line.rpartition(":")[2] for line in house.lines(OWN)]
    assert sorted(os.path.basename(path) for path in own) == [f"{OWN}-0", f"{OWN}-1"]
    base = Path(find_parent().path)
    assert (base / f"{OWN}-1/cpu.max").read_text() == "25000 100000\n"
    assert (base / f"{OWN}-1/memory.max").read_text() == f"{64 << 20}\n"
    house.supervisor.stop(OWN)
    await house.until_state(OWN, State.STOPPED)
    assert not [name for name in os.listdir(base) if name.startswith(f"{OWN}-")]
