"""One instance of a process, and what each event makes of it.

An instance is a value; every function here gives the next one. Monotonic times end in ``_at``, the time for
people is ``started_unix``.

    IDLE ──Spawn──▶ RUNNING ──exit──▶ (nothing left behind?) ──▶ WAITING ──due──▶ Spawn
                      │                     │ no                 or ENDED: failed, completed, stopped
                      │ Stop                ▼
                      └──────────────▶ STOPPING ──nothing left──▶ IDLE, or what an exit leads to
                                          ├─ at signal_at: Signal (at once, or when the pre-stop hook is over)
                                          └─ at kill_at: Kill, again every second until it is gone
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct, field
from msgspec.structs import replace

from cbox_init.core import health as checks
from cbox_init.core.restart import Cause, Ending, RestartAfter, after_exit
from cbox_init.core.states import Revision, State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cbox_init.config.rules import HealthRules, RestartRules, RunLimit, StopRules
    from cbox_init.core.health import CheckResult, InstanceHealth
    from cbox_init.core.notify import NotifyMessage

#: Seconds between two kills of an instance that a kill has not ended: what it forked meanwhile gets the next.
KILL_AGAIN_S = 1.0

#: Seconds until an instance is tried again for which the machine had no process, memory or descriptor left.
DEFER_S = 1.0

#: Seconds that pass at least between two tries to spawn an instance. A try that fails takes no time, so a
#: backoff of 0 would keep the daemon busy with nothing else.
SPAWN_AGAIN_S = 0.1


#: Seconds that an instance has between its stop signal and the kill when its pre-stop hook has used up the
#: grace period, unless that was shorter (as in Kubernetes).
LEAST_GRACE_S = 2.0


#: Seconds within which a main process that ends well and leaves others has gone into the background.
BACKGROUND_S = 10.0

#: The generation of an instance that is to be replaced: older than any, so that no rollback keeps it.
OLDEST = -1

_HOW = (
    "which are ended; run the program in the foreground "
    "(nginx -g 'daemon off;', php-fpm -F, httpd -DFOREGROUND, sshd -D, redis-server --daemonize no)"
)


class Phase(IntEnum):
    """Where an instance stands."""

    IDLE = 0  # nothing lives; it is spawned when it is wanted
    RUNNING = 1  # its main process lives
    STOPPING = 2  # it is being stopped, or its main process ended and left others behind
    WAITING = 3  # it comes back at ``due_at``
    ENDED = 4  # it ended by itself and stays so until it is started


class Termination(NamedTuple):
    """What an instance is ended or replaced for, and the same in words."""

    cause: Cause
    reason: str | None


class Instance(Struct, frozen=True, kw_only=True):
    """The observed state of one instance.

    ``generation`` and ``starts`` are those of the desired state that it was last spawned under (``starts``
    also: that its main process ended under); ``attempts`` the restarts used of the budget; ``asked`` whether
    a command is ending it, ``terminated_for`` what else is (failed checks, its memory), if anything;
    ``ending`` how its main process ended, when it has; ``health`` what the checks of its present run have
    shown, when it has any; ``excess`` in what it is above its memory limit, when it is.
    ``suspended`` says so while a signal has stopped its main process.
    ``last_exit_code`` is that of its last run that is over, also while the next one runs.
    ``signal_at`` is when the stop signal goes out that its pre-stop hook holds back, None when nothing holds
    it back.

    ``deferred_until`` is when the next try to spawn it is made after one for which the machine had no
    process, memory or descriptor left; 0 when there was none.

    ``renewed_at`` is when the first instance of its generation was tried, and ``proven`` whether that
    generation has been ready yet; ``ready_at`` is since when it has been ready, None while it is not.
    ``surge``: it was spawned beyond the scale, for the time of a rollout.

    ``again_at`` is the monotonic time of its last start, where it had run before.

    ``overran`` is what it is ended for when it takes longer than it may; ``replaced_for`` why it is replaced
    where no command asked for that. ``held``: a command has stopped this instance alone, and it stays down
    until it, or its process, is started or restarted.
    """

    index: int
    phase: Phase = Phase.IDLE
    generation: int = 0
    starts: int = 0
    pid: int = 0
    up_at: float = 0.0
    started_unix: float = 0.0
    spawned_before: bool = False
    restart_count: int = 0
    restart_causes: Mapping[Cause, int] = field(default_factory=dict)
    attempts: int = 0
    due_at: float = 0.0
    asked: bool = False
    terminated_for: Cause | None = None
    signal_at: float | None = None
    kill_at: float = 0.0
    killed: bool = False
    outcome: State = State.STOPPED
    ending: Ending | None = None
    last_exit_code: int | None = None
    ended_at: float = 0.0
    reason: str | None = None
    health: InstanceHealth | None = None
    renewed_at: float = 0.0
    again_at: float = 0.0
    proven: bool = False
    ready_at: float | None = None
    surge: bool = False
    excess: str | None = None
    overran: Termination | None = None
    replaced_for: Termination | None = None
    deferred_until: float = 0.0
    suspended: str | None = None
    held: bool = False

    @property
    def alive(self) -> bool:
        """Whether anything of it may be running."""
        return self.phase is Phase.RUNNING or self.phase is Phase.STOPPING

    @property
    def ready(self) -> bool:
        """Whether it may get work: it runs, and its checks and reports, if it has any, allow it."""
        return self.phase is Phase.RUNNING and (self.health is None or self.health.ready)

    @property
    def blocks_rollout(self) -> bool:
        """Whether a rollout waits for it: it goes down, waits to come up or to be ready, or has failed."""
        if self.phase is Phase.RUNNING:
            return not self.ready
        if self.phase is Phase.ENDED:
            return self.outcome is State.FAILED
        return self.phase in (Phase.STOPPING, Phase.WAITING)

    def stays_down(self, revision: Revision) -> bool:
        """Whether a command has stopped it alone, and none since wants it to run."""
        return self.held and not self.is_outdated(revision)

    def stops_alone(self, revision: Revision) -> bool:
        """Whether a command stops or restarts it alone: at once, whatever becomes of the others."""
        restarts = self.replaced_for is not None and self.replaced_for.cause is Cause.MANUAL
        return restarts or self.stays_down(revision)

    @property
    def stalled(self) -> bool:
        """Whether it runs, is not ready, and its time to become ready is over."""
        if self.phase is not Phase.RUNNING or self.health is None:
            return False
        return not self.health.ready and not self.health.may_become_healthy

    @property
    def termination(self) -> Termination | None:
        """Why it must be ended without a command; None when it may run on."""
        if self.health is not None and self.health.fatal:
            return Termination(Cause.HEALTH_CHECK, self.health.reason)
        if self.excess:
            return Termination(Cause.MEMORY_LIMIT, self.excess)
        return self.overran

    def is_outdated(self, revision: Revision) -> bool:
        """Whether a start or restart was requested since it was spawned."""
        return self.generation < revision.generation or self.starts < revision.starts

    @property
    def state(self) -> State:
        """The state that the API shows."""
        if self.deferred_until and not self.alive:
            return State.STARTING
        match self.phase:
            case Phase.RUNNING:
                return State.RUNNING
            case Phase.STOPPING:
                return State.STOPPING
            case Phase.WAITING:
                return State.STARTING
            case Phase.ENDED:
                return self.outcome
        return State.STOPPED


def spawned(
    instance: Instance,
    *,
    pid: int,
    now: float,
    unix: float,
    revision: Revision,
    health: HealthRules | None = None,
) -> Instance:
    """Its main process runs; from now on it is checked by the rules ``health``, when it has any."""
    running = replace(
        _tried(instance, revision, now=now),
        phase=Phase.RUNNING,
        pid=pid,
        up_at=now,
        started_unix=unix,
        ending=None,
        health=None if health is None else checks.begin(health, now=now),
        excess=None,
        overran=None,
        replaced_for=None,
        again_at=now if instance.spawned_before else 0.0,
    )
    return _judged(running, now=now)


def spawn_failed(
    instance: Instance, ending: Ending, *, now: float, revision: Revision, rules: RestartRules, oneshot: bool
) -> Instance:
    """It could not be started: the restart policy decides as for an exit at once."""
    tried = replace(
        _tried(instance, revision, now=now),
        up_at=now,
        ending=ending,
        last_exit_code=ending.exit_code,
        ended_at=now,
    )
    return _ended_by_itself(tried, now=now, earliest_at=now + SPAWN_AGAIN_S, rules=rules, oneshot=oneshot)


def spawn_deferred(instance: Instance, reason: str, *, now: float) -> Instance:
    """The machine has nothing left to start it with: it is tried again, and its restart budget is kept."""
    return replace(instance, deferred_until=now + DEFER_S, reason=f"waiting to start: {reason}")


def _tried(instance: Instance, revision: Revision, *, now: float) -> Instance:
    """Stamped with what it is spawned under. A start or restart by hand makes its budget new.

    It is a restart when the restart policy or a restart command brings it back. A start of what was stopped
    or given up is none.
    """
    restarted = instance.generation < revision.generation
    again = instance.spawned_before and (restarted or instance.phase is Phase.WAITING)
    renewed = restarted or not instance.spawned_before
    causes = instance.restart_causes
    if again:
        ending = instance.ending
        if restarted:
            cause = instance.replaced_for.cause if instance.replaced_for else Cause.MANUAL
        else:
            cause = Cause.MANUAL if ending is None else ending.cause
        causes = {**causes, cause: causes.get(cause, 0) + 1}
    return replace(
        instance,
        generation=revision.generation,
        starts=revision.starts,
        spawned_before=True,
        restart_count=instance.restart_count + again,
        restart_causes=causes,
        attempts=0 if instance.is_outdated(revision) else instance.attempts,
        reason=None,
        deferred_until=0.0,
        renewed_at=now if renewed else instance.renewed_at,
        proven=instance.proven and not renewed,
        held=False,
    )


def stop_begun(instance: Instance, *, now: float, rules: StopRules) -> Instance:
    """A command ends it; what is left of it is killed after the grace period.

    A pre-stop hook comes first, within that time. When the instance was ending by itself (its descendants
    were), the time it has left is not prolonged, and no hook is run.
    """
    if instance.phase is Phase.STOPPING:
        return replace(instance, asked=True)
    reason = instance.replaced_for.reason if instance.replaced_for else None
    return replace(_stopping(instance, now=now, rules=rules), asked=True, reason=reason)


def pre_stop_ended(instance: Instance, *, now: float) -> Instance:
    """Its pre-stop hook is over, well or not."""
    return instance if instance.signal_at is None else replace(instance, signal_at=now)


def signalled(instance: Instance, *, now: float, rules: StopRules) -> Instance:
    """The stop signal that the pre-stop hook held back has gone out."""
    least = now + min(LEAST_GRACE_S, rules.timeout_s)
    return replace(instance, signal_at=None, kill_at=max(instance.kill_at, least))


def post_stop_begun(instance: Instance, *, now: float, rules: StopRules) -> Instance:
    """It was stopped, nothing of it is left, and its post-stop hook has begun."""
    return replace(instance, signal_at=None, kill_at=now + rules.post_stop_s)


def checked(instance: Instance, result: CheckResult, *, now: float) -> Instance:
    """A check has ended, or could not be run."""
    assert instance.health is not None
    if not result.ran:
        health = checks.after_none(instance.health, result.reason or "", now=now)
        return replace(instance, health=health)
    return _judged(replace(instance, health=checks.after(instance.health, result)), now=now)


def notified(instance: Instance, message: NotifyMessage, *, now: float) -> Instance:
    """It has sent a message about its state (sd_notify)."""
    assert instance.health is not None
    return _judged(replace(instance, health=checks.notified(instance.health, message, now=now)), now=now)


def rechecked(instance: Instance, rules: HealthRules | None, *, now: float) -> Instance:
    """It runs on, and is checked in another way from now on; not at all without ``rules``."""
    health = None if rules is None else checks.begin_recheck(instance.health, rules, now=now)
    return _judged(replace(instance, health=health), now=now)


def counted_as(instance: Instance, *, generation: int) -> Instance:
    """A rollback: one that runs counts as one of ``generation``, since it was started from its configuration.

    Any other stays of an older generation, so that it is started again when nothing of it lives.
    """
    return replace(instance, generation=generation) if instance.phase is Phase.RUNNING else instance


def overdue_noted(instance: Instance) -> Instance:
    """It has not become healthy in the time that a start has."""
    assert instance.health is not None
    return replace(instance, health=checks.overdue(instance.health))


def suspended(instance: Instance, reason: str | None) -> Instance:
    """A signal has suspended its main process, for the stated reason; None: it goes on."""
    return replace(instance, suspended=reason)


def unreachable(instance: Instance, reason: str, *, now: float) -> Instance:
    """It could not be sent its stop signal: it gets no time to act on it."""
    return replace(instance, reason=reason, signal_at=None, kill_at=now)


def memory_measured(instance: Instance, excess: str | None) -> Instance:
    """Its memory was measured; ``excess`` describes by what it is above its limit, if it is."""
    return replace(instance, excess=excess)


def expired(instance: Instance, limit: RunLimit, revision: Revision, *, oneshot: bool) -> Instance:
    """It has run as long as it may: it counts as one of an older generation and is replaced like these, or is
    ended and has failed.
    """
    if oneshot:
        return replace(instance, overran=Termination(Cause.TIMEOUT, f"timed out after {limit.seconds:g} s"))
    why = Termination(Cause.MAX_RUNTIME, f"has run for its max_runtime of {limit.seconds:g} s")
    if not limit.replaces:
        return replace(instance, overran=why)
    return replace(instance, generation=OLDEST, replaced_for=why)


def replaced_with(instance: Instance, reason: str) -> Instance:
    """It is restarted with another process, for the stated reason."""
    return replace(instance, replaced_for=Termination(Cause.DEPENDENCY, reason))


def restarted_alone(instance: Instance) -> Instance:
    """A command restarts it alone: it counts as one of no generation, and is replaced at once."""
    return replace(instance, held=False, generation=OLDEST, replaced_for=Termination(Cause.MANUAL, None))


def held_down(instance: Instance, revision: Revision) -> Instance:
    """A command stops it alone. A start or restart that was asked for before does not bring it back."""
    held = replace(instance, held=True, generation=revision.generation, starts=revision.starts)
    return held if held.alive else _stays_down(held)


def terminated(instance: Instance, *, now: float, revision: Revision, rules: StopRules) -> Instance:
    """It is ended as by a command, for its ``termination``; what follows is what follows a crash.

    A start that was requested until now is done: it has run.
    """
    termination = instance.termination
    assert termination is not None
    return replace(
        _stopping(instance, now=now, rules=rules),
        asked=False,
        terminated_for=termination.cause,
        starts=revision.starts,
        reason=termination.reason,
    )


def _stopping(instance: Instance, *, now: float, rules: StopRules) -> Instance:
    kill_at = now + rules.timeout_s
    return replace(
        instance,
        phase=Phase.STOPPING,
        signal_at=kill_at if rules.pre_stop else None,
        kill_at=kill_at,
        killed=False,
    )


def killed(instance: Instance, *, now: float) -> Instance:
    """It was sent the kill signal."""
    return replace(instance, killed=True, kill_at=now + KILL_AGAIN_S)


def main_exited(instance: Instance, ending: Ending, *, now: float) -> Instance:
    """Its main process has ended; whether others are left is not known yet."""
    if instance.terminated_for is not None:
        ending = Ending(ending.exit_code, instance.reason or ending.reason, instance.terminated_for)
    return replace(
        instance, pid=0, ending=ending, last_exit_code=ending.exit_code, ended_at=now, suspended=None
    )


def went_into_background(instance: Instance, left: int) -> Ending | None:
    """How it has ended when its main process ended well and soon and left others; else None."""
    ending = instance.ending
    if instance.phase is not Phase.RUNNING or ending is None or not ending.success or not left:
        return None
    if instance.ended_at - instance.up_at > BACKGROUND_S:
        return None
    processes = "1 process" if left == 1 else f"{left} processes"
    return replace(ending, reason=f"{ending.reason}: it left {processes} behind, {_HOW}")


def left_behind(
    instance: Instance, ending: Ending | None = None, *, now: float, rules: StopRules
) -> Instance:
    """Its main process has ended and left others, which are stopped as in a stop.

    ``ending`` replaces how it has ended, in other words.
    """
    if ending is not None:
        instance = replace(instance, ending=ending, reason=ending.reason)
    if instance.phase is Phase.STOPPING:
        return instance
    return replace(instance, phase=Phase.STOPPING, asked=False, kill_at=now + rules.timeout_s, killed=False)


def gone(
    instance: Instance, *, now: float, revision: Revision, rules: RestartRules, oneshot: bool
) -> Instance:
    """Nothing of it is left. What follows depends on whether a command ended it.

    A start that was asked for while it ran is answered by its having run, hence the new ``starts``. One that
    came while its descendants were ending is not: it must run again.
    """
    if instance.stays_down(revision):
        return _stays_down(instance)
    if instance.phase is Phase.STOPPING:
        if instance.asked:
            return restart_cancelled(instance)
    else:
        instance = replace(instance, starts=revision.starts)
    return _ended_by_itself(instance, now=now, earliest_at=now, rules=rules, oneshot=oneshot)


def unverified(instance: Instance, unseen: str) -> Instance:
    """Whether something of it is left cannot be known, for the stated reason."""
    text = f"whether it left processes behind is not known: {unseen}"
    return replace(instance, reason=f"{instance.reason}; {text}" if instance.reason else text)


def restart_cancelled(instance: Instance) -> Instance:
    """A command ended it, or its wait for a restart: it comes back when it is wanted again."""
    return replace(
        _settled(instance), phase=Phase.IDLE, attempts=0, due_at=0.0, reason=None, deferred_until=0.0
    )


def _stays_down(instance: Instance) -> Instance:
    return replace(
        restart_cancelled(instance), phase=Phase.ENDED, outcome=State.STOPPED, reason="stopped by a command"
    )


def _ended_by_itself(
    instance: Instance, *, now: float, earliest_at: float, rules: RestartRules, oneshot: bool
) -> Instance:
    ending = instance.ending
    assert ending is not None, "main_exited or spawn_failed said how it ended"
    verdict = after_exit(
        rules,
        oneshot=oneshot,
        attempts=instance.attempts,
        uptime_s=instance.ended_at - instance.up_at,
        ending=ending,
    )
    settled = _settled(instance)
    if isinstance(verdict, RestartAfter):
        return replace(
            settled,
            phase=Phase.WAITING,
            attempts=verdict.attempts,
            due_at=max(earliest_at, instance.ended_at + verdict.delay_s),
            reason=ending.reason,
        )
    return replace(settled, phase=Phase.ENDED, outcome=verdict.state, reason=verdict.reason)


def _judged(instance: Instance, *, now: float) -> Instance:
    """With its readiness by its checks, or by running where it has none."""
    if not instance.ready:
        return replace(instance, ready_at=None)
    return replace(instance, proven=True, ready_at=now if instance.ready_at is None else instance.ready_at)


def _settled(instance: Instance) -> Instance:
    """Nothing of it lives."""
    return replace(
        instance,
        pid=0,
        asked=False,
        terminated_for=None,
        signal_at=None,
        killed=False,
        health=None,
        excess=None,
        overran=None,
        ready_at=None,
    )
