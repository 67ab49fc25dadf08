"""A process with a schedule: starts its runs when they are due, limits their time, records their ends.

The `Timetable` calls ``run_due``. Each run is an instance, so that its output and its stop are handled like
those of any instance. ``reconcile`` starts due runs, stops those that take too long, and records those that
have ended.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Self

from msgspec import Struct
from msgspec.structs import replace

from cbox_init.config.model import ProcessType, RestartPolicyName
from cbox_init.core.decide import Forget, Spawn, Stop
from cbox_init.core.dependencies import new_gate, updated_gate
from cbox_init.core.restart import Ending, Trigger
from cbox_init.core.schedule import (
    FinishedRun,
    RunTotals,
    decide_due,
    decide_runs,
    missed_while_down,
    next_due,
    refusal,
    with_run,
)
from cbox_init.core.states import Desired, State
from cbox_init.cron import find_zone, parse
from cbox_init.errors import Conflict
from cbox_init.supervisor.base import ProcessBase
from cbox_init.supervisor.instance.context import InstanceContext
from cbox_init.supervisor.instance.instances import Instances
from cbox_init.supervisor.instance.launch import RunLaunch, run_id
from cbox_init.supervisor.schedule.overdue_alert import OverdueAlert
from cbox_init.supervisor.status import (
    InstanceStatus,
    ProcessStatus,
    RunStatus,
    ScheduleState,
    ScheduleStatus,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from cbox_init.config.model import HeartbeatConfig
    from cbox_init.config.settings import ProcessSettings
    from cbox_init.core.changes import Aim, Standing
    from cbox_init.core.decide import Action
    from cbox_init.core.dependencies import Gate
    from cbox_init.core.schedule import Times
    from cbox_init.logs.process import ProcessLog
    from cbox_init.supervisor.managed import Host
    from cbox_init.supervisor.runtime import Runtime
    from cbox_init.supervisor.schedule.heartbeat import Heartbeat
    from cbox_init.supervisor.schedule.kept_times import KeptTimes
    from cbox_init.supervisor.schedule.timetable import Timetable


class _Begun(Struct):
    """A run that is due or under way.

    ``ended_for`` says why it was stopped. ``in_history``: the history of oneshots has its beginning.
    """

    manual: bool
    started_unix: float
    started_at: float
    ended_for: str | None = None
    in_history: bool = False


class ScheduledProcess(ProcessBase):
    """A process that runs at the times of its schedule.

    ``stop`` pauses the schedule and ends the runs; ``start`` resumes it; ``restart`` ends the runs, and the
    schedule goes on. To end runs raises the generation: runs of an older one are stopped. A run that failed
    is not repeated; the next run is that of the schedule. ``heartbeat_of`` makes the heartbeat of a
    configuration.
    """

    scale_limit = 0
    ended = None
    given_up = None
    ready = True  # what depends on a schedule does not wait for a run of it
    up = True
    restart_pending = False
    ended_for_good = False  # a schedule is active, or can be resumed
    last_end = None  # the end of a run is not the end of the process

    def __init__(
        self,
        name: str,
        settings: ProcessSettings,
        *,
        history_size: int,
        runtime: Runtime,
        log: ProcessLog,
        host: Host,
        timetable: Timetable,
        kept: KeptTimes | None,
        heartbeat_of: Callable[[HeartbeatConfig | None], Heartbeat | None],
    ) -> None:
        super().__init__(name, settings, Desired(run=False, scale=0), runtime=runtime, log=log, host=host)
        config = settings.process
        self._timetable = timetable
        self._kept = kept
        self._at_start: Gate | None = None
        self._heartbeat_of = heartbeat_of
        self._heartbeat = heartbeat_of(config.heartbeat)
        self._times: Times = self._times_from(0.0)
        self._closed = False
        self._was_active = False
        self._answered = 0.0
        self._next: float | None = None
        self._started = 0
        self._last_run: float | None = None
        self._due: deque[int] = deque()
        self._begun: dict[int, _Begun] = {}
        self._totals = RunTotals()
        self._history: deque[FinishedRun] = deque(maxlen=history_size)
        self._alert = OverdueAlert.of(config.heartbeat)
        self._instances = Instances(
            InstanceContext(
                name,
                _of_runs(settings),
                runtime=runtime,
                log=log,
                on_event=self._changed_and_wake,
                launch=RunLaunch(name, config, runtime.environ, unix=runtime.unix),
            )
        )

    # -- commands --------------------------------------------------------------------------------------

    def pause(self) -> None:
        """Begin no run until it is resumed; those under way go on."""
        if self.desired.run and not self._closed:
            self._runtime.events.emit("schedule.paused", self.name)
        self.desired = replace(self.desired, run=False)
        self._next = self._at_start = None
        if self._kept is not None and not self._closed:  # times that pass while the daemon is down count
            self._kept.forget(self.name)
        self._timetable.remove(self)
        self._alert = self._alert.ended()
        self._changed_and_wake()

    def resume(self) -> None:
        """Begin runs at their times again. Times that passed during the pause do not count as missed."""
        if self._closed or self.desired.run:
            return
        if self._was_active:
            self._runtime.events.emit("schedule.resumed", self.name)
        self._times = self._times_from(self._runtime.unix())
        self._note_answered(self._runtime.unix())
        self._resume()

    def _resume(self) -> None:
        self._was_active = True
        self.desired = replace(self.desired, run=True)
        self._alert = self._alert.begun(self._runtime.now())
        self._timetable.enter(self)
        self._changed_and_wake()

    def trigger(self) -> int:
        """Run now; gives the number of the run. Raises Conflict."""
        if reason := self._refusal():
            raise Conflict(f"cannot trigger {self.name}: {reason}")
        return self._request_run(manual=True)

    def start(self, trigger: Trigger = Trigger.MANUAL) -> None:
        """Resume the schedule. At the start of the daemon it also runs for times that were missed before."""
        if trigger is Trigger.STARTUP and not self._closed and not self.desired.run:
            self._start_with_daemon()
        else:
            self.resume()

    def stop(self) -> None:
        """Pause the schedule and end the runs."""
        self.pause()
        self._end_runs("stopped by hand")

    def restart(self, trigger: Trigger = Trigger.MANUAL) -> None:
        """End the runs; the schedule goes on."""
        self._end_runs("ended by a restart")
        self.resume()

    def scale(self, count: int) -> None:
        """Raises Conflict: runs are limited by ``schedule_max_concurrent``."""
        raise Conflict(
            f"cannot scale {self.name}: it has a schedule; schedule_max_concurrent limits its runs"
        )

    def abandon_rollout(self) -> bool:
        """Runs are not replaced."""
        return False

    def stop_instance(self, index: int) -> None:
        """A run cannot be stopped alone: `supervisor.actions` refuses it."""

    def restart_instance(self, index: int) -> None:
        """A run cannot be restarted alone: `supervisor.actions` refuses it."""

    def kill(self) -> None:
        """Kill all runs without a grace period; none begins any more."""
        self._close()
        self.stop()
        self._instances.kill_all()

    def adopt(self, settings: ProcessSettings) -> None:
        """Use another configuration from the next run on; runs under way keep theirs.

        A schedule that was paused by hand stays paused, unless ``initial_state`` has changed.
        """
        before, process = self.config, settings.process
        self._settings = settings
        self._heartbeat = self._heartbeat_of(process.heartbeat)
        launch = RunLaunch(self.name, process, self._runtime.environ, unix=self._runtime.unix)
        self._instances.adopt(_of_runs(settings), launch=launch)
        if (before.schedule, before.schedule_timezone) != (process.schedule, process.schedule_timezone):
            self._times = self._times_from(self._runtime.unix())
            if self.desired.run:
                self._note_answered(self._runtime.unix())
                self._timetable.enter(self)
        if before.heartbeat != process.heartbeat:
            self._alert = OverdueAlert.of(process.heartbeat)
            if self.desired.run:
                self._alert = self._alert.begun(self._runtime.now())
        if before.initial_state is not process.initial_state:
            self._start_or_stop()
        self._changed_and_wake()

    def reinstate(self, settings: ProcessSettings) -> None:
        """Undo its removal, which has begun, and use ``settings``: it is configured again."""
        self.adopt(settings)
        self._start_or_stop()

    def begin_shutdown(self) -> None:
        """Begin no run any more, as the daemon ends; those under way go on until ``stop``."""
        self._close()
        if self.alive:
            self._runtime.log.info("Scheduled process has time to finish its runs", process=self.name)

    def release(self) -> None:
        """Leave the timetable and its parts."""
        self._timetable.remove(self)
        if self._kept is not None and not self._closed:  # times that pass while the daemon is down count
            self._kept.forget(self.name)
        self._instances.release()

    # -- queries ---------------------------------------------------------------------------------------

    @property
    def schedule(self) -> Self:
        """Itself: it has the commands of a schedule."""
        return self

    @property
    def runs_begun(self) -> int:
        """How many runs have begun."""
        return self._started

    @property
    def alive(self) -> bool:
        """Whether a process of a run may be running, or is about to."""
        return self._instances.alive or bool(self._due)

    @property
    def settled(self) -> bool:
        """Whether the last command has had its effect."""
        generation = self.desired.generation
        return all(run.generation >= generation for run in self._instances.observed.values())

    def standing(self, aim: Aim) -> Standing:
        """How far a command is that wanted ``aim`` of it."""
        from cbox_init.core.changes import runs_standing

        return runs_standing(aim, self.desired, self.instances)

    @property
    def drain_s(self) -> float:
        """For how long its runs may go on when the daemon ends, in seconds; 0 without any."""
        return self._settings.stop_rules.timeout_s if self.alive else 0.0

    def history(self, limit: int) -> list[RunStatus]:
        """The last ``limit`` runs that are over, newest first."""
        runs = list(self._history)[-limit:][::-1]
        return [
            RunStatus(
                id=run_id(self.name, run.number),
                started_at=run.started_unix,
                ended_at=run.ended_unix,
                exit_code=run.exit_code,
                error=run.error,
                manual=run.manual,
            )
            for run in runs
        ]

    # -- times -----------------------------------------------------------------------------------------

    def upcoming(self, after: float) -> Iterator[float]:
        """The Unix times after this one at which it starts runs; none when it is paused."""
        at = self._next if self.desired.run and not self._closed else None
        times = self._times
        if at is not None and at <= after:
            at = times.after(after)
        while at is not None:
            yield at
            at = times.after(at)

    def next_due(self, now: float) -> float | None:
        """The Unix time of the next run, for the timetable; remembers it for the status."""
        due = None if not self.desired.run or self._closed else next_due(self._times, now, self._answered)
        if due != self._next:
            self._next = due
            self._changed()
        return due

    def run_due(self, due: float, now: float) -> None:
        """Run, as the time ``due`` has come, unless it was missed and is skipped, or no run can begin."""
        self._answered = now
        self._note_answered(now)
        if not self._is_to_run(due, now):
            return
        if reason := self._refusal():
            self._skipped(reason)
            return
        self._request_run(manual=False)

    def _skipped(self, reason: str) -> None:
        self._runtime.log.warn("Scheduled run is skipped", process=self.name, error=reason)
        self._runtime.events.emit("schedule.run_skipped", self.name, reason=reason)

    def _is_to_run(self, due: float, now: float) -> bool:
        """Whether to run for the time ``due``; says when it was missed."""
        verdict = decide_due(self._times, due, now, self.config.schedule_misfire)
        if verdict.missed:
            self._runtime.log.warn(
                "Scheduled time was missed",
                process=self.name,
                late=round(now - due, 3),
                misfire=str(self.config.schedule_misfire),
            )
        if not verdict.run:
            self._runtime.events.emit("schedule.run_skipped", self.name, reason="its time was missed")
        return verdict.run

    def _times_from(self, origin: float) -> Times:
        """The times of its schedule; an interval counts from the Unix time ``origin``."""
        config = self.config
        zone = find_zone(config.schedule_timezone, self._runtime.environ)
        return parse(config.schedule or "", zone, origin=origin)

    def _note_answered(self, now: float) -> None:
        if self._kept is not None:
            config = self.config
            self._kept.note(self.name, config.schedule or "", config.schedule_timezone, now)

    def _start_with_daemon(self) -> None:
        """Begin at the start of the daemon, with a run where ``run_on_start`` or a missed time requires one.

        That run waits for the dependencies. An interval goes on from the last run that is known.
        """
        config, now = self.config, self._runtime.unix()
        kept = None
        if self._kept is not None:
            kept = self._kept.take(self.name, config.schedule or "", config.schedule_timezone)
        known = kept is not None and kept <= now
        self._times = self._times_from(kept if kept is not None and known else now)
        missed = None if kept is None else missed_while_down(self._times, kept, now)
        runs = config.run_on_start
        if missed is not None and self._is_to_run(missed, now):
            runs = True
        if runs:
            self._at_start = new_gate(
                self._host.not_ready(self.name),
                now=self._runtime.now(),
                timeout_s=self._settings.dependency_timeout_s,
            )
        if not runs or not known:
            self._note_answered(now)
        self._resume()

    def _run_at_start(self) -> float | None:
        """Begin the run of the start when its dependencies are ready; gives when to give that up."""
        gate = self._at_start
        if gate is None:
            return None
        gate = updated_gate(gate, self._host.not_ready(self.name), now=self._runtime.now())
        self._at_start = gate
        if not gate.open and not gate.expired:
            return gate.deadline
        self._at_start = None
        self._note_answered(self._runtime.unix())
        if reason := gate.reason or self._refusal():
            self._skipped(reason)
        else:
            self._request_run(manual=False)
        return None

    # -- reconciling -----------------------------------------------------------------------------------

    def reconcile(self, stop_at: float) -> float | None:
        """Begin due runs, stop those that must end, record those that have ended (see `run_queue`)."""
        changed = self._instances.clear(self.desired.revision)
        if changed:
            self._decision.drop()
        waits_until = self._run_at_start()
        acted, wait = self._act(stop_at)
        if changed or acted:
            self._changed()
        now = self._runtime.now()
        if self._alert.is_due(now):
            self._alert = self._alert.given()
            self._changed()
            self._runtime.log.error(
                "Scheduled process has not succeeded in time", process=self.name, error=self._alert.reason
            )
        times = (wait, waits_until, self._alert.alert_at)
        return min((at for at in times if at is not None), default=None)

    def _decide(self, *, may_spawn: bool) -> list[Action]:
        return decide_runs(
            self.desired,
            self._instances.observed.values(),
            due=self._due,
            may_spawn=may_spawn,
            timeout_s=self.config.schedule_timeout,
            now=self._runtime.now(),
        )

    def _do(self, action: Action) -> None:
        match action:
            case Spawn(number):
                self._begin(number)
            case Stop(number):
                self._record_timeout(number)
            case Forget(number):
                self._finish_run(number)
        super()._do(action)

    def _begin(self, number: int) -> None:
        runtime = self._runtime
        if number not in self._due:  # its start was deferred, and is tried again
            return
        self._due.remove(number)
        begun = self._begun[number]
        begun.started_unix, begun.started_at = runtime.unix(), runtime.now()
        self._last_run = begun.started_unix
        runtime.events.emit("schedule.run_started", self.name, run_id(self.name, number), manual=begun.manual)
        if self.config.type is ProcessType.ONESHOT:
            trigger = Trigger.MANUAL if begun.manual else Trigger.SCHEDULE
            self._host.oneshots.begun(self.name, run_id(self.name, number), trigger)
            begun.in_history = True
        if self._heartbeat:
            with runtime.defects.contain("a heartbeat could not be queued", process=self.name):
                self._heartbeat.started()

    def _record_timeout(self, number: int) -> None:
        """Record and log a stop that no command caused: the run takes too long."""
        begun = self._begun[number]
        if begun.ended_for is None:
            begun.ended_for = f"timed out after {self.config.schedule_timeout or 0:g} s"
            self._runtime.log.error(
                "Scheduled run takes too long and is stopped",
                process=self.name,
                instance_id=run_id(self.name, number),
                error=begun.ended_for,
            )

    def _finish_run(self, number: int) -> None:
        """Record a run of which no process is left, and end the change that has triggered it."""
        begun = self._begun.pop(number)
        instance = self._instances.observed[number]
        ending = instance.ending or Ending(1, instance.reason or "it was not started")
        error = begun.ended_for or (None if ending.success else ending.reason)
        if begun.ended_for and not ending.success:
            error = f"{begun.ended_for}: {ending.reason}"
        run = FinishedRun(
            number=number,
            started_unix=begun.started_unix,
            duration_s=max(0.0, self._runtime.now() - begun.started_at),
            exit_code=ending.exit_code,
            error=error,
            manual=begun.manual,
        )
        self._totals = with_run(self._totals, run)
        self._history.append(run)
        with self._runtime.defects.contain("the end of a run could not be reported", process=self.name):
            self._report(run, in_history=begun.in_history)
        with self._runtime.defects.contain("a change could not be ended", process=self.name):
            self._host.run_ended(self.name, number, exit_code=ending.exit_code, error=error)

    def _report(self, run: FinishedRun, *, in_history: bool) -> None:
        """Report a finished run as an event, and to the counters, the alert, the heartbeat and the history of
        oneshots."""
        self._runtime.events.emit(
            "schedule.run_ended",
            self.name,
            run_id(self.name, run.number),
            reason=run.error,
            exit_code=run.exit_code,
            duration_s=round(run.duration_s, 3),
            manual=run.manual,
        )
        if self._runtime.counters is not None:
            self._runtime.counters.ran(self.name, run.duration_s)
        if run.error is None:
            if self._alert.alerted:
                self._runtime.log.info("Scheduled process succeeds again", process=self.name)
            self._alert = self._alert.succeeded(self._runtime.now())
        if self._heartbeat:
            self._heartbeat.ended(success=run.error is None)
        if in_history:
            self._host.oneshots.ended(
                run_id(self.name, run.number),
                duration_s=run.duration_s,
                exit_code=run.exit_code,
                error=run.error,
            )

    # -- internals -------------------------------------------------------------------------------------

    def _refusal(self) -> str | None:
        if self._closed:
            return "the daemon is shutting down"
        return refusal(
            paused=not self.desired.run,
            running=len(self._begun),
            max_concurrent=self.config.schedule_max_concurrent,
            waiting_for=self._host.not_ready(self.name),
        )

    def _request_run(self, *, manual: bool) -> int:
        self._started += 1
        self._begun[self._started] = _Begun(manual, self._runtime.unix(), self._runtime.now())
        self._due.append(self._started)
        self._changed_and_wake()
        return self._started

    def _end_runs(self, reason: str) -> None:
        self._drop_due()
        self.desired = replace(self.desired, generation=self.desired.generation + 1)
        for begun in self._begun.values():
            begun.ended_for = begun.ended_for or reason
        self._changed_and_wake()

    def _start_or_stop(self) -> None:
        if self.config.starts_by_itself:
            self.resume()
        else:
            self.stop()

    def _close(self) -> None:
        self._closed = True
        self._at_start = None
        self._timetable.remove(self)
        self._drop_due()

    def _drop_due(self) -> None:
        """Drop the runs that are due and have not begun."""
        while self._due:
            number = self._due.pop()
            del self._begun[number]
            self._started -= 1
            with self._runtime.defects.contain("a change could not be ended", process=self.name):
                self._host.run_dropped(self.name, number)
        self._decision.drop()

    def _present_state(self) -> State:
        if not self.desired.run:
            return State.PAUSED
        return State.RUNNING if self._begun else State.SCHEDULED

    def _describe(self) -> ProcessStatus:
        return ProcessStatus(
            name=self.name,
            type="scheduled",
            state=self._present_state(),
            scale=0,
            desired_scale=0,
            max_scale=0,
            wanted=bool(self.desired.run),
            supervised_at=self._supervised_at,
            instances=tuple(self._instances_shown()),
            depends_on=self.config.depends_on,
            schedule=self._describe_schedule(),
            groups=self.config.groups,
        )

    def _instances_shown(self) -> Iterable[InstanceStatus]:
        for number, instance in sorted(self._instances.observed.items()):
            yield InstanceStatus(
                id=run_id(self.name, number),
                index=number,
                state=instance.state,
                pid=instance.pid or None,
                started_at=instance.started_unix or None,
            )

    def _describe_schedule(self) -> ScheduleStatus:
        executing = ScheduleState.EXECUTING if self._begun else ScheduleState.IDLE
        return ScheduleStatus(
            expression=self.config.schedule or "",
            timezone=self.config.schedule_timezone,
            state=ScheduleState.PAUSED if (not self.desired.run) else executing,
            next_run=self._next,
            last_run=self._last_run,
            started=self._started,
            running=len(self._begun),
            current=run_id(self.name, max(self._begun)) if self._begun else None,
            totals=self._totals,
            overdue=self._alert.alerted,
        )


def _of_runs(settings: ProcessSettings) -> ProcessSettings:
    """The settings of runs, which are not restarted, and end by themselves, so that health is not checked."""
    rules = replace(settings.restart_rules, policy=RestartPolicyName.NEVER)
    return replace(settings, restart_rules=rules, health_rules=None)
