"""A new configuration under running children: who goes on, who is replaced, who goes."""

from __future__ import annotations

import asyncio
import errno
import os
from typing import TYPE_CHECKING

import pytest

from cbox_init.core.states import State
from cbox_init.errors import ConfigError, Conflict, NotApplied, UnknownProcess
from tests.supervisor.house import OBEDIENT, STUBBORN, WAITS, alive

if TYPE_CHECKING:
    from cbox_init.config.model import LoggingConfig
    from cbox_init.logs.process import ProcessLog
    from tests.supervisor.house import Build, House

WEB = "processes: {web: {command: [sleep, '1000'], scale: 2}"


def born(house: House) -> dict[str, list[tuple[int | None, float | None]]]:
    """Pid and start of every instance."""
    return {
        status.name: [(one.pid, one.started_at) for one in status.instances]
        for status in house.supervisor.statuses()
    }


async def reload(house: House, text: str) -> dict[str, tuple[str, ...]]:
    house.file.write_text(text)
    plan = (await house.parts.configuration.reload()).plan
    lists = {name: getattr(plan, name) for name in ("added", "changed", "adjusted", "removed", "kept")}
    return {name: names for name, names in lists.items() if names}


async def up(house: House, **counts: int) -> None:
    await house.until(lambda: all(len(house.pids(name)) == count for name, count in counts.items()))


async def test_one_change_among_fifty_touches_one(build: Build) -> None:
    def text(seconds: int) -> str:
        times = {f"p{number}": 1000 for number in range(50)} | {"p7": seconds}
        return "processes:\n" + "".join(
            f"  {name}: {{command: [sleep, '{time}']}}\n" for name, time in times.items()
        )

    house = build(text(1000))
    names = [f"p{number}" for number in range(50)]
    await up(house, **dict.fromkeys(names, 1))
    before = born(house)
    assert await reload(house, text(1001)) == {
        "changed": ("p7",),
        "kept": tuple(name for name in names if name != "p7"),
    }
    await house.until(lambda: house.instance("p7").pid not in (None, before["p7"][0][0]))
    after = born(house)
    assert {name for name in names if before[name] != after[name]} == {"p7"}
    assert not alive(before["p7"][0][0] or 0)
    assert house.instance("p7").restart_count == 1


async def test_scale_alone_restarts_nothing(build: Build) -> None:
    house = build(WEB + "}")
    await up(house, web=2)
    before = born(house)["web"]
    assert await reload(house, WEB.replace("scale: 2", "scale: 4") + "}") == {"adjusted": ("web",)}
    await up(house, web=4)
    assert born(house)["web"][:2] == before
    await reload(house, WEB.replace("scale: 2", "scale: 1") + "}")
    await up(house, web=1)
    assert born(house)["web"] == before[:1]


async def test_rules_and_limits_count_at_once_and_restart_nothing(build: Build) -> None:
    loop = "trap 'echo usr' USR1; echo on; while :; do sleep 0.05; done"
    text = f'processes: {{{{web: {{{{command: [sh, -c, "{loop}"], {{0}}}}}}}}}}'
    house = build(text.format("max_scale: 5"))
    await house.until_said("web", "on")
    before = born(house)
    changed = text.format("max_scale: 3, shutdown: {signal: USR1, timeout: 0.3}, logging: {labels: {a: b}}")
    assert await reload(house, changed) == {"adjusted": ("web",)}
    assert born(house) == before
    assert house.status("web").max_scale == 3
    house.supervisor.stop("web")
    await house.until_state("web", State.STOPPED)
    assert "usr" in house.lines("web")


async def test_a_replaced_instance_is_stopped_by_its_own_rules(build: Build) -> None:
    old = "trap 'echo usr; exit 0' USR1; trap '' TERM; echo on; while :; do sleep 0.05; done"
    house = build(f'processes: {{web: {{command: [sh, -c, "{old}"], shutdown: {{signal: USR1}}}}}}')
    await house.until_said("web", "on")
    changes = await reload(house, f'processes: {{web: {{command: [sh, -c, "{OBEDIENT}"]}}}}')
    assert changes == {"changed": ("web",)}
    await house.until_said("web", "ready")
    assert "usr" in house.lines("web")
    house.supervisor.stop("web")
    await house.until_said("web", "bye")


