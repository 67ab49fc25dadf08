"""What instances use is sampled, and the samples are kept: with real children."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from cbox_init.supervisor import resources, runtime
from cbox_init.system import procfs
from cbox_init.system.tree import TreeUsage
from cbox_init.system.usage import UsageWalk
from cbox_init.threads import NoThreadError

if TYPE_CHECKING:
    from pathlib import Path

    from cbox_init.supervisor.resources import Latest, ResourceSampler
    from cbox_init.system.usage import InstanceUsage
    from tests.supervisor.house import Build, House

FAST = "global: {resource_metrics_enabled: true, resource_metrics_interval: 100ms}\n"
WEB = "processes: {web: {command: [sleep, '1000'], scale: 2, restart_delay: 0}}"


def sampler(house: House) -> ResourceSampler:
    found = house.supervisor.resources
    assert found is not None
    return found


def count(house: House, instance: str, process: str = "web") -> int:
    ring = sampler(house).history.ring(process, instance)
    return 0 if ring is None else len(ring)


async def until_sampled(house: House, instance: str, times: int, process: str = "web") -> None:
    await house.until(lambda: count(house, instance, process) >= times)


async def reload(house: House, text: str) -> None:
    house.file.write_text(text)
    await house.parts.configuration.reload()


async def test_every_instance_is_sampled(build: Build) -> None:
    house = build(FAST + WEB)
    house.supervisor.start_all()
    for instance in ("web-0", "web-1"):
        await until_sampled(house, instance, 3)
    ring = sampler(house).history.ring("web", "web-0")
    assert ring is not None

    def latest_of_web() -> Latest | None:
        found = sampler(house).latest("web-0", house.pids("web")[0])
        return found if found is not None and found.sample.memory_rss_bytes else None

    await house.until(latest_of_web)  # in the moment of its exec it has no memory
    latest = latest_of_web()
    assert latest is not None
    assert latest.sample.threads == latest.sample.tree_processes == 1
    assert latest.sample.tree_memory_rss_bytes == latest.sample.memory_rss_bytes
    times = list(ring.since(0).times)
    assert times == sorted(times)
    assert sampler(house).latest("web-1", house.pids("web")[0]) is None
    assert sampler(house).latest("web-0", None) is None


async def test_without_the_key_nothing_is_sampled(build: Build) -> None:
    house = build(WEB)
    house.supervisor.start_all()
    await house.until(lambda: len(house.pids("web")) == 2)
    assert house.supervisor.resources is None


async def test_a_restart_goes_on_in_the_same_ring(build: Build) -> None:
    house = build(FAST + WEB)
    house.supervisor.start_all()
    await until_sampled(house, "web-0", 2)
    ring = sampler(house).history.ring("web", "web-0")
    assert ring is not None
    before = len(ring)
    house.supervisor.restart("web")
    await house.until_restarted("web", 1)
    await until_sampled(house, "web-0", before + 2)
    assert sampler(house).history.ring("web", "web-0") is ring


async def test_what_is_scaled_away_is_kept_and_what_is_removed_is_dropped(build: Build) -> None:
    house = build(FAST + WEB)
    house.supervisor.start_all()
    await until_sampled(house, "web-1", 2)
    house.supervisor.scale("web", 1)
    await house.until(lambda: len(house.pids("web")) == 1)
    before = count(house, "web-0")
    await until_sampled(house, "web-0", before + 3)
    assert count(house, "web-1") >= 2
    await reload(house, FAST + "processes: {other: {command: [sleep, '1000']}}")
    await until_sampled(house, "other-0", 1, "other")
    await house.until(lambda: sampler(house).history.ring("web", "web-0") is None)
    assert [process for process, _, _ in sampler(house).history.rings()] == ["other"]


async def test_a_reload_keeps_the_samples_and_changes_the_settings(build: Build) -> None:
    house = build(FAST + WEB)
    house.supervisor.start_all()
    await until_sampled(house, "web-0", 5)
    first = sampler(house)
    fewer = FAST.replace("interval: 100ms", "interval: 1h, resource_metrics_max_samples: 3")
    await reload(house, fewer + WEB)
    assert sampler(house) is first and count(house, "web-0") == 3
    await reload(house, FAST + WEB)
    await until_sampled(house, "web-0", 6)
    await reload(house, WEB)
    assert house.supervisor.resources is None
    await reload(house, FAST + WEB)
    await until_sampled(house, "web-0", 1)
    assert sampler(house) is not first


async def test_runs_of_a_schedule_are_sampled(build: Build) -> None:
    house = build(FAST + "processes: {job: {command: [sleep, '1000'], schedule: '0 0 1 1 *'}}")
    house.supervisor.start_all()
    house.supervisor.trigger("job")
    await until_sampled(house, "job-run-1", 2, "job")


async def test_others_use_what_was_just_sampled(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    house = build(FAST + WEB)
    house.supervisor.start_all()
    await until_sampled(house, "web-0", 1)
    await until_sampled(house, "web-1", 1)
    pid = house.pids("web")[0]
    measured: list[int] = []

    def tree_usage(pid: int, *_: object) -> TreeUsage:
        measured.append(pid)
        return TreeUsage(0.0, 0)

    monkeypatch.setattr(runtime, "tree_usage", tree_usage)
    usage = house.runtime.usage(1000.0)
    usage("web-0", pid)
    assert measured == []
    usage("web-1", pid)
    house.runtime.usage(0.0)("web-0", pid)
    house.runtime.usage(1e-9)("web-0", pid)
    assert measured == [pid] * 3, "another instance's, and what is too old, does not count"


def test_the_memory_of_a_cgroup(tmp_path: Path) -> None:
    assert resources._cgroup_memory(None) is None
    assert resources._cgroup_memory(str(tmp_path)) is None
    (tmp_path / "memory.current").write_text("4096000\n")
    assert resources._cgroup_memory(str(tmp_path)) == 4096000


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EMFILE, "Too many open files"),
        PermissionError(errno.EACCES, "Permission denied"),
        ProcessLookupError(errno.ESRCH, "No such process"),
        RuntimeError("a defect"),
    ],
)
async def test_a_sample_that_fails_concerns_one_instance(
    build: Build, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    house = build(FAST + WEB)
    house.expects_defects = True
    house.supervisor.start_all()
    await house.until(lambda: len(house.pids("web")) == 2)
    bad = house.pids("web")[0]
    go_on = UsageWalk.go_on

    def fail(walk: UsageWalk, stop_at: float) -> InstanceUsage | None:
        if walk._main_pid == bad:
            raise error
        return go_on(walk, stop_at)

    with monkeypatch.context() as patched:
        patched.setattr(UsageWalk, "go_on", fail)
        await house.until(lambda: sampler(house).errors("web", "web-0") >= 2)
        before = count(house, "web-1")
        await until_sampled(house, "web-1", before + 2)
    before = count(house, "web-0")
    await until_sampled(house, "web-0", before + 1)
    assert sampler(house).errors("web", "web-1") == 0
    logged = house.messages().count("What an instance uses could not be read")
    assert logged == (type(error) in (OSError, PermissionError)), "once in a while"


async def test_a_proc_of_another_namespace_is_an_error_of_each(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(procfs, "is_ours", lambda: False)
    house = build(FAST + WEB)
    house.supervisor.start_all()
    await house.until(lambda: sampler(house).errors("web", "web-1") >= 1)
    assert count(house, "web-0") == 0


async def test_many_are_sampled_a_few_at_a_time(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow it is, no turn samples more than the slice allows."""
    monkeypatch.setattr(resources, "_SLICE_S", 0.0)
    monkeypatch.setattr(resources, "_PAUSE_S", 0.0)
    house = build(FAST + WEB.replace("scale: 2", "scale: 20"))
    house.supervisor.start_all()
    await house.until(lambda: len(house.pids("web")) == 20)
    await until_sampled(house, "web-19", 1)
    at_once: list[int] = []
    reconcile = sampler(house).reconcile

    def counted(stop_at: float) -> float | None:
        before = sum(len(ring) for _, _, ring in sampler(house).history.rings())
        try:
            return reconcile(stop_at)
        finally:
            after = sum(len(ring) for _, _, ring in sampler(house).history.rings())
            at_once.append(after - before)

    monkeypatch.setattr(sampler(house), "reconcile", counted)
    before = count(house, "web-19")
    await until_sampled(house, "web-19", before + 2)
    assert max(at_once) == 1


