"""A new configuration and what surrounds processes: hooks, readiness, giving up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbox_init.core.states import State
from tests.supervisor.house import WAITS
from tests.supervisor.test_reload import WEB, born, reload, up

if TYPE_CHECKING:
    from pathlib import Path

    from tests.supervisor.house import Build


async def test_before_the_pre_start_hooks_are_done(build: Build) -> None:
    hooks = f"hooks: {{pre-start: [{{name: h, command: [sh, -c, '{WAITS}']}}]}}\n"
    house = build(hooks + WEB + ", b: {command: [sleep, '1000']}}")
    changed = hooks + WEB.replace("scale: 2", "scale: 1") + ", c: {command: [sleep, '1000']}}"
    assert await reload(house, changed) == {"added": ("c",), "adjusted": ("web",), "removed": ("b",)}
    assert [status.name for status in house.supervisor.statuses()] == ["web", "c"]
    assert not house.pids("web")
    house.let_go()
    await up(house, web=1, c=1)
    assert house.instance("web").restart_count == 0


TEXT = """processes:
  keep: {{command: [sleep, '1000']}}
  web:
    command: [sh, -c, 'echo {0}; exec sleep 1000']
    shutdown:
      pre_stop_hook: {{command: [sh, -c, 'echo before-{1}']}}
      post_stop_hook: {{command: [sh, -c, 'echo after-{1}']}}
"""


async def test_a_replaced_instance_is_stopped_with_the_hooks_it_had(build: Build) -> None:
    house = build(TEXT.format("one", 1))
    await house.until_said("web", "one")
    await reload(house, TEXT.format("two", 2))
    await house.until_said("web", "two")
    assert house.lines("web") == ["one", "before-1", "after-1", "two"]
    house.supervisor.stop("web")
    await house.until_state("web", State.STOPPED)
    assert house.lines("web")[4:] == ["before-2", "after-2"]


async def test_other_hooks_alone_count_at_once(build: Build) -> None:
    house = build(TEXT.format("one", 1))
    await house.until_said("web", "one")
    before = born(house)
    assert (await reload(house, TEXT.format("one", 2)))["adjusted"] == ("web",)
    assert born(house) == before
    house.supervisor.stop("web")
    await house.until_state("web", State.STOPPED)
    assert house.lines("web") == ["one", "before-2", "after-2"]


async def test_hooks_come_and_go(build: Build) -> None:
    plain = TEXT[: TEXT.index("    shutdown:")].format("one")
    house = build(plain)
    await house.until_said("web", "one")
    await reload(house, TEXT.format("one", 1))
    house.supervisor.restart("web")
    await house.until_said("web", "one", times=2)
    await reload(house, plain)
    house.supervisor.stop("web")
    await house.until_state("web", State.STOPPED)
    assert house.lines("web") == ["one", "before-1", "after-1", "one"]


async def test_a_stop_under_way_ends_as_it_began(build: Build) -> None:
    text = TEXT.replace("echo before-{1}", "echo before-{1}; sleep 0.3")
    house = build(text.format("one", 1))
    await house.until_said("web", "one")
    house.supervisor.stop("web")
    await house.until_said("web", "before-1")
    await reload(house, text.format("two", 2))
    await house.until_state("web", State.STOPPED)
    assert house.lines("web") == ["one", "before-1", "after-1"]


async def test_the_readiness_counts_who_is_configured(build: Build, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    settings = f"global: {{readiness: {{enabled: true, path: {ready}}}}}\n"
    house = build(settings + WEB + "}")
    await house.until(ready.exists)
    late = settings + WEB + ", late: {command: [sleep, '1000'], depends_on: [gate]}, "
    late += f"gate: {{type: oneshot, command: [sh, -c, '{WAITS}']}}}}"
    await reload(house, late)
    await house.until(lambda: not ready.exists())
    house.let_go()
    await house.until(ready.exists)
    await reload(house, settings + WEB + "}")
    await house.until(lambda: len(house.supervisor.statuses()) == 1)
    assert ready.exists()


async def test_giving_up_may_mean_the_end_from_now_on(build: Build) -> None:
    text = (
        "processes: {{a: {{command: [sh, -c, 'exit 7'], restart: never{0}}}, "
        "web: {{command: [sleep, '{1}']}}, b: {{command: [sleep, '1000']}}}}"
    )
    house = build(text.format("", 1000))
    await house.until_state("a", State.FAILED)
    await reload(house, text.format(", on_give_up: shutdown", 1001))
    assert await house.ended() == 7