async def test_replacement_is_one_after_another(build: Build) -> None:
    house = build(WEB + "}")
    await up(house, web=2)
    first = set(house.pids("web"))
    await reload(house, WEB.replace("1000", "1001") + "}")
    lows = []

    def replaced() -> bool:
        pids = house.pids("web")
        lows.append(len(pids))
        return len(pids) == 2 and not first & set(pids)

    await house.until(replaced)
    assert min(lows) >= 1


async def test_removed_ones_stop_dependents_first_and_are_forgotten(build: Build) -> None:
    more = f""",
  db: {{command: [sh, -c, "{OBEDIENT}"]}},
  app: {{command: [sh, -c, "trap 'sleep 0.2; echo bye; exit 0' TERM; (echo ready; exec sleep 1000) & wait"],
         depends_on: [db]}}}}"""
    house = build(WEB + more)
    await house.until_said("app", "ready")
    before = born(house)
    assert await reload(house, WEB + "}") == {"removed": ("db", "app"), "kept": ("web",)}
    assert [status.name for status in house.supervisor.statuses()] == ["web", "db", "app"]
    with pytest.raises(Conflict, match="it is being removed"):
        house.supervisor.start("db")
    with pytest.raises(Conflict, match="it is being removed"):
        house.supervisor.scale("db", 2)
    await house.until(lambda: len(house.supervisor.statuses()) == 1)
    assert born(house) == {"web": before["web"]}
    assert not alive(before["db"][0][0] or 0)
    assert not alive(before["app"][0][0] or 0)
    removed = [m for m in house.messages() if m in ("Process instance stopped", "Process removed")]
    assert len(removed) == 4
    with pytest.raises(UnknownProcess):
        house.status("db")
    assert house.lines("db") == []