async def test_proportional_memory_is_measured_beside(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "PSS_EVERY_S", 0.0)
    house = build(FAST + WEB)
    house.supervisor.start_all()
    await until_sampled(house, "web-0", 2)

    def pss() -> int | None:
        latest = sampler(house).latest("web-0", house.pids("web")[0])
        return None if latest is None else latest.sample.tree_memory_pss_bytes

    assert pss() is None
    more = FAST.replace("100ms", "100ms, resource_metrics_pss: true")
    await reload(house, more + WEB)
    await house.until(lambda: pss())

    def fail(*_: object) -> int:
        raise RuntimeError("a defect")

    with monkeypatch.context() as patched:
        patched.setattr(resources, "proportional_bytes", fail)
        await house.until(lambda: "What an instance uses could not be read" in house.messages())
    before = count(house, "web-0")
    await until_sampled(house, "web-0", before + 2)
    await reload(house, FAST + WEB)
    await house.until(lambda: pss() is None)


async def test_proportional_memory_without_a_thread(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object, name: str) -> None:
        raise NoThreadError(name)

    monkeypatch.setattr(resources, "begin_in_thread", none)
    house = build(FAST.replace("100ms", "100ms, resource_metrics_pss: true") + WEB)
    house.supervisor.start_all()
    await until_sampled(house, "web-0", 3)
    assert house.messages().count("What an instance uses could not be read") == 1
