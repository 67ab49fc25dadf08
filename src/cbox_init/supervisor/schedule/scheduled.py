"""A process with a schedule: its runs, from their time to their end.

The `Timetable` says when a time has come; each run is an instance (`instances`), so that its output, its
stop with grace and the end of all it has started are those of every instance. ``look`` starts the runs that
are wanted, ends those whose time is over, and takes note of those that have ended.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from cbox_init.config.model import InitialState, ProcessType, RestartPolicyName
from cbox_init.core.decide import Forget, Spawn, Stop, Wait
from cbox_init.core.restart import Trigger
from cbox_init.core.schedule import (
    FinishedRun,
    RunTotals,
    decide_due,
    decide_runs,
    next_due,
    refusal,
    with_run,
)
from cbox_init.core.states import Desired, Revision, State
from cbox_init.cron import find_zone, parse
from cbox_init.errors import Conflict
from cbox_init.supervisor.instance.instances import Instances
from cbox_init.supervisor.instance.owner import InstancesOwner
from cbox_init.supervisor.schedule.launch import RunLaunch, run_id
from cbox_init.supervisor.schedule.overdue_alert import OverdueAlert
from cbox_init.supervisor.schedule.status import RunStatus, ScheduleState, ScheduleStatus
from cbox_init.supervisor.status import InstanceStatus, ProcessStatus

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Iterable
    from typing import Protocol

    from cbox_init.config.settings import ProcessSettings
    from cbox_init.logs.process import ProcessLog
    from cbox_init.supervisor.oneshot_history import OneshotHistory
    from cbox_init.supervisor.runtime import Runtime
    from cbox_init.supervisor.schedule.heartbeat import Heartbeat
    from cbox_init.supervisor.schedule.timetable import Timetable

    class Surroundings(Protocol):
        """What a scheduled process asks of the others, through the supervisor."""

        @property
        def oneshots(self) -> OneshotHistory:
            """What oneshots have done."""

        def not_ready(self, name: str) -> tuple[str, ...]:
            """The dependencies of the process ``name`` that are not ready."""

        def changed(self, process: ScheduledProcess) -> None:
            """Something that a status shows has changed."""


_REVISION = Revision(0, 0)


class _Begun(Struct):
    """A run that was begun: by whom, why it was told to end, and whether the oneshots' history has it."""

    manual: bool
    started_unix: float
    started_at: float
    ended_for: str | None = None
    noted: bool = False


