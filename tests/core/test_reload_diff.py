"""What a new configuration changes: every key has its place, every process is in one list."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from cbox_init.config.model import (
    Config,
    GlobalConfig,
    InitialState,
    LoggingConfig,
    ProcessConfig,
    ProcessType,
    RestartPolicyName,
    ShutdownConfig,
)
from cbox_init.config.settings import settings_of
from cbox_init.core.reload_diff import (
    GLOBAL_IN_PLACE,
    IN_PLACE,
    ReloadPlan,
    desired_after,
    fields_of_process,
    plan_of,
    replaces,
)
from cbox_init.core.states import Desired

WEB = ProcessConfig(command=("web",), scale=2)

#: Written down once more, so that a new key is not put anywhere without thinking.
NEEDS_NEW_INSTANCES = {
    *("type", "command", "working_dir", "user", "group", "env", "port_base", "stdout", "stderr"),
    *("limits", "watchdog", "ready_when", "umask", "stdin"),
    *("no_new_privileges", "capabilities", "read_only_paths", "private_tmp"),
}


def config(global_: GlobalConfig | None = None, **processes: ProcessConfig) -> Config:
    return Config(global_=global_ or GlobalConfig(), processes=processes)


def lists(plan: ReloadPlan) -> dict[str, tuple[str, ...]]:
    names = ("added", "changed", "adjusted", "removed", "kept", "needs_restart")
    return {name: getattr(plan, name) for name in names if getattr(plan, name)}


def test_every_key_of_a_process_has_its_place() -> None:
    assert set(fields_of_process()) == IN_PLACE | NEEDS_NEW_INSTANCES
    assert not IN_PLACE & NEEDS_NEW_INSTANCES


def test_the_keys_of_global_exist() -> None:
    assert set(GlobalConfig.__struct_fields__) >= GLOBAL_IN_PLACE


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"a": WEB}, {"a": WEB}, {"kept": ("a",)}),
        ({"a": WEB}, {"a": WEB, "b": WEB}, {"kept": ("a",), "added": ("b",)}),
        ({"a": WEB, "b": WEB}, {"b": WEB}, {"kept": ("b",), "removed": ("a",)}),
        ({"a": WEB, "b": WEB}, {"b": WEB, "a": WEB}, {"kept": ("b", "a")}),
        ({"a": WEB}, {"b": WEB}, {"added": ("b",), "removed": ("a",)}),
        ({"a": WEB}, {"a": replace(WEB, enabled=False)}, {"removed": ("a",)}),
        ({"a": replace(WEB, enabled=False)}, {"a": WEB}, {"added": ("a",)}),
        ({"a": WEB}, {"a": replace(WEB, scale=5)}, {"adjusted": ("a",)}),
        ({"a": WEB}, {"a": replace(WEB, max_scale=5)}, {"adjusted": ("a",)}),
        ({"a": WEB}, {"a": replace(WEB, restart=RestartPolicyName.NEVER)}, {"adjusted": ("a",)}),
        ({"a": WEB}, {"a": replace(WEB, shutdown=ShutdownConfig(signal="SIGQUIT"))}, {"adjusted": ("a",)}),
        ({"a": WEB}, {"a": replace(WEB, logging=LoggingConfig(labels={"x": "y"}))}, {"adjusted": ("a",)}),
        ({"a": WEB}, {"a": replace(WEB, logging=LoggingConfig(stderr=False))}, {"changed": ("a",)}),
        ({"a": WEB}, {"a": replace(WEB, command=("other",))}, {"changed": ("a",)}),
        ({"a": WEB}, {"a": replace(WEB, env={"A": "b"})}, {"changed": ("a",)}),
        ({"a": WEB}, {"a": replace(WEB, schedule="@daily")}, {"changed": ("a",)}),
        (
            {"a": replace(WEB, schedule="@daily")},
            {"a": replace(WEB, schedule="@hourly")},
            {"adjusted": ("a",)},
        ),
        ({"a": WEB}, {"a": replace(WEB, user="nobody", scale=1)}, {"changed": ("a",)}),
        (
            {"a": WEB, "b": replace(WEB, depends_on=("a",))},
            {"a": replace(WEB, enabled=False), "b": replace(WEB, depends_on=("a",))},
            {"removed": ("a",), "adjusted": ("b",)},
        ),
    ],
)
def test_processes(
    old: dict[str, ProcessConfig], new: dict[str, ProcessConfig], expected: dict[str, tuple[str, ...]]
) -> None:
    assert lists(plan_of(Config(processes=old), Config(processes=new))) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"shutdown_timeout": 5.0}, {"adjusted": ("a",)}),  # it caps the timeout of each process
        ({"dependency_timeout": 5.0}, {"adjusted": ("a",)}),
        ({"max_restart_attempts": 9}, {"adjusted": ("a",)}),
        ({"max_process_scale": 9}, {"adjusted": ("a",)}),
        ({"zombie_reap_interval": 9.0}, {"kept": ("a",)}),
        ({"api_port": 1}, {"kept": ("a",), "needs_restart": ("global.api_port",)}),
        (
            {"api_enabled": True, "log_format": "text", "max_restart_attempts": 9},
            {"adjusted": ("a",), "needs_restart": ("global.log_format", "global.api_enabled")},
        ),
    ],
)
def test_global(changes: dict[str, object], expected: dict[str, tuple[str, ...]]) -> None:
    plan = plan_of(config(a=WEB), config(replace(GlobalConfig(), **changes), a=WEB))
    assert lists(plan) == expected


def test_a_key_that_cannot_change_keeps_its_value_and_is_named_again_and_again() -> None:
    old, new = config(a=WEB), config(GlobalConfig(api_port=1, shutdown_timeout=5), a=WEB)
    first = plan_of(old, new)
    assert (first.config.global_.api_port, first.config.global_.shutdown_timeout) == (9180, 5)
    assert plan_of(first.config, new).needs_restart == ("global.api_port",)
    assert plan_of(first.config, old).needs_restart == ()


RUNNING = Desired(run=True, scale=2, generation=3, starts=1)
STOPPED = Desired(run=False, scale=2, generation=3, starts=1)


@pytest.mark.parametrize(
    ("desired", "new", "expected"),
    [
        (RUNNING, {}, RUNNING),
        (RUNNING, {"scale": 5}, replace(RUNNING, scale=5)),
        (replace(RUNNING, scale=7), {}, replace(RUNNING, scale=7)),  # by hand
        (replace(RUNNING, scale=7), {"scale": 3}, replace(RUNNING, scale=3)),
        (replace(RUNNING, scale=7), {"max_scale": 4}, replace(RUNNING, scale=4)),
        (RUNNING, {"command": ("x",)}, replace(RUNNING, generation=4)),
        (STOPPED, {"command": ("x",)}, STOPPED),  # by hand; what is started later is the new one
        (STOPPED, {"scale": 5}, replace(STOPPED, scale=5)),
        (RUNNING, {"initial_state": InitialState.STOPPED}, replace(RUNNING, run=False)),
        (RUNNING, {"type": ProcessType.ONESHOT, "scale": 1}, replace(RUNNING, scale=1, generation=4)),
    ],
)
def test_what_is_wanted_then(desired: Desired, new: dict[str, object], expected: Desired) -> None:
    after = settings_of(config(a=replace(WEB, **new)))["a"]
    assert desired_after(desired, WEB, after) == expected


def test_one_that_is_to_run_now_is_started() -> None:
    old = replace(WEB, initial_state=InitialState.STOPPED)
    after = settings_of(config(a=WEB))["a"]
    assert desired_after(STOPPED, old, after) == replace(STOPPED, run=True, starts=2)


processes = st.builds(
    ProcessConfig,
    enabled=st.booleans(),
    command=st.sampled_from([("a",), ("b",)]),
    scale=st.integers(0, 3),
    env=st.sampled_from([{}, {"A": "b"}]),
    max_scale=st.sampled_from([0, 2]),
    depends_on=st.sampled_from([(), ("a",)]),
    priority=st.integers(0, 1),
)
configs = st.builds(
    Config,
    global_=st.builds(
        GlobalConfig,
        api_port=st.integers(1, 3),
        max_restart_attempts=st.integers(0, 2),
        log_timestamps=st.booleans(),
    ),
    processes=st.dictionaries(st.sampled_from("abcdef"), processes),
)


@settings(deadline=None)
@given(configs, configs)
def test_every_process_is_in_one_list(old: Config, new: Config) -> None:
    plan = plan_of(old, new)
    before, after = old.enabled_processes(), new.enabled_processes()
    assert sorted([*plan.added, *plan.changed, *plan.adjusted, *plan.kept]) == sorted(after)
    assert sorted([*plan.removed, *plan.changed, *plan.adjusted, *plan.kept]) == sorted(before)
    for name in plan.changed:
        assert replaces(before[name], after[name])
    for name in (*plan.adjusted, *plan.kept):
        assert not replaces(before[name], after[name])


@settings(deadline=None)
@given(configs, configs)
def test_a_second_reload_of_the_same_file_changes_nothing(old: Config, new: Config) -> None:
    first = plan_of(old, new)
    again = plan_of(first.config, new)
    assert (again.added, again.changed, again.adjusted, again.removed) == ((), (), (), ())
    assert again.needs_restart == first.needs_restart
    assert again.config == first.config


@settings(deadline=None)
@given(processes, processes, st.booleans(), st.integers(0, 5))
def test_nothing_rolls_unless_it_must(old: ProcessConfig, new: ProcessConfig, run: bool, scale: int) -> None:
    old, new = replace(old, enabled=True), replace(new, enabled=True)
    before = Desired(run=run, scale=scale)
    after = desired_after(before, old, settings_of(config(a=new))["a"])
    assert (after.generation != before.generation) == (run and replaces(old, new))
    assert after.run == run
    assert after.starts == before.starts
