"""Hooks around the life of the stack and of an instance, with real commands."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from cbox_init.core.states import State
from cbox_init.errors import Conflict
from tests.supervisor.house import OBEDIENT, STUBBORN, alive

if TYPE_CHECKING:
    from tests.supervisor.house import Build, House

HANGS = "trap '' TERM; echo $$; setsid sleep 1000 & echo $!; sleep 1000"


def sh(script: str) -> str:
    return json.dumps(["sh", "-c", script])


def written(house: House, name: str = "order") -> list[str]:
    file = house.log_file.parent / name
    return file.read_text().split() if file.exists() else []


def stack(hooks: str, processes: str = "", settings: str = "{}") -> str:
    return f"""
global: {settings}
hooks: {hooks}
processes:
  web: {{command: {sh(OBEDIENT)}}}
{processes}
"""


def with_stop_hooks(script: str, hooks: str, extra: str = "") -> str:
    return f"""
processes:
  web:
    command: {sh(script)}
    port_base: 8000
    env: {{OF_THE_PROCESS: "yes"}}
    shutdown: {{timeout: 10s, {hooks}}}
{extra}
"""


# -- the stack -----------------------------------------------------------------------------------------


async def test_the_order_of_a_whole_life(build: Build) -> None:
    moments = ("pre-start", "post-start", "pre-stop", "post-stop")
    hooks = ", ".join(f"{m}: [{{command: {sh(f'echo {m} >> $DIR/order')}}}]" for m in moments)
    trap = "echo up >> $DIR/order; trap 'echo down >> $DIR/order; exit' TERM"
    script = f"{trap}; (echo ready; exec sleep 1000) & wait"
    house = build(f"hooks: {{{hooks}}}\nprocesses: {{web: {{command: {sh(script)}}}}}")
    await house.until(lambda: "post-start" in written(house))
    await house.until_said("web", "ready")
    house.supervisor.shutdown("test")
    assert await house.ended() == 0
    order = written(house)
    assert order[0] == "pre-start"
    assert sorted(order[1:3]) == ["post-start", "up"]
    assert order[3:] == ["pre-stop", "down", "post-stop"]


async def test_what_a_hook_gets_and_where_its_output_goes(build: Build) -> None:
    script = 'echo "$CBOX_INIT_HOOK_NAME $OWN ${CBOX_INIT_HOOK_NAME}"; pwd >&2'
    house = build(
        stack(
            f"{{pre-start: [{{name: warm, command: {sh(script)}, env: {{OWN: mine}}, working_dir: /usr}}]}}"
        )
    )
    await house.until_state("web", State.RUNNING)
    records = house.logs.records("hooks/pre-start", limit=10, newest_first=False)
    assert {(r.instance, r.message) for r in records} == {("warm", "warm mine warm"), ("warm", "/usr")}


async def test_a_failing_pre_start_hook_ends_the_start_with_1(build: Build) -> None:
    house = build(
        stack(
            f"""
  pre-start: [{{command: {sh("sleep 1000 & echo $!; exit 3")}}}, {{command: {sh("touch $DIR/second")}}}]
  pre-stop: [{{command: {sh("touch $DIR/stopping")}}}]
  post-stop: [{{command: {sh("touch $DIR/stopped")}}}]
"""
        )
    )
    assert await house.ended() == 1
    assert house.status("web").instances == ()
    for name in ("second", "stopping", "stopped"):
        assert not (house.log_file.parent / name).exists()
    assert not alive(int(house.lines("hooks/pre-start")[0]))
    assert "pre-start hook pre-start-0 failed: exit code 3" in house.log_text()


async def test_a_hook_that_cannot_be_started_fails(build: Build) -> None:
    house = build(stack("{pre-start: [{command: [/no/such/program]}]}"))
    assert await house.ended() == 1
    assert "command not found" in house.log_text()


async def test_continue_on_error_goes_on(build: Build) -> None:
    house = build(
        stack(
            f"""
  pre-start: [{{command: ["false"], continue_on_error: true}}, {{command: {sh("echo second >> $DIR/order")}}}]
