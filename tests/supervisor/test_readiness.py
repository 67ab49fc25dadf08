"""The readiness of the container: what counts, and the file."""

from __future__ import annotations

import os
import stat
import threading
import time
from typing import TYPE_CHECKING

import pytest

from cbox_init.core.states import State
from cbox_init.safe_paths import locate
from cbox_init.supervisor.lifecycle import readiness, readiness_file, shutdown
from cbox_init.supervisor.lifecycle.readiness_file import ReadinessFile
from cbox_init.threads import NoThreadError, start_thread
from tests.attacker import NOBODY, Swapper, untouched
from tests.supervisor.house import DEADLINE_S
from tests.system.helpers import as_root

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cbox_init.safe_paths.place import Place
    from cbox_init.supervisor.lifecycle.readiness import Report
    from tests.supervisor.house import Build, House

WEB = "web: {command: [sleep, '1000']}"
CRASH = "crash: {command: ['false'], restart_delay: 1000s}"


def config(processes: str, keys: str = "", settings: str = "") -> str:
    return (
        f"global: {{{settings} readiness: {{enabled: true, path: $DIR/ready, {keys}}}}}\n"
        f"processes: {{{processes}}}\n"
    ).replace("$DIR/ready", "${DIR}/ready")


def file(house: House) -> Path:
    return house.log_file.parent / "ready"


def report(house: House) -> Report:
    assert house.supervisor.lifecycle.readiness
    return house.supervisor.lifecycle.readiness.report()


