"""What counts for one process."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from cbox_init.config.model import (
    Config,
    GlobalConfig,
    ProcessConfig,
    ProcessType,
    RestartPolicyName,
    ShutdownConfig,
    ShutdownMode,
)
from cbox_init.config.rules import RestartRules, StopRules, signal_name, signal_number
from tests.config.helpers import config_of

if TYPE_CHECKING:
    from tests.config.conftest import Read


def restart(global_: GlobalConfig, process: ProcessConfig) -> RestartRules:
    return Config(global_=global_, processes={"a": process}).restart_rules("a")


def stop(global_: GlobalConfig, **keys: object) -> StopRules:
    process = ProcessConfig(shutdown=ShutdownConfig(**keys))  # type: ignore[arg-type]
    return Config(global_=global_, processes={"a": process}).stop_rules("a")


def test_the_defaults() -> None:
    assert restart(GlobalConfig(), ProcessConfig()) == RestartRules(
        policy=RestartPolicyName.ALWAYS,
        max_attempts=3,
        backoff_initial_s=5.0,
        backoff_max_s=60.0,
        stability_window_s=60.0,
    )
    assert stop(GlobalConfig()) == StopRules(
        signal=signal.SIGTERM, timeout_s=30.0, kill_signal=signal.SIGKILL, mode=ShutdownMode.GROUP
    )


@pytest.mark.parametrize(
    ("global_", "process", "waits"),
    [
        (GlobalConfig(restart_backoff=2), ProcessConfig(), (2, 24)),
        (GlobalConfig(restart_backoff_initial=1), ProcessConfig(), (1, 60)),
        (GlobalConfig(restart_backoff_initial=100), ProcessConfig(), (100, 100)),
        (GlobalConfig(restart_backoff_max=7), ProcessConfig(), (5, 7)),
        (GlobalConfig(), ProcessConfig(restart_delay=1), (1, 60)),
        (GlobalConfig(), ProcessConfig(restart_delay=90), (90, 90)),
        (GlobalConfig(), ProcessConfig(restart_delay=90, max_restart_delay=80), (90, 80)),
        (GlobalConfig(), ProcessConfig(max_restart_delay=3), (5, 3)),
        (GlobalConfig(restart_backoff=0), ProcessConfig(), (0, 0)),
        (GlobalConfig(), ProcessConfig(restart_delay=0), (0, 60)),
    ],
)
def test_backoff(global_: GlobalConfig, process: ProcessConfig, waits: tuple[float, float]) -> None:
    rules = restart(global_, process)
    assert (rules.backoff_initial_s, rules.backoff_max_s) == waits


def test_a_process_has_its_own_budget() -> None:
    rules = restart(GlobalConfig(max_restart_attempts=5), ProcessConfig(max_restarts=0, restart_threshold=-1))
    assert (rules.max_attempts, rules.stability_window_s) == (0, -1)


@pytest.mark.parametrize(
    ("process", "policy"),
    [
        (ProcessConfig(), RestartPolicyName.ON_FAILURE),
        (ProcessConfig(type=ProcessType.ONESHOT), RestartPolicyName.NEVER),
        (
            ProcessConfig(type=ProcessType.ONESHOT, restart=RestartPolicyName.ON_FAILURE),
            RestartPolicyName.ON_FAILURE,
        ),
        (ProcessConfig(restart=RestartPolicyName.ALWAYS), RestartPolicyName.ALWAYS),
    ],
)
def test_policy(process: ProcessConfig, policy: RestartPolicyName) -> None:
    assert restart(GlobalConfig(restart_policy=RestartPolicyName.ON_FAILURE), process).policy is policy


def test_stop_rules() -> None:
    assert stop(GlobalConfig(shutdown_timeout=10)).timeout_s == 10
    assert stop(GlobalConfig(shutdown_timeout=10), timeout=20.0).timeout_s == 20
    assert stop(GlobalConfig(shutdown_timeout=100)).timeout_s == 30
    assert stop(GlobalConfig(), timeout=0.0).timeout_s == 0
    rules = stop(GlobalConfig(), signal="SIGUSR1", kill_signal="SIGQUIT", mode=ShutdownMode.MAIN)
    assert (rules.signal, rules.kill_signal, rules.mode) == (
        signal.SIGUSR1,
        signal.SIGQUIT,
        ShutdownMode.MAIN,
    )
    assert stop(GlobalConfig(), graceful=False).signal == signal.SIGKILL


@pytest.mark.parametrize(
    ("own", "largest", "limit"), [(0, 100, 100), (5, 100, 5), (500, 100, 100), (0, 5000, 5000)]
)
def test_scale_limit(own: int, largest: int, limit: int) -> None:
    config = Config(
        global_=GlobalConfig(max_process_scale=largest), processes={"a": ProcessConfig(max_scale=own)}
    )
    assert config.scale_limit("a") == limit


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("SIGTERM", 15),
        ("term", 15),
        ("SigQuit", 3),
        (" 9 ", 9),
        ("RTMIN", int(signal.SIGRTMIN)),
        ("SIGRTMIN+3", int(signal.SIGRTMIN) + 3),
    ],
)
def test_signals(text: str, number: int) -> None:
    assert signal_number(text) == number
    assert signal_number(signal_name(number)) == number


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "999", "SIG", "NOPE", "TERM+1", "RTMIN+", "RTMIN+-1", "RTMIN+99"]
)
def test_no_signals(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        signal_number(text)


def test_loaded_values_are_effective(read: Read) -> None:
    text = """
        global: {shutdown_timeout: 20, restart_policy: never, restart_backoff: 1}
        processes:
          web: {command: a}
          job: {command: a, type: oneshot}
    """
    config = config_of(read(text))
    assert config.global_.restart_backoff_initial == 1.0
    assert config.global_.restart_backoff_max == 12.0
    assert config.processes["web"].restart is RestartPolicyName.NEVER
    assert config.processes["job"].restart is RestartPolicyName.NEVER
    assert config.processes["web"].shutdown.timeout == 20.0


def test_enabled_processes_depend_on_enabled_ones_alone() -> None:
    config = Config(
        processes={
            "b": ProcessConfig(depends_on=("a", "off", "gone")),
            "off": ProcessConfig(enabled=False),
            "a": ProcessConfig(),
        }
    )
    enabled = config.enabled_processes()
    assert list(enabled) == ["b", "a"]
    assert enabled["b"].depends_on == ("a",)
    assert config.processes["b"].depends_on == ("a", "off", "gone")