"""
        )
    )
    await house.until_state("web", State.RUNNING)
    assert written(house) == ["second"]


async def test_a_hook_is_tried_again(build: Build) -> None:
    script = "echo try >> $DIR/order; [ $(wc -l < $DIR/order) = 3 ]"
    house = build(stack(f"{{pre-start: [{{command: {sh(script)}, retry: 2, retry_delay: 20ms}}]}}"))
    await house.until_state("web", State.RUNNING)
    assert written(house) == ["try"] * 3
    assert house.messages().count("Hook failed and is tried again") == 2


async def test_a_hook_that_hangs_is_ended_with_all_it_started(build: Build) -> None:
    house = build(stack(f"{{pre-start: [{{command: {sh(HANGS)}, timeout: 2s}}]}}"))
    assert await house.ended() == 1
    pids = [int(line) for line in house.lines("hooks/pre-start")]
    assert len(pids) == 2
    assert not any(alive(pid) for pid in pids)
    assert "not done after 2 s" in house.log_text()


async def test_a_failing_post_start_hook_warns(build: Build) -> None:
    house = build(stack("{post-start: [{name: tell, command: ['false']}]}"))
    await house.until(lambda: "A post-start hook has failed; the processes go on" in house.messages())
    assert house.state("web") is State.RUNNING
    assert house.exit_code is None


async def test_commands_wait_for_the_pre_start_hooks(build: Build) -> None:
    house = build(stack(f"{{pre-start: [{{command: {sh('echo $$; sleep 1000')}}}]}}"))
    await house.until(lambda: house.lines("hooks/pre-start"))
    with pytest.raises(Conflict, match="pre-start hooks"):
        house.supervisor.start("web")
    house.supervisor.shutdown("test")
    assert await house.ended() == 0
    hook = int(house.lines("hooks/pre-start")[0])
    await house.until(lambda: not alive(hook))  # the end does not wait for what it has killed
    assert house.status("web").instances == ()


@pytest.mark.parametrize("moment", ["pre-stop", "post-stop"])
async def test_a_stop_hook_that_hangs_ends_with_the_time_of_the_shutdown(build: Build, moment: str) -> None:
    house = build(stack(f"{{{moment}: [{{command: {sh(HANGS)}}}]}}", settings="{shutdown_timeout: 2s}"))
    await house.until_said("web", "ready")
    pid = house.pids("web")[0]
    house.supervisor.shutdown("test")
    assert await house.ended() == 0
    hanging = [int(line) for line in house.lines(f"hooks/{moment}")]
    assert len(hanging) == 2
    await house.until(lambda: not any(alive(one) for one in (pid, *hanging)))


async def test_no_post_stop_hook_begins_when_the_time_is_over(build: Build) -> None:
    house = build(
        f"""
