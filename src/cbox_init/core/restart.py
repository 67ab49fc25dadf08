"""Whether and when an instance that ended by itself is restarted: policy, budget, backoff, stability."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct

from cbox_init.config.model import RestartPolicyName
from cbox_init.core.states import State

if TYPE_CHECKING:
    from cbox_init.config.rules import RestartRules

# 2 ** 62 times any wait is above any cap; an exponent without limit would overflow.
_LARGEST_DOUBLING = 62


#: An instance that ends with 0 after this uptime in seconds has done what it was started for.
SUCCESS_UPTIME_S = 1.0


class Cause(StrEnum):
    """Why an instance was restarted."""

    MANUAL = "manual"
    CRASH = "crash"
    NORMAL_EXIT = "normal_exit"
    HEALTH_CHECK = "health_check"
    MEMORY_LIMIT = "memory_limit"
    TIMEOUT = "timeout"  # a oneshot took longer than it may
    MAX_RUNTIME = "max_runtime"
    DEPENDENCY = "dependency"  # one of `restart_with` was replaced


class Trigger(StrEnum):
    """What an execution of a oneshot was begun by."""

    STARTUP = "startup"  # the start of the daemon
    RELOAD = "reload"  # another configuration, from the file or over the API
    MANUAL = "manual"  # a command
    RESTART = "restart"  # its restart policy
    SCHEDULE = "schedule"


class Ending(Struct, frozen=True):
    """How an instance ended: its exit code as a shell reports it, and the same in words.

    ``ended_for``: it did not end by itself, but was ended for this: its checks failed, it used too much
    memory, or took too long. That is a failure whatever its exit code. ``success_code`` says whether the exit
    code is a success; None: 0 is.
    """

    exit_code: int
    reason: str
    ended_for: Cause | None = None
    success_code: bool | None = None

    @property
    def success(self) -> bool:
        if self.ended_for is not None:
            return False
        return self.exit_code == 0 if self.success_code is None else self.success_code

    @property
    def status(self) -> int:
        """What the daemon ends with, when it ends for this: 0 for a success, never 0 for a failure."""
        return 0 if self.success else self.exit_code or 1

    @property
    def cause(self) -> Cause:
        """What a restart that follows is counted as."""
        if self.ended_for is not None:
            return self.ended_for
        return Cause.NORMAL_EXIT if self.success else Cause.CRASH


class RestartAfter(Struct, frozen=True):
    """It is restarted after ``delay_s``; ``attempts`` restarts of the budget are then used."""

    delay_s: float
    attempts: int


class NoRestart(Struct, frozen=True):
    """It stays as it is, for the stated reason, until it is started."""

    state: State
    reason: str


def after_exit(
    rules: RestartRules, *, oneshot: bool, attempts: int, uptime_s: float, ending: Ending
) -> RestartAfter | NoRestart:
    """What follows an end that was not asked for.

    ``attempts`` is the number of restarts used since the instance was last stable or last started by hand. An
    uptime of at least the stability window makes the budget new, and the restart needs no wait. An end with 0
    does not use the budget; after an uptime of `SUCCESS_UPTIME_S` it needs no wait either.
    """
    if not _wanted_by_policy(rules.policy, success=ending.success):
        return NoRestart(_final_state(oneshot, ending), f"{ending.reason}; restart is {rules.policy}")
    if 0 < rules.stability_window_s <= uptime_s:
        return RestartAfter(delay_s=0.0, attempts=0)
    if ending.success:
        # Nothing else limits these restarts: there is at most one start a second.
        least_s = SUCCESS_UPTIME_S - uptime_s
        delay_s = max(backoff_s(rules, attempts), least_s) if least_s > 0 else 0.0
        return RestartAfter(delay_s=delay_s, attempts=attempts)
    if 0 < rules.max_attempts <= attempts:
        return NoRestart(State.FAILED, f"gave up after {_times(attempts)}: {ending.reason}")
    return RestartAfter(delay_s=backoff_s(rules, attempts), attempts=attempts + 1)


def backoff_s(rules: RestartRules, attempts: int) -> float:
    """The wait before the next restart when ``attempts`` were made: doubling, up to the cap."""
    doubled = rules.backoff_initial_s * 2.0 ** min(attempts, _LARGEST_DOUBLING)
    return max(0.0, min(doubled, rules.backoff_max_s))


def _wanted_by_policy(policy: RestartPolicyName, *, success: bool) -> bool:
    if policy is RestartPolicyName.ON_FAILURE:
        return not success
    return policy is RestartPolicyName.ALWAYS


def _final_state(oneshot: bool, ending: Ending) -> State:
    if not ending.success:
        return State.FAILED
    return State.COMPLETED if oneshot else State.STOPPED


def _times(attempts: int) -> str:
    return "1 restart" if attempts == 1 else f"{attempts} restarts"