async def test_a_removal_of_many_is_done_in_turns(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cbox_init.supervisor.run_queue.SLICE_S", 0.0)
    many = "".join(f"  p{number}: {{command: [x], initial_state: stopped}}\n" for number in range(20))
    house = build(f"processes:\n  web: {{command: [sleep, '1000']}}\n{many}")
    await up(house, web=1)
    lengths: list[int] = []
    remove = house.supervisor.table.remove

    def seen(name: str) -> None:
        remove(name)
        asyncio.get_running_loop().call_soon(lambda: lengths.append(len(house.supervisor.table)))

    monkeypatch.setattr(house.supervisor.table, "remove", seen)
    await reload(house, "processes: {web: {command: [sleep, '1000']}}")
    await house.until(lambda: len(house.supervisor.table) == 1)
    await asyncio.sleep(0)
    assert lengths == list(range(20, 0, -1))  # one in each turn


async def test_disabled_is_removed(build: Build) -> None:
    house = build(WEB + ", db: {command: [sleep, '1000']}}")
    await up(house, web=2, db=1)
    text = WEB + ", db: {command: [sleep, '1000'], enabled: false}}"
    assert await reload(house, text) == {"removed": ("db",), "kept": ("web",)}
    await house.until(lambda: len(house.supervisor.statuses()) == 1)
    assert await reload(house, WEB + ", db: {command: [sleep, '1000']}}") == {
        "added": ("db",),
        "kept": ("web",),
    }
    await up(house, db=1)


async def test_added_ones_wait_for_their_dependencies(build: Build) -> None:
    house = build(WEB + "}")
    await up(house, web=2)
    added = f""",
  migrate: {{type: oneshot, command: [sh, -c, "{WAITS}; echo migrated"]}},
  app: {{command: [sh, -c, "echo app; sleep 1000"], depends_on: [migrate, web]}}}}"""
    assert await reload(house, WEB + added) == {"added": ("migrate", "app"), "kept": ("web",)}
    assert house.status("app").waiting_for == ("migrate",)
    house.let_go()
    await house.until_said("app", "app")
    assert house.lines("migrate") == ["migrated"]


async def test_a_replacement_waits_for_a_dependency_that_is_done_anew(build: Build) -> None:
    text = """processes:
  migrate: {{type: oneshot, command: [sh, -c, "sleep 0.3; echo {0}"]}}
  app: {{command: [sh, -c, "echo {0}; exec sleep 1000"], depends_on: [migrate]}}"""
    house = build(text.format("one"))
    await house.until_said("app", "one")
    old = house.instance("app").pid or 0
    assert await reload(house, text.format("two")) == {"changed": ("migrate", "app")}
    await house.until_said("migrate", "two")
    assert house.lines("app") == ["one"] or house.lines("app")[-1] == "two"
    await house.until_said("app", "two")
    assert not alive(old)
    order = [r.message for r in house.logs.records(None, limit=100, newest_first=False)]
    assert order == ["one", "one", "two", "two"]


async def test_while_a_replacement_waits_the_old_ones_go_on(build: Build) -> None:
    app = "app: {command: [sh, -c, 'echo up; exec sleep %s'], dependency_timeout: 0.2%s}}"
    house = build(WEB + "," + app % (1000, ""))
    await house.until_said("app", "up")
    before = born(house)
    late = ", late: {command: [sleep, '1'], initial_state: stopped},"
    await reload(house, WEB + late + app % (1001, ", depends_on: [late]"))
    assert house.status("app").waiting_for == ("late",)
    await house.until(lambda: "Process cannot be started" in house.messages())
    assert house.state("app") is State.RUNNING
    assert born(house)["app"] == before["app"]
    assert house.exit_code is None
    house.supervisor.start("late")
    await house.until(lambda: born(house)["app"] != before["app"] and house.pids("app"))


async def test_by_hand_stays_by_hand(build: Build) -> None:
    text = "processes: {{a: {{command: [sleep, '{0}'], scale: {1}}}, b: {{command: [sleep, '1000']}}}}"
    house = build(text.format(1000, 1))
    await up(house, a=1, b=1)
    house.supervisor.stop("b")
    house.supervisor.scale("a", 3)
    await up(house, a=3)
    await house.until_state("b", State.STOPPED)
    await reload(house, text.format(1001, 1))
    assert (house.status("a").desired_scale, house.state("b")) == (3, State.STOPPED)
    await reload(house, text.format(1001, 2))
    assert house.status("a").desired_scale == 2


async def test_a_stopped_process_starts_later_as_it_is_configured_by_then(build: Build) -> None:
    text = 'processes: {{a: {{command: [sh, -c, "echo {}; sleep 1000"]}}}}'
    house = build(text.format("old"))
    await house.until_said("a", "old")
    house.supervisor.stop("a")
    await house.until_state("a", State.STOPPED)
    assert await reload(house, text.format("new")) == {"changed": ("a",)}
    assert house.state("a") is State.STOPPED
    house.supervisor.start("a")
    await house.until_said("a", "new")
    assert house.instance("a").restart_count == 0


async def test_one_that_was_given_up_gets_another_chance_when_it_has_changed(build: Build) -> None:
    text = "processes: {{a: {{command: [{}], restart: never}}, b: {{command: [sleep, '1000']}}}}"
    house = build(text.format("/no/such/program"))
    await house.until_state("a", State.FAILED)
    assert await reload(house, text.format("sleep, '1000'")) == {"changed": ("a",), "kept": ("b",)}
    await up(house, a=1)


async def test_back_before_it_has_gone(build: Build) -> None:
    slow = f"trap '{WAITS}; exit 0' TERM; (echo on; exec sleep 1000) & wait"
    web = f'{WEB}, slow: {{command: [sh, -c, "{slow}"]}}}}'
    house = build(web)
    await house.until_said("slow", "on")
    first = house.instance("slow").pid
    assert (await reload(house, WEB + "}"))["removed"] == ("slow",)
    await house.until_state("slow", State.STOPPING)
    changes = await reload(house, web.replace("echo on", "echo back"))
    assert changes == {"added": ("slow",), "kept": ("web",)}
    house.let_go()
    await house.until_said("slow", "back")
    assert house.instance("slow").pid != first
    assert not alive(first or 0)


async def test_gone_and_back_at_once_is_as_configured_last(build: Build) -> None:
    web = WEB + ", b: {command: [sh, -c, 'echo %s; exec sleep 1000']}}"
    house = build(web % "one")
    await house.until_said("b", "one")
    house.file.write_text(WEB + "}")
    first = asyncio.create_task(house.parts.configuration.reload())
    await asyncio.sleep(0)
    await first
    await reload(house, web % "two")
    await house.until_said("b", "two")
    await house.until(lambda: len(house.pids("b")) == 1)


BAD = {
    "half written": "processes:\n  web: {command: [sleep, '10",
    "empty": "",
    "no processes": "global: {}",
    "wrong values": "processes: {web: {command: [sleep, '1000'], scale: many, restart: sometimes}}",
    "a cycle": "processes: {a: {command: a, depends_on: [b]}, b: {command: b, depends_on: [a]}}",
    "nul": "processes: {web: {command: a\0}}",
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
async def test_a_bad_file_changes_nothing(build: Build, text: str) -> None:
    house = build(WEB + "}")
    await up(house, web=2)
    before, config = born(house), house.supervisor.config
    with pytest.raises(ConfigError) as caught:
        await reload(house, text)
    assert caught.value.problems
    assert born(house) == before
    assert house.supervisor.config is config
    assert "Configuration was not reloaded, the old one stays" in house.messages()
    assert await reload(house, WEB + "}") == {"kept": ("web",)}


@pytest.mark.parametrize("what", ["deleted", "directory", "unreadable", "pipe"])
async def test_a_file_that_cannot_be_read_changes_nothing(
    build: Build, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = build(WEB + "}")
    await up(house, web=2)
    before = born(house)
    monkeypatch.setattr("cbox_init.supervisor.configuration.configuration.FILE_TIMEOUT_S", 0.2)
    house.file.unlink()
    if what == "directory":
        house.file.mkdir()
    elif what == "unreadable":
        house.file.symlink_to(house.file)  # root reads whatever the mode says
    elif what == "pipe":
        os.mkfifo(house.file)  # nobody ever writes
    with pytest.raises(ConfigError, match="cannot read"):
        await house.parts.configuration.reload()
    assert born(house) == before
    if what == "pipe":
        os.close(os.open(house.file, os.O_WRONLY | os.O_NONBLOCK))  # let the reader go


@pytest.mark.parametrize("refused", ["old", "new"])
async def test_a_reload_that_fails_half_way_changes_nothing(
    build: Build, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    """No descriptor is left while the log of one process is opened; the next reload makes the change."""
    sleep = "{command: [sleep, '1000'], logging: {labels: {of: '%s'}}}"
    house = build(f"processes: {{first: {sleep % 1}, old: {sleep % 1}, gone: {sleep % 1}}}")
    await up(house, first=1, old=1, gone=1)
    before, in_force = born(house), house.supervisor.config
    text = f"processes: {{first: {sleep % 2}, old: {sleep % 2}, new: {sleep % 2}}}"
    opened = house.logs.open

    def refuse(process: str, logging: LoggingConfig, *, ring_size: int, **more: str | None) -> ProcessLog:
        if process == refused and logging.labels == {"of": "2"}:
            raise OSError(errno.EMFILE, "Too many open files")
        return opened(process, logging, ring_size=ring_size, **more)

    with monkeypatch.context() as patched:
        patched.setattr(house.logs, "open", refuse)
        with pytest.raises(NotApplied, match=f"configuration of {refused}, nothing is changed"):
            await reload(house, text)
    assert house.supervisor.config == in_force
    assert born(house) == before
    assert [process.name for process in house.supervisor.table] == ["first", "old", "gone"]
    assert await reload(house, text) == {
        "added": ("new",),
        "adjusted": ("first", "old"),
        "removed": ("gone",),
    }
    await house.until(lambda: "gone" not in house.supervisor.table and len(house.pids("new")) == 1)
    assert born(house)["old"] == before["old"]


async def test_a_storm_of_reloads_is_few(build: Build) -> None:
    house = build(WEB + "}")
    await up(house, web=2)
    house.file.write_text(WEB + ", b: {command: [sleep, '1000']}}")
    before = born(house)["web"]
    done = await asyncio.gather(*(house.parts.configuration.reload() for _ in range(50)))
    assert {reloaded.plan.added for reloaded in done} == {("b",)}
    assert house.messages().count("Configuration reloaded") == 1
    await up(house, b=1)
    assert born(house)["web"] == before


async def test_a_reload_while_another_reads_comes_after_it(build: Build) -> None:
    house = build(WEB + "}")
    await up(house, web=2)
    configuration = house.parts.configuration
    tasks = []
    for number in range(8):
        written = house.file.with_suffix(".new")
        written.write_text(f"{WEB}, b{number}: {{command: [sleep, '1000']}}}}")
        written.rename(house.file)
        tasks.append(asyncio.create_task(configuration.reload()))
        await asyncio.sleep(0.002 * number)
    await asyncio.gather(*tasks)
    await house.until(lambda: [s.name for s in house.supervisor.statuses()] == ["web", "b7"])


async def test_during_a_rollout_it_merges(build: Build) -> None:
    text = "processes: {{web: {{command: [sh, -c, 'echo {0}; exec sleep 1000'], scale: 3}}}}"
    house = build(text.format(0))
    await up(house, web=3)
    for number in range(1, 6):
        await reload(house, text.format(number))
        house.supervisor.restart("web")
    await house.until(lambda: house.lines("web").count("5") >= 3 and len(house.pids("web")) == 3)
    await house.until(lambda: house.supervisor.table["web"].settled)

    def last() -> set[str]:
        records = house.logs.records("web", limit=100, newest_first=False)
        return set({record.instance: record.message for record in records}.values())

    await house.until(lambda: last() == {"5"})


async def test_in_the_middle_of_a_stop(build: Build) -> None:
    text = 'processes: {{web: {{command: [sh, -c, "{1}"], shutdown: {{timeout: {0}}}}}}}'
    house = build(text.format(0.4, STUBBORN))
    await house.until_said("web", "ready")
    house.supervisor.stop("web")
    await house.until_state("web", State.STOPPING)
    assert await reload(house, text.format(0.5, STUBBORN + " # new")) == {"changed": ("web",)}
    await house.until_state("web", State.STOPPED)


async def test_during_the_shutdown_it_is_a_conflict(build: Build) -> None:
    house = build(f'processes: {{web: {{command: [sh, -c, "{STUBBORN}"], shutdown: {{timeout: 0.5}}}}}}')
    await house.until_said("web", "ready")
    late = asyncio.create_task(house.parts.configuration.reload())
    await asyncio.sleep(0)
    house.supervisor.shutdown("test")
    with pytest.raises(Conflict, match="shutting down"):
        await house.parts.configuration.reload()
    with pytest.raises(Conflict, match="shutting down"):
        await late
    assert await house.ended() == 0


async def test_shutdown_ends_what_is_being_removed_in_order(build: Build) -> None:
    slow = "trap 'sleep 0.2; echo bye; exit 0' TERM; (echo on; exec sleep 1000) & wait"
    house = build(
        f'{WEB}, db: {{command: [sh, -c, "{slow}"]}}, '
        f'app: {{command: [sh, -c, "{slow}"], depends_on: [db]}}}}'
    )
    await house.until_said("app", "on")
    await reload(house, WEB + "}")
    house.supervisor.shutdown("test")
    assert await house.ended() == 0
    said = [r.message for r in house.logs.records(None, limit=10) if r.message == "bye"]
    assert len(said) == 2


async def test_the_end_of_all_that_stay_ends_the_daemon(build: Build) -> None:
    house = build(WEB + ", job: {type: oneshot, command: [sh, -c, 'sleep 0.3']}}")
    await up(house, web=2)
    await reload(house, "processes: {job: {type: oneshot, command: [sh, -c, 'sleep 0.3']}}")
    assert await house.ended() == 0


async def test_preview_changes_nothing(build: Build) -> None:
    house = build(WEB + "}")
    await up(house, web=2)
    before = born(house)
    house.file.write_text("processes: {b: {command: [sleep, '1000']}}")
    plan = (await house.parts.configuration.preview()).plan
    assert (plan.added, plan.removed) == (("b",), ("web",))
    assert born(house) == before


async def test_the_memory_for_last_lines_changes_in_place(build: Build) -> None:
    def text(size: str, own: str = "") -> str:
        script = "i=0; while [ $i -lt 50 ]; do echo $i; i=$((i+1)); sleep 0; done; echo end; exec sleep 1000"
        web = f"{{command: [sh, -c, '{script}'], logging: {{{own}}}}}"
        return f"global: {{log_ring_size: {size}}}\nprocesses: {{web: {web}}}"

    house = build(text("1MiB"))
    await house.until_said("web", "end")
    assert len(house.lines("web")) == 51
    before = born(house)
    assert await reload(house, text("1MiB", "ring_size: 400")) == {"adjusted": ("web",)}
    assert 0 < len(house.lines("web")) < 51
    assert await reload(house, text("0")) == {"adjusted": ("web",)}
    assert (house.lines("web"), born(house)) == ([], before)


async def test_redaction_for_all_counts_for_instances_that_run(build: Build) -> None:
    processes = """
hooks: {post-stop: [{command: [echo, "token=abc"]}]}
processes:
  web: {command: [sh, -c, "mkfifo $DIR/p; exec 3<>$DIR/p; echo up; while read line <&3; do echo $line; done"]}
"""
    house = build(processes)
    await house.until_said("web", "up")
    before = born(house)

    def say(line: str) -> None:
        (house.file.parent / "p").write_text(f"{line}\n")

    await asyncio.to_thread(say, "token=before")
    await house.until_said("web", "token=before")
    settings = "{log_redaction_enabled: true, log_redaction_patterns: [token]}"
    assert await reload(house, f"global: {settings}{processes}") == {"adjusted": ("web",)}
    await asyncio.to_thread(say, "token=after")
    await house.until_said("web", "token=***")
    assert born(house) == before
    house.supervisor.shutdown("the test is over")
    await house.until(lambda: house.lines("hooks/post-stop"))
    assert house.lines("hooks/post-stop") == ["token=***"]


async def test_a_scale_of_0_is_none_once_a_reload_finds_it(build: Build) -> None:
    """At a start it is the default. So it stays where it was there at the start: the file has not changed."""
    house = build("processes: {web: {command: [sleep, '1000'], scale: 0}, b: {command: [sleep, '1000']}}")
    await up(house, web=1, b=1)
    both = "processes: {web: {command: [sleep, '1000'], scale: 0}, b: {command: [sleep, '1000'], scale: 0}"
    assert await reload(house, both + "}") == {"adjusted": ("b",), "kept": ("web",)}
    await up(house, web=1, b=0)
    more = ", new: {command: [sleep, '1000'], scale: 0}}"
    assert await reload(house, both + more) == {"added": ("new",), "kept": ("web", "b")}
    await house.until_state("new", State.STOPPED)
    await up(house, web=1, b=0, new=0)
    await reload(house, both.replace("scale: 0", "scale: 2") + more)
    await up(house, web=2, b=2, new=0)
    await reload(house, both + more)
    await up(house, web=0, b=0, new=0)
    assert house.status("web").desired_scale == 0