def settled(house: House) -> bool:
    """Whether the thread that writes and removes the file is done."""
    assert house.supervisor.lifecycle.readiness
    return house.supervisor.lifecycle.readiness.file_settled


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The start and the shutdown wait for the removal as long as a busy machine may need."""
    monkeypatch.setattr(readiness, "_START_WAITS_S", DEADLINE_S)
    monkeypatch.setattr(readiness, "_SHUTDOWN_WAITS_S", DEADLINE_S)


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("mode", ["all_running", "all_healthy"])
async def test_the_file_is_there_while_all_run(build: Build, mode: str) -> None:
    house = build(config(WEB, f"mode: {mode}"))
    assert not file(house).exists()
    await house.until(file(house).exists)
    first, second = file(house).read_text().splitlines()
    assert first == "ready"
    assert abs(int(second.removeprefix("timestamp=")) - time.time()) < 60
    assert stat.S_IMODE(os.stat(file(house)).st_mode) == 0o644
    house.supervisor.stop("web")
    await house.until(lambda: not file(house).exists())
    house.supervisor.start("web")
    await house.until(file(house).exists)
    house.supervisor.shutdown("test")
    assert not file(house).exists()  # at once
    await house.ended()
    assert not file(house).exists()
    assert os.listdir(file(house).parent).count("ready") == 0


async def test_the_mode_does_not_depend_on_the_umask_and_links_are_not_followed(build: Build) -> None:
    before = os.umask(0o077)
    try:
        house = build(config(WEB), start=False)
        victim = file(house).parent / "victim"
        victim.write_text("mine")
        file(house).symlink_to(victim)
        house.supervisor.start_all()
        await house.until(lambda: file(house).exists() and not file(house).is_symlink())
    finally:
        os.umask(before)
    assert victim.read_text() == "mine"
    assert stat.S_IMODE(os.stat(file(house)).st_mode) == 0o644


@pytest.mark.usefixtures("patient")
async def test_a_stale_file_is_removed_at_start(build: Build, tmp_path: Path) -> None:
    stale = tmp_path / "stale"
    stale.write_text("ready\n")
    text = config("web: {command: ['false'], restart_delay: 1000s}").replace("${DIR}/ready", str(stale))
    build(text, start=False)
    assert not stale.exists()


async def test_content(build: Build) -> None:
    house = build(config(WEB, 'content: "up, all of it"'))
    await house.until(file(house).exists)
    assert file(house).read_text() == "up, all of it"


async def test_no_file(build: Build) -> None:
    house = build(config(WEB).replace("${DIR}/ready", '""'))
    await house.until(lambda: report(house).ready)
    await house.until(lambda: "Container is ready" in house.messages())
    house.supervisor.shutdown("test")
    assert not report(house).ready


async def test_a_file_that_cannot_be_written_is_said_and_nothing_else(build: Build) -> None:
    house = build(config(WEB).replace("${DIR}/ready", "/no/such/folder/ready"))
    await house.until(lambda: report(house).ready)
    await house.until(
        lambda: (
            "The readiness file cannot be written: choose another global.readiness.path" in house.messages()
        )
    )
    assert house.state("web") is State.RUNNING


@pytest.mark.usefixtures("patient")
async def test_a_file_that_could_not_be_written_is_written_when_that_is_possible(
    build: Build, tmp_path: Path
) -> None:
    folder = tmp_path / "later"
    house = build(config(WEB).replace("${DIR}/ready", f"{folder}/ready"))
    said = "The readiness file cannot be written: choose another global.readiness.path"
    await house.until(lambda: said in house.messages())
    folder.mkdir()
    await house.until(lambda: os.listdir(folder) == ["ready"])
    assert house.messages().count(said) == 1
    house.supervisor.shutdown("test")
    assert os.listdir(folder) == []


@as_root
async def test_a_folder_that_is_a_link_of_another_user_is_refused_until_it_is_one(
    build: Build, theirs: Path, public_path: Path
) -> None:
    ours = public_path / "ours"
    ours.mkdir()
    (ours / "ready").write_text("root's\n")
    (theirs / "run").symlink_to(ours)
    os.lchown(theirs / "run", NOBODY, NOBODY)
    house = build(config(WEB).replace("${DIR}/ready", f"{theirs}/run/ready"))
    said = "The readiness file cannot be removed"  # as an earlier daemon may have left it
    await house.until(lambda: said in house.messages())
    assert "uid 65534 made this link" in house.log_file.read_text()
    await house.until(lambda: house.state("web") is State.RUNNING)
    assert (ours / "ready").read_text() == "root's\n"
    written = "The readiness file cannot be written: choose another global.readiness.path"
    await house.until(lambda: written in house.messages())
    assert (house.messages().count(said), house.messages().count(written)) == (1, 1)
    (theirs / "run").unlink()
    (theirs / "run").mkdir()
    await house.until((theirs / "run" / "ready").exists)
    house.supervisor.shutdown("test")
    assert os.listdir(ours) == ["ready"]


@as_root
async def test_links_beside_the_file_are_not_followed(build: Build, theirs: Path, secret: Path) -> None:
    for name in ("ready", f"ready.{os.getpid()}"):
        (theirs / name).symlink_to(secret)
        os.lchown(theirs / name, NOBODY, NOBODY)
    house = build(config(WEB).replace("${DIR}/ready", f"{theirs}/ready"))
    await house.until(lambda: os.listdir(theirs) == ["ready"] and not (theirs / "ready").is_symlink())
    assert (theirs / "ready").read_text().startswith("ready\n")
    assert untouched(secret)


class Stalled:
    """A file system that does not answer: `locate` waits until ``answer``. It was called ``calls`` times."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers = threading.Event()
        self.calls = 0
        monkeypatch.setattr(readiness_file, "locate", self)

    def __call__(self, path: str, *, last_link: bool) -> Place:
        self.calls += 1
        assert self.answers.wait(DEADLINE_S)
        return locate(path, last_link=last_link)


async def test_a_file_system_that_does_not_answer_holds_up_nothing_and_the_last_state_wins(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness_file, "_OVERDUE_S", 0.1)
    monkeypatch.setattr(readiness_file, "_AGAIN_S", 0.05)
    house = build(config(WEB), start=False)
    stalled = Stalled(monkeypatch)
    house.supervisor.start_all()
    await house.until(lambda: report(house).ready and stalled.calls == 1)
    await house.until(lambda: "The readiness file is overdue" in house.messages())
    house.supervisor.stop("web")
    await house.until_state("web", State.STOPPED)
    assert not report(house).ready
    assert stalled.calls == 1  # what would remove the file waits for what writes it
    stalled.answers.set()
    await house.until(lambda: stalled.calls == 2)
    await house.until(lambda: settled(house))
    assert not file(house).exists()
    house.supervisor.start("web")
    await house.until(file(house).exists)
    assert house.messages().count("The readiness file is overdue") == 1