class ScheduledProcess(InstancesOwner):
    """A process under supervision that runs when its time has come.

    ``stop`` pauses the schedule and ends the runs; ``start`` resumes it; ``restart`` ends the runs, and the
    schedule goes on. A run that ended, however, is not tried again: its next time is its next chance.
    """

    def __init__(
        self,
        name: str,
        settings: ProcessSettings,
        *,
        history_size: int,
        runtime: Runtime,
        log: ProcessLog,
        surroundings: Surroundings,
        timetable: Timetable,
        heartbeat: Heartbeat | None,
    ) -> None:
        config = settings.process
        self.name = name
        self.config = config
        self.scale_limit = 0
        self.stop_timeout_s = settings.stop_rules.timeout_s
        self._runtime = runtime
        self._log = log
        self._surroundings = surroundings
        self._timetable = timetable
        self._heartbeat = heartbeat
        self._times = parse(config.schedule or "", find_zone(config.schedule_timezone, runtime.environ))
        self._paused = True
        self._closed = False
        self._end_all = False
        self._answered = 0.0
        self._next: float | None = None
        self._started = 0
        self._last_run: float | None = None
        self._wanted: deque[int] = deque()
        self._begun: dict[int, _Begun] = {}
        self._totals = RunTotals()
        self._history: deque[FinishedRun] = deque(maxlen=history_size)
        self._waiters: dict[int, list[Future[int]]] = {}
        self._alert = OverdueAlert.of(config.heartbeat)
        self._supervised_at = runtime.now()
        self._status: ProcessStatus | None = None
        self._instances = Instances(
            name,
            _of_runs(settings),
            runtime=runtime,
            log=log,
            on_exit=self._changed_and_wake,
            launch=RunLaunch(name, config, runtime),
        )

    # -- commands --------------------------------------------------------------------------------------

    def pause(self) -> None:
        """No run begins until it is resumed; those under way go on."""
        self._paused = True
        self._next = None
        self._timetable.remove(self)
        self._alert = self._alert.ended()
        self._changed_and_wake()

    def resume(self) -> None:
        """Runs begin at their times again. Those that passed meanwhile were not missed: it was paused."""
        if self._closed or not self._paused:
            return
        self._paused = False
        self._alert = self._alert.begun(self._runtime.now())
        self._timetable.enter(self)
        self._changed_and_wake()

    def trigger(self) -> int:
        """Run now, whatever the time; gives the number of the run. Raises Conflict."""
        if reason := self._refusal():
            raise Conflict(f"cannot trigger {self.name}: {reason}")
        return self._want(manual=True)

    def start(self) -> None:
        """Resume the schedule."""
        self.resume()

    def stop(self) -> None:
        """Pause the schedule and end the runs."""
        self.pause()
        self._end_runs("stopped by hand")

    def restart(self) -> None:
        """End the runs; the schedule goes on."""
        self._end_runs("ended by a restart")
        self.resume()

    def close(self) -> None:
        """The daemon ends: no run begins any more; those under way have their time until ``stop``."""
        self._closed = True
        self._timetable.remove(self)
        self._drop_wanted()

    def kill(self) -> None:
        """End all runs without a grace period."""
        self.close()
        self.stop()
        self._instances.kill_all()

    def adopt(self, settings: ProcessSettings, heartbeat: Heartbeat | None) -> None:
        """It has another configuration: runs under way go on as they began, the next is of the new one.

        A schedule that was paused by hand stays so, unless ``initial_state`` is what has changed.
        """
        before, process = self.config, settings.process
        self.config = process
        self.stop_timeout_s = settings.stop_rules.timeout_s
        self._heartbeat = heartbeat
        self._instances.adopt(_of_runs(settings), launch=RunLaunch(self.name, process, self._runtime))
        if (before.schedule, before.schedule_timezone) != (process.schedule, process.schedule_timezone):
            zone = find_zone(process.schedule_timezone, self._runtime.environ)
            self._times = parse(process.schedule or "", zone)
            if not self._paused:
                self._timetable.enter(self)
        if before.heartbeat != process.heartbeat:
            self._alert = OverdueAlert.of(process.heartbeat)
            if not self._paused:
                self._alert = self._alert.begun(self._runtime.now())
        if before.initial_state is not process.initial_state:
            if process.initial_state is InitialState.RUNNING:
                self.resume()
            else:
                self.stop()
        self._changed_and_wake()

    # -- what the others ask ---------------------------------------------------------------------------

    @property
    def desired(self) -> Desired:
        """Its schedule is active or not; it has no scale."""
        return Desired(run=not self._paused, scale=0)

    @property
    def runs_begun(self) -> int:
        """How many runs have begun."""
        return self._started

    @property
    def alive(self) -> bool:
        """Whether something of a run may still be running."""
        return self._instances.alive or bool(self._wanted)

    @property
    def held_back(self) -> bool:
        """Whether a run waits to begin, for its output to flow again."""
        return bool(self._wanted)

    @property
    def given_up(self) -> None:
        """Never: the next time is the next chance."""
        return None

    @property
    def ready(self) -> bool:
        """What depends on a schedule does not wait for a run of it."""
        return True

    @property
    def up(self) -> bool:
        """It is as the configuration wants it."""
        return True

    @property
    def settled(self) -> bool:
        """Whether the last command has had its effect."""
        return not self._end_all

    @property
    def ended_for_good(self) -> bool:
        """Never: a schedule is active, or can be resumed."""
        return False

    @property
    def last_end(self) -> tuple[float, int] | None:
        """The end of a run is not the end of the process."""
        return None

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

    async def over(self, number: int) -> int:
        """Wait for the end of a run that has not ended; its exit code. Cancelled when the daemon ends."""
        from asyncio import get_running_loop

        waiter: Future[int] = get_running_loop().create_future()
        self._waiters.setdefault(number, []).append(waiter)
        return await waiter

    def give_up_waiting(self) -> None:
        """Cancel who waits for the end of a run."""
        for waiters in self._waiters.values():
            for waiter in waiters:
                waiter.cancel()

    def status(self) -> ProcessStatus:
        """What it is now; the same object until something changes."""
        if self._status is None:
            self._status = self._describe()
        return self._status

    # -- times -----------------------------------------------------------------------------------------

    def next_due(self, now: float) -> float | None:
        """The Unix time of the next run (see ``timetable``)."""
        due = None if self._paused or self._closed else next_due(self._times, now, self._answered)
        if due != self._next:
            self._next = due
            self._changed()
        return due

    def ring(self, due: float, now: float) -> None:
        """A time has come: run, unless it was missed and is to be skipped, or no run can begin."""
        verdict = decide_due(self._times, due, now, self.config.schedule_misfire)
        self._answered = now
        if verdict.missed:
            self._runtime.log.warn(
                "Scheduled time was missed",
                process=self.name,
                late=round(now - due, 3),
                misfire=str(self.config.schedule_misfire),
            )
        if not verdict.run:
            return
        if reason := self._refusal():
            self._runtime.log.warn("Scheduled run is skipped", process=self.name, error=reason)
            return
        self._want(manual=False)

    # -- the loop --------------------------------------------------------------------------------------

    def reconcile(self, stop_at: float) -> float | None:
        """Begin what is wanted, end what has to, note what has ended (see ``run_queue``)."""
        changed = self._instances.clear(_REVISION)
        while self._wanted and not self._log.backed_up:
            self._begin(self._wanted.popleft())
            changed = True
            if time.monotonic() >= stop_at:
                self._changed()
                return 0.0
        wait, acted = self._attend()
        if changed or acted:
            self._changed()
        now = self._runtime.now()
        if self._alert.rings(now):
            self._alert = self._alert.told()
            self._changed()
            self._runtime.log.error(
                "Scheduled process has not succeeded in time",
                process=self.name,
                error=self._alert.reason,
            )
        return min((at for at in (wait, self._alert.alert_at) if at is not None), default=None)

    def _attend(self) -> tuple[float | None, bool]:
        """Bring the runs further; the time that is waited for, and whether anything was done."""
        acted, wait = False, None
        while True:
            actions = decide_runs(
                tuple(self._instances.observed.values()),
                end_all=self._end_all,
                timeout_s=self.config.schedule_timeout,
                now=self._runtime.now(),
            )
            wait = next((action.until for action in actions if isinstance(action, Wait)), None)
            actions = [action for action in actions if not isinstance(action, Wait)]
            for action in actions:
                if isinstance(action, Stop):
                    self._told_to_end(action.index)
                elif isinstance(action, Forget):
                    self._ended(action.index)
                self._instances.do(action, _REVISION)
            if not actions:
                break
            acted = True
        if not self._instances.observed:
            self._end_all = False
        return wait, acted

    def _begin(self, number: int) -> None:
        runtime = self._runtime
        begun = self._begun[number]
        begun.started_unix, begun.started_at = runtime.unix(), runtime.now()
        self._last_run = begun.started_unix
        if self.config.type is ProcessType.ONESHOT:
            trigger = Trigger.MANUAL if begun.manual else Trigger.SCHEDULE
            self._surroundings.oneshots.begun(self.name, run_id(self.name, number), trigger)
            begun.noted = True
        if self._heartbeat:
            self._heartbeat.started()
        self._instances.do(Spawn(number), _REVISION)

    def _told_to_end(self, number: int) -> None:
        begun = self._begun[number]
        if begun.ended_for is None:
            begun.ended_for = f"timed out after {self.config.schedule_timeout or 0:g} s"
            self._runtime.log.error(
                "Scheduled run takes too long and is stopped",
                process=self.name,
                instance_id=run_id(self.name, number),
                error=begun.ended_for,
            )

    def _ended(self, number: int) -> None:
        """Nothing of a run is left: note it, and tell who waits for it."""
        begun = self._begun.pop(number)
        ending = self._instances.observed[number].ending
        assert ending is not None, "a run that is over has ended"
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
        if self._runtime.counters is not None:
            self._runtime.counters.ran(self.name, run.duration_s)
        self._history.append(run)
        if begun.noted:
            self._surroundings.oneshots.ended(
                run_id(self.name, number), duration_s=run.duration_s, exit_code=run.exit_code, error=error
            )
        if error is None:
            if self._alert.alerted:
                self._runtime.log.info("Scheduled process succeeds again", process=self.name)
            self._alert = self._alert.succeeded(self._runtime.now())
        if self._heartbeat:
            self._heartbeat.ended(success=error is None)
        for waiter in self._waiters.pop(number, ()):
            if not waiter.done():
                waiter.set_result(ending.exit_code)

    # -- inside ----------------------------------------------------------------------------------------

    def _refusal(self) -> str | None:
        if self._closed:
            return "the daemon is shutting down"
        return refusal(
            paused=self._paused,
            running=len(self._begun),
            max_concurrent=self.config.schedule_max_concurrent,
            waiting_for=self._surroundings.not_ready(self.name),
        )

    def _want(self, *, manual: bool) -> int:
        self._started += 1
        self._begun[self._started] = _Begun(manual, self._runtime.unix(), self._runtime.now())
        self._wanted.append(self._started)
        self._changed_and_wake()
        return self._started

    def _end_runs(self, reason: str) -> None:
        self._drop_wanted()
        self._end_all = bool(self._begun)
        for begun in self._begun.values():
            begun.ended_for = begun.ended_for or reason
        self._changed_and_wake()

    def _drop_wanted(self) -> None:
        """Runs that have not begun do not begin."""
        while self._wanted:
            number = self._wanted.pop()
            del self._begun[number]
            self._started -= 1
            for waiter in self._waiters.pop(number, ()):
                waiter.cancel()

    def _changed(self) -> None:
        self._status = None
        self._surroundings.changed(self)

    def _changed_and_wake(self) -> None:
        self._changed()
        self._runtime.run_queue.wake(self)

    def _describe(self) -> ProcessStatus:
        state = State.RUNNING if self._begun else State.SCHEDULED
        return ProcessStatus(
            name=self.name,
            type="scheduled",
            state=State.PAUSED if self._paused else state,
            scale=0,
            desired_scale=0,
            max_scale=0,
            wanted=not self._paused,
            supervised_at=self._supervised_at,
            instances=tuple(self._instances_shown()),
            schedule=self._describe_schedule(),
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
            state=ScheduleState.PAUSED if self._paused else executing,
            next_run=self._next,
            last_run=self._last_run,
            started=self._started,
            running=len(self._begun),
            current=run_id(self.name, max(self._begun)) if self._begun else None,
            totals=self._totals,
            overdue=self._alert.alerted,
        )


def _of_runs(settings: ProcessSettings) -> ProcessSettings:
    """A run that ended is not tried again, and is not checked: it ends by itself."""
    rules = replace(settings.restart_rules, policy=RestartPolicyName.NEVER)
    return replace(settings, restart_rules=rules, health_rules=None)