global: {{shutdown_timeout: 200ms}}
hooks: {{post-stop: [{{command: {sh("touch $DIR/stopped")}}}]}}
processes: {{web: {{command: {sh(STUBBORN)}}}}}
"""
    )
    await house.until_said("web", "ready")
    house.supervisor.shutdown("test")
    assert await house.ended() == 0
    assert "Hook started" not in house.messages()
    assert not (house.log_file.parent / "stopped").exists()


async def test_a_failing_pre_stop_hook_does_not_keep_the_end(build: Build) -> None:
    house = build(stack("{pre-stop: [{command: ['false']}]}"))
    await house.until_said("web", "ready")
    house.supervisor.shutdown("test")
    assert await house.ended() == 0
    assert "bye" in house.lines("web")


async def test_what_a_post_stop_hook_leaves_is_ended(build: Build) -> None:
    house = build(stack(f"{{post-stop: [{{command: {sh('setsid sleep 1000 & echo $!')}}}]}}"))
    await house.until_said("web", "ready")
    house.supervisor.shutdown("test")
    assert await house.ended() == 0
    assert not alive(int(house.lines("hooks/post-stop")[0]))


# -- an instance ---------------------------------------------------------------------------------------


async def test_the_hooks_around_a_stop(build: Build) -> None:
    hook = 'echo "$CBOX_INIT_HOOK_NAME $CBOX_INIT_INSTANCE_ID $PORT $OF_THE_PROCESS ${PORT}"'
    house = build(
        with_stop_hooks(
            OBEDIENT,
            f"pre_stop_hook: {{name: leave, command: {sh(hook)}}}, post_stop_hook: {{command: {sh(hook)}}}",
        )
    )
    await house.until_said("web", "ready")
    house.supervisor.stop("web")
    await house.until_state("web", State.STOPPED)
    assert house.lines("web") == [
        "ready",
        "leave web-0 8000 yes 8000",
        "bye",
        "post_stop_hook web-0 8000 yes 8000",
    ]
    names = [r.instance for r in house.logs.records("web", limit=10, newest_first=False)]
    assert names == ["web-0", "web-0/leave", "web-0", "web-0/post_stop_hook"]


async def test_hooks_run_for_scale_down_and_restart_but_not_for_a_crash(build: Build) -> None:
    hooks = f"pre_stop_hook: {{command: {sh('echo leaves >> $DIR/order')}}}"
    house = build(with_stop_hooks(OBEDIENT, hooks, "    scale: 2\n    restart_delay: 10ms"))
    await house.until_said("web", "ready", 2)
    house.supervisor.scale("web", 1)
    await house.until(lambda: len(house.pids("web")) == 1 and not house.instance("web").restart_count)
    assert written(house) == ["leaves"]
    house.supervisor.restart("web")
    await house.until_restarted("web", 1)
    assert written(house) == ["leaves"] * 2
    await house.until_said("web", "ready", 3)
    house.kill("web")
    await house.until_restarted("web", 2)
    assert written(house) == ["leaves"] * 2


async def test_the_successor_waits_for_the_post_stop_hook(build: Build) -> None:
    hooks = f"post_stop_hook: {{command: {sh('sleep 0.2; echo tidied >> $DIR/order')}}}"
    house = build(with_stop_hooks(f"echo up >> $DIR/order; {OBEDIENT}", hooks))
    await house.until_said("web", "ready")
    house.supervisor.restart("web")
    await house.until_said("web", "ready", 2)
    assert written(house) == ["up", "tidied", "up"]


async def test_a_pre_stop_hook_that_hangs_ends_with_the_grace_and_the_term_handler_runs(build: Build) -> None:
    hooks = f"pre_stop_hook: {{command: {sh(HANGS.replace('echo', 'echo hook'))}}}"
    house = build(with_stop_hooks(OBEDIENT, hooks).replace("10s", "2s"))
    await house.until_said("web", "ready")
    house.supervisor.stop("web")
    await house.until_state("web", State.STOPPED)
    assert house.lines("web")[-1] == "bye"
    assert house.instance("web").exit_code == 0
    assert "Process instance did not stop in time and is killed" not in house.messages()
    hanging = [int(line.split()[1]) for line in house.lines("web") if line.startswith("hook")]
    await house.until(lambda: len(hanging) == 2 and not any(alive(pid) for pid in hanging))


async def test_a_hook_that_ends_the_process_itself_is_waited_for(build: Build) -> None:
    hook = "kill -TERM $(cat $DIR/pid); sleep 0.2; echo hook over"
    house = build(
        with_stop_hooks(f"echo $$ > $DIR/pid; {OBEDIENT}", f"pre_stop_hook: {{command: {sh(hook)}}}")
    )
    await house.until_said("web", "ready")
    house.supervisor.stop("web")
    await house.until_state("web", State.STOPPED)
    assert house.lines("web") == ["ready", "bye", "hook over"]


async def test_without_grace_a_stubborn_instance_with_hooks_is_killed(build: Build) -> None:
    hooks = f"pre_stop_hook: {{command: {sh('exit 1')}}}, post_stop_hook: {{command: {sh('exit 1')}}}"
    house = build(with_stop_hooks(STUBBORN, hooks).replace("10s", "2s"))
    await house.until_said("web", "ready")
    house.supervisor.stop("web")
    await house.until_state("web", State.STOPPED)
    assert house.instance("web").exit_code == 137
    assert house.messages().count("Hook failed") == 2


async def test_a_run_of_a_schedule_that_is_stopped_has_its_hooks(build: Build) -> None:
    hook = f"{{command: {sh('echo $CBOX_INIT_HOOK_NAME $CBOX_INIT_INSTANCE_ID >> $DIR/order')}}}"
    hooks = f"pre_stop_hook: {hook}, post_stop_hook: {hook}"
    house = build(with_stop_hooks(OBEDIENT, hooks, '    schedule: "0 0 1 1 *"'))
    house.supervisor.trigger("web")
    await house.until_said("web", "ready")
    house.supervisor.stop("web")
    await house.until(lambda: len(written(house)) == 4)
    assert written(house) == ["pre_stop_hook", "web-run-1", "post_stop_hook", "web-run-1"]
    assert house.lines("web") == ["ready", "bye"]


async def test_a_second_signal_ends_hooks_too(build: Build) -> None:
    hooks = f"post_stop_hook: {{command: {sh(HANGS)}}}"
    house = build(with_stop_hooks(OBEDIENT, hooks))
    await house.until_said("web", "ready")
    house.supervisor.shutdown("test")
    await house.until(lambda: len(house.lines("web")) == 4)
    house.supervisor.kill(130)
    assert await house.ended() == 130
    hanging = [int(line) for line in house.lines("web")[2:]]
    await house.until(lambda: not any(alive(pid) for pid in hanging))
    assert "Killed in the shutdown" not in house.messages()


async def test_a_kill_starts_no_hook_of_what_it_has_killed(build: Build) -> None:
    hooks = f"pre_stop_hook: {{command: {sh('echo late >> $DIR/order')}}}"
    house = build(with_stop_hooks(f"trap 'echo term' TERM; {OBEDIENT}", hooks))
    await house.until_said("web", "ready")
    house.supervisor.kill(1)
    assert await house.ended() == 1
    assert written(house) == []
    assert "bye" not in house.lines("web")
