"""What counts for one process: its own keys, the global ones and the defaults, put together."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Final, TypeVar

from msgspec import Struct

from cbox_init.config.model.enums import (
    ClientAuth,
    HealthCheckMode,
    OnExit,
    ProcessType,
    RestartPolicyName,
    RolloutFailure,
    RolloutStrategy,
    ShutdownMode,
)

if TYPE_CHECKING:
    from cbox_init.config.model.global_ import GlobalConfig
    from cbox_init.config.model.hooks import HookConfig
    from cbox_init.config.model.process import ProcessConfig

T = TypeVar("T", int, float)

_STOP_TIMEOUT_S: Final = 30.0
_CERTIFIED: Final = (ClientAuth.REQUIRE, ClientAuth.VERIFY)
_BACKOFF_GROWTH: Final = 12
_LAST_PORT: Final = 65535

#: Seconds after its kill that a hook is waited for; what the kernel cannot end is left.
HOOK_KILL_S: Final = 2.0


class RestartRules(Struct, frozen=True, kw_only=True):
    """Whether an instance that ended comes back, and when.

    ``max_attempts`` of 0 is unlimited; a ``stability_window_s`` of 0 or less is off.
    """

    policy: RestartPolicyName
    max_attempts: int
    backoff_initial_s: float
    backoff_max_s: float
    stability_window_s: float


class StopRules(Struct, frozen=True, kw_only=True):
    """How an instance is stopped: ``signal`` to the group or the main process, then ``kill_signal`` to the
    group when ``timeout_s`` has passed. Signals are numbers.

    ``pre_stop`` says whether a hook comes before the signal; ``post_stop_s`` is the longest that the hook
    after the end takes, 0 without one.
    """

    signal: int
    timeout_s: float
    kill_signal: int
    mode: ShutdownMode
    pre_stop: bool = False
    post_stop_s: float = 0.0


class RolloutRules(Struct, frozen=True, kw_only=True):
    """How many old instances may be down, and how many new ones there may be beyond the scale, at a time.

    ``highest_index`` is the largest that a surge instance may have, None for any. A new instance has to be
    ready ``ready_timeout_s`` after its start; where that is None, as soon as ``start_timeout_s`` and its
    health check say; 0 is no limit.
    """

    strategy: RolloutStrategy = RolloutStrategy.ROLLING
    max_surge: int = 0
    max_unavailable: int = 1
    highest_index: int | None = None
    ready_timeout_s: float | None = None
    start_timeout_s: float = 0.0
    pause_s: float = 0.0
    rollback: bool = False


class HealthRules(Struct, frozen=True, kw_only=True):
    """When an instance is checked, and what the results mean.

    ``start_timeout_s`` is how long after its first check it may take to become healthy, 0 for no limit: until
    then failures do not end it, and it is checked every ``start_interval_s``. With ``strict`` an instance
    whose liveness counts is ended then. ``announced``: it reports itself when it is ready, and need not be
    ``checked``; by a line that matches ``pattern``, where that is given.
    """

    liveness: bool
    readiness: bool
    initial_delay_s: float
    period_s: float
    timeout_s: float
    failure_threshold: int
    success_threshold: int
    start_timeout_s: float
    start_interval_s: float
    strict: bool
    checked: bool = True
    announced: bool = False
    pattern: str | None = None


class RunLimit(Struct, frozen=True):
    """How long an instance may run. It is then replaced as by a restart, or is ended and has failed."""

    seconds: float
    replaces: bool


def run_limit(global_: GlobalConfig, process: ProcessConfig) -> RunLimit | None:
    """The time limit of the instances of ``process``, None without one; that of the runs of a schedule is
    `schedule_timeout`. One that is never restarted is not replaced."""
    once = process.type is ProcessType.ONESHOT
    seconds = process.timeout if once else process.max_runtime
    if not seconds or process.schedule:
        return None
    return RunLimit(
        seconds, not once and restart_rules(global_, process).policy is not RestartPolicyName.NEVER
    )


def restart_rules(global_: GlobalConfig, process: ProcessConfig) -> RestartRules:
    """The restart rules of ``process``: its own keys over the global ones.

    Without a ``restart`` of its own, neither a oneshot nor a process with ``on_exit: shutdown`` is restarted.
    Where no cap is given, a longer first wait raises it.
    """
    policy = process.restart
    if policy is None:
        once = process.type is ProcessType.ONESHOT or process.on_exit is OnExit.SHUTDOWN
        policy = RestartPolicyName.NEVER if once else global_.restart_policy
    initial, cap = global_backoff(global_)
    if process.restart_delay is not None:
        initial = process.restart_delay
        cap = max(cap, initial)
    return RestartRules(
        policy=policy,
        max_attempts=_first(process.max_restarts, global_.max_restart_attempts),
        backoff_initial_s=initial,
        backoff_max_s=_first(process.max_restart_delay, cap),
        stability_window_s=_first(process.restart_threshold, global_.restart_stability_window),
    )


def global_backoff(global_: GlobalConfig) -> tuple[float, float]:
    """The first and the longest wait before a restart, in seconds, for processes without their own."""
    initial = _first(global_.restart_backoff_initial, global_.restart_backoff)
    cap = _first(global_.restart_backoff_max, max(initial, _BACKOFF_GROWTH * global_.restart_backoff))
    return initial, cap


def stop_rules(global_: GlobalConfig, process: ProcessConfig) -> StopRules:
    """The stop rules of ``process``. Without ``graceful`` the kill signal is sent at once, without a hook."""
    shutdown = process.shutdown
    kill_signal = signal_number(shutdown.kill_signal)
    return StopRules(
        signal=signal_number(shutdown.signal) if shutdown.graceful else kill_signal,
        timeout_s=_first(shutdown.timeout, min(_STOP_TIMEOUT_S, global_.shutdown_timeout)),
        kill_signal=kill_signal,
        mode=shutdown.mode,
        pre_stop=shutdown.pre_stop_hook is not None and shutdown.graceful,
        post_stop_s=longest_s(shutdown.post_stop_hook) if shutdown.post_stop_hook else 0.0,
    )


def longest_s(hook: HookConfig) -> float:
    """The longest that a hook takes, with all its tries."""
    return (hook.retry + 1) * (hook.timeout + HOOK_KILL_S) + hook.retry * hook.retry_delay


def health_rules(global_: GlobalConfig, process: ProcessConfig) -> HealthRules | None:
    """The health rules of ``process``, None when it has no check and does not report its readiness."""
    check, line = process.health_check, process.ready_when
    pattern = line.log if line is not None else None
    announced = process.type is ProcessType.NOTIFY or pattern is not None
    limit_s = line.timeout if line is not None else None
    if check is None:
        start_timeout_s = _first(limit_s, global_.process_start_timeout)
        return _announced_only(global_, start_timeout_s, pattern) if announced else None
    period_s = _first(check.period, global_.health_check_interval)
    return HealthRules(
        liveness=check.mode is not HealthCheckMode.READINESS,
        readiness=check.mode is not HealthCheckMode.LIVENESS,
        initial_delay_s=check.initial_delay,
        period_s=period_s,
        timeout_s=check.timeout,
        failure_threshold=check.failure_threshold,
        success_threshold=check.success_threshold,
        start_timeout_s=_first(limit_s, _first(check.start_period, global_.process_start_timeout)),
        start_interval_s=min(check.start_interval, period_s),
        strict=global_.health_check_strict,
        announced=announced,
        pattern=pattern,
    )


def _announced_only(global_: GlobalConfig, start_timeout_s: float, pattern: str | None) -> HealthRules:
    """The rules for a process that reports its readiness, without a check."""
    return HealthRules(
        liveness=True,
        readiness=True,
        initial_delay_s=0.0,
        period_s=0.0,
        timeout_s=0.0,
        failure_threshold=1,
        success_threshold=1,
        start_timeout_s=start_timeout_s,
        start_interval_s=0.0,
        strict=global_.health_check_strict,
        checked=False,
        announced=True,
        pattern=pattern,
    )


def rollout_rules(global_: GlobalConfig, process: ProcessConfig) -> RolloutRules:
    """The rollout rules of ``process``.

    Where it does not say how many, there is one surge instance when that can listen beside the others and a
    check tells when it is ready, and then none is down; else one is down at a time. `max_scale` is exceeded
    only where the file asks for surge instances itself.
    """
    rollout = process.rollout
    surge, unavailable = rollout.max_surge, rollout.max_unavailable
    highest = _LAST_PORT - process.port_base if process.port_base else None
    if process.type is ProcessType.ONESHOT:
        surge = 0
    elif surge is None:
        surge = int(bool(process.port_base) and gets_ready(process))
        if process.max_scale:
            highest = process.max_scale - 1 if highest is None else min(highest, process.max_scale - 1)
    return RolloutRules(
        strategy=rollout.strategy,
        max_surge=surge,
        max_unavailable=int(not surge) if unavailable is None else unavailable,
        highest_index=highest,
        ready_timeout_s=rollout.ready_timeout,
        start_timeout_s=global_.process_start_timeout,
        pause_s=rollout.pause,
        rollback=rollout.on_failure is RolloutFailure.ROLLBACK,
    )


def gets_ready(process: ProcessConfig) -> bool:
    """Whether the readiness of an instance is reported or checked, so that running alone does not suffice."""
    check = process.health_check
    if process.type is ProcessType.NOTIFY or process.ready_when is not None:
        return True
    return check is not None and check.mode is not HealthCheckMode.LIVENESS


def signal_number(name: str) -> int:
    """The number of a signal by name ("SIGTERM", "term", "RTMIN+3") or number; ValueError when unknown."""
    text = name.strip().upper()
    if text.isascii() and text.isdigit():
        return int(signal.Signals(int(text)))
    base, plus, offset = text.removeprefix("SIG").partition("+")
    member = signal.Signals.__members__.get(f"SIG{base}")
    if member is None or (plus and base != "RTMIN"):
        raise ValueError(f"unknown signal: {name!r}")
    if not plus:
        return int(member)
    number = int(member) + int(offset)
    if not signal.SIGRTMIN <= number <= signal.SIGRTMAX:
        raise ValueError(f"unknown signal: {name!r}")
    return number


def signal_name(number: int) -> str:
    """The name of a signal: "SIGTERM", or "SIGRTMIN+3" where it has none of its own."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIGRTMIN+{number - signal.SIGRTMIN}"


def _first(given: T | None, default: T) -> T:
    return default if given is None else given


def identified(global_: GlobalConfig) -> bool:
    """Whether a client on TCP has to say who it is, by a token or a certificate."""
    tls = global_.api_tls
    certificates = tls is not None and tls.enabled and tls.client_auth in _CERTIFIED
    tokens = global_.api_auth is not None or bool(global_.api_tokens)
    return tokens or certificates or bool(global_.api_certificate_roles)


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to what listens on ``host``."""
    numeric = host.startswith("127.") and host.replace(".", "").isdecimal()
    return numeric or host in ("localhost", "::1")