@pytest.mark.parametrize("comes_back", [True, False])
async def test_the_shutdown_waits_for_the_removal_but_not_for_ever(
    build: Build, monkeypatch: pytest.MonkeyPatch, comes_back: bool
) -> None:
    if not comes_back:
        monkeypatch.setattr(shutdown, "_WITHDRAWAL_TAKES_S", 0.2)
    house = build(config(WEB))
    await house.until(file(house).exists)
    stalled = Stalled(monkeypatch)
    began = time.monotonic()
    house.supervisor.shutdown("test")
    assert time.monotonic() - began < DEADLINE_S / 2
    await house.until(lambda: stalled.calls == 1)
    if comes_back:
        assert house.pids("web")
        stalled.answers.set()
        await house.until(lambda: not file(house).exists())
    await house.ended()
    assert not comes_back or not file(house).exists()
    stalled.answers.set()


async def test_without_a_thread_the_removal_is_tried_again(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness_file, "_AGAIN_S", 0.02)
    house = build(config(WEB))
    await house.until(file(house).exists)
    refused: list[str] = []

    def refuse(work: Callable[[], object], *, name: str, failed: Callable[[Exception], object]) -> None:
        refused.append(name)
        if len(refused) > 2:
            start_thread(work, name=name, failed=failed)
        else:
            raise NoThreadError(name)

    monkeypatch.setattr(readiness_file, "start_thread", refuse)
    house.supervisor.shutdown("test")
    await house.until(lambda: not file(house).exists())
    assert len(refused) == 3
    await house.ended()


async def test_the_file_of_an_earlier_daemon_does_not_hold_up_the_start_for_long(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "_START_WAITS_S", 0.05)
    stalled = Stalled(monkeypatch)
    house = build(config(WEB), start=False)
    await house.until(lambda: stalled.calls == 1)
    stalled.answers.set()


@as_root
async def test_its_folder_is_swapped_all_the_time(build: Build, theirs: Path, public_path: Path) -> None:
    ours = public_path / "ours"
    ours.mkdir()
    (ours / "ready").write_text("root's\n")
    house = build(config(WEB).replace("${DIR}/ready", f"{theirs}/run/ready"))
    await house.until(lambda: report(house).ready)
    kept = ReadinessFile(f"{theirs}/run/ready", None, runtime=house.parts.runtime, on_settled=int)
    with Swapper(theirs / "run", ours, directory=True) as swapper:
        while swapper.turns < 1000:
            swapper.check()
            for ready in (True, False):
                kept.keep(ready=ready)
                kept.wait(DEADLINE_S)
                assert kept.settled
    assert (ours / "ready").read_text() == "root's\n"
    assert os.listdir(ours) == ["ready"]


async def test_what_counts(build: Build) -> None:
    house = build(
        config(
            f"{WEB}, job: {{type: oneshot, command: ['false'], restart: never}}, "
            "off: {command: [sleep, 1000], initial_state: stopped}, none: {command: sleep 9999, scale: never}"
        )
    )
    await house.until(lambda: report(house).ready)
    assert [entry.name for entry in report(house).processes] == ["web"]


async def test_named_processes_alone_count(build: Build) -> None:
    job = "job: {type: oneshot, command: ['true']}"
    house = build(config(f"{WEB}, {CRASH}, {job}", "processes: [web, job]"))
    await house.until(lambda: report(house).ready)


async def test_who_is_not_ready_is_said(build: Build) -> None:
    house = build(config(f"{WEB}, {CRASH}", "processes: [web, crash]"))
    await house.until_state("web", State.RUNNING)
    await house.until_state("crash", State.STARTING)
    assert not report(house).ready
    assert [(one.name, one.state, one.health) for one in report(house).processes] == [
        ("web", State.RUNNING, "healthy"),
        ("crash", State.STARTING, "unhealthy"),
    ]
    # Both may have run for a moment; then a thread has written the file, and removes it.
    await house.until(lambda: settled(house) and not file(house).exists())


@pytest.mark.parametrize("mode", ["all_running", "all_healthy"])
async def test_one_of_two_instances_is_not_enough(build: Build, mode: str) -> None:
    script = "[ $CBOX_INIT_INSTANCE_INDEX = 0 ] || exit 1; exec sleep 1000"
    web = f"web: {{command: [sh, -c, '{script}'], scale: 2, restart_delay: 1000s}}"
    house = build(config(web, f"mode: {mode}"))
    await house.until(lambda: house.instance("web", 1).next_restart_at)
    assert house.state("web") is State.RUNNING
    assert not report(house).ready
