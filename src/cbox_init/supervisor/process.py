"""One process without a schedule: brings its instances to the desired state."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from cbox_init.config.model import ProcessType
from cbox_init.core import dependencies
from cbox_init.core.decide import decide
from cbox_init.core.restart import Trigger
from cbox_init.core.rollout import Rolling, RolloutState
from cbox_init.core.states import Desired
from cbox_init.core.summary import (
    ended_for_good,
    first_ended,
    first_given_up,
    has_settled,
    is_ready,
    process_state,
)
from cbox_init.supervisor.base import ProcessBase
from cbox_init.supervisor.instance.context import InstanceContext
from cbox_init.supervisor.instance.instances import Instances
from cbox_init.supervisor.instance.launch import Launch, instance_id
from cbox_init.supervisor.measurers import Measurers
from cbox_init.supervisor.run_queue import RETRY_S
from cbox_init.supervisor.status import describe

if TYPE_CHECKING:
    from cbox_init.config.settings import ProcessSettings
    from cbox_init.core.changes import Aim, Standing
    from cbox_init.core.decide import Action
    from cbox_init.core.dependencies import Gate
    from cbox_init.core.health import CheckResult
    from cbox_init.core.instance import Instance
    from cbox_init.core.notify import NotifyMessage
    from cbox_init.core.rollout import Back, Rollout
    from cbox_init.core.states import State
    from cbox_init.logs.process import ProcessLog
    from cbox_init.supervisor.autoscale.autoscaler import Measurable
    from cbox_init.supervisor.managed import Host
    from cbox_init.supervisor.restart_with import RestartWith
    from cbox_init.supervisor.runtime import Runtime
    from cbox_init.supervisor.status import ProcessStatus


class LongrunProcess(ProcessBase):
    """A process that runs until it is stopped, or once as a oneshot."""

    schedule = None
    runs_begun = None
    drain_s = 0.0

    def __init__(
        self, name: str, settings: ProcessSettings, *, runtime: Runtime, log: ProcessLog, host: Host
    ) -> None:
        desired = Desired(run=False, scale=settings.process.initial_scale)
        super().__init__(name, settings, desired, runtime=runtime, log=log, host=host)
        self._gate: Gate = dependencies.new_gate((), now=0.0, timeout_s=0.0)
        self._instances = Instances(
            InstanceContext(
                name,
                settings,
                runtime=runtime,
                log=log,
                on_event=self._instance_changed,
                on_message=self._notified,
                oneshots=lambda: host.oneshots,
            )
        )
        self._others = self._restart_with()
        self._rolling = Rolling(settings)
        self._measurers = Measurers(
            name,
            settings,
            runtime=runtime,
            log=log,
            host=host,
            measurable=self._measurable,
            on_checked=self._checked,
            on_shown=partial(self._publish_health, changed=False),
        )

    # -- commands: change the desired state ------------------------------------------------------------

    def start(self, trigger: Trigger = Trigger.MANUAL) -> None:
        """Run it; instances that have ended or wait for a restart are started now."""
        self._instances.set_trigger(trigger)
        if not self.desired.run or self._gate.expired:
            self._gate = self._new_gate()
        self._want(run=True, starts=self.desired.starts + 1)

    def stop(self) -> None:
        """Stop all instances."""
        self._want(run=False)

    def restart(self, trigger: Trigger = Trigger.MANUAL) -> None:
        """Replace every instance, one after another; start a stopped process."""
        self._instances.set_trigger(trigger)
        if not self.desired.run or self._gate.expired:
            self._gate = self._new_gate()
        self._rolling.shown = None
        self._want(run=True, generation=self.desired.generation + 1)

    def scale(self, count: int) -> None:
        """Set the number of instances that it has when it runs."""
        self._instances.set_trigger(Trigger.MANUAL)
        self._measurers.scaled(count)
        self._want(scale=count)

    def stop_instance(self, index: int) -> None:
        """Stop one instance; it stays down until it, or the process, is started or restarted.

        The process is stopped with the last one.
        """
        others = (one for one in self.instances if one.index < self.desired.scale and one.index != index)
        if all(one.stays_down(self.desired.revision) for one in others):
            self.stop()
            return
        self._instances.hold(index, self.desired.revision)
        self._changed_and_wake()

    def restart_instance(self, index: int) -> None:
        """Replace one instance."""
        self._instances.restart(index)
        self._changed_and_wake()

    def abandon_rollout(self) -> bool:
        """Let instances of older generations that run count as of this one; whether there are any."""
        older = {one.generation for one in self.instances if one.alive} - {self.desired.generation}
        if not older or not self._rolling.abandon(self.desired):
            return False
        for generation in older:
            self._instances.count_as(generation, self.desired.generation)
        self._changed_and_wake()
        return True

    def adopt(self, settings: ProcessSettings) -> None:
        """Use another configuration; ``core.reload_diff`` says how the desired state changes.

        When its instances are to be replaced, the new ones wait for its dependencies.
        """
        from cbox_init.core.reload_diff import desired_after, replaces

        before = self.config
        desired = desired_after(self.desired, before, settings)
        renewed = desired.run and (
            not self.desired.run or desired.generation != self.desired.generation or self._gate.expired
        )
        replaced = replaces(before, settings.process)
        self._rolling.adopted(settings, replaces=replaced)
        self._use(settings, desired, replaced=replaced)
        if renewed:
            self._instances.set_trigger(Trigger.RELOAD)
            self._gate = self._new_gate()
        else:
            self._gate = replace(self._gate, timeout_s=settings.dependency_timeout_s)
        self._changed_and_wake()

    def _use(self, settings: ProcessSettings, desired: Desired, *, replaced: bool) -> None:
        """Use other settings from now on; ``replaced``: they replace the instances that run."""
        before, process = self._settings, settings.process
        checks = (before.process.health_check, before.health_rules)
        self._settings = settings
        launch = Launch(self.name, process, self._runtime.environ) if replaced else None
        rechecks = checks != (process.health_check, settings.health_rules)
        if launch is not None or rechecks:
            self._measurers.change_checks(settings, before=self.desired.generation, after=desired.generation)
        self._instances.adopt(settings, launch=launch, rechecks=rechecks)
        if replaced or before.process.autoscale != process.autoscale:
            self._measurers.change_autoscale(process)
        self.desired = desired
        if before.process.restart_with != process.restart_with:
            self._others = self._restart_with()

    def kill(self) -> None:
        """Kill all instances without a grace period; none starts any more."""
        self._want(run=False)
        self._instances.kill_all()

    def reinstate(self, settings: ProcessSettings) -> None:
        """Undo its removal, which has begun, and use ``settings``: it is configured again."""
        from cbox_init.core.reload_diff import replaces

        replaced = replaces(self.config, settings.process)
        self.adopt(settings)
        self.scale(settings.process.initial_scale)
        if not settings.process.starts_by_itself:
            self.stop()
        elif replaced:
            self.restart(Trigger.RELOAD)
        else:
            self.start(Trigger.RELOAD)

    def begin_shutdown(self) -> None:
        """End its health checks and its autoscaling, whose results no longer matter; nothing restarts it."""
        self._others = None
        self._measurers.close()

    def release(self) -> None:
        """End its health checks and its autoscaling, and leave its parts."""
        self._others = None
        self._measurers.release()
        self._instances.release()

    # -- queries ---------------------------------------------------------------------------------------

    @property
    def scale_limit(self) -> int:
        """The most instances that it may have, 0 for any number."""
        return self._settings.scale_limit

    @property
    def alive(self) -> bool:
        """Whether a process of it may be running."""
        return self._instances.alive

    @property
    def ready(self) -> bool:
        """Whether what depends on it may start."""
        return is_ready(self.desired, self._instances.observed.values(), oneshot=self._oneshot)

    @property
    def up(self) -> bool:
        """Whether it is as the configuration wants it: it runs, has done its work, or need not run."""
        return self.ready or not self.desired.run or self.desired.scale == 0

    @property
    def blocked(self) -> bool:
        """Whether it waits for a dependency."""
        return self.desired.run and not self._gate.open

    @property
    def settled(self) -> bool:
        """Whether the last command has had its effect."""
        if self.blocked:
            return False
        stopped = self._rolling.shown is not None and self._rolling.shown.state is RolloutState.FAILED
        return stopped or has_settled(self.desired, self._instances.observed.values())

    def standing(self, aim: Aim) -> Standing:
        """How far a command is that wanted ``aim`` of it."""
        from cbox_init.supervisor.changes import standing_of

        gate = self._gate if self.blocked else None
        return standing_of(self, aim, gate, self._rolling, self._settings.rollout_rules)

    @property
    def restart_pending(self) -> bool:
        """Whether it will be restarted with another process (``restart_with``)."""
        others = self._others
        return others is not None and self.desired.run and others.pending(self.instances, self._runtime.now())

    @property
    def ended_for_good(self) -> bool:
        """Whether it should run, and has ended by itself or was given up."""
        if self.blocked:
            return self._gate.expired and not self.alive
        return ended_for_good(self.desired, self._instances.observed.values())

    @property
    def last_end(self) -> tuple[float, int] | None:
        """Monotonic time and exit code of its latest end."""
        ends = [(i.ended_at, i.ending.status) for i in self._instances.observed.values() if i.ending]
        return max(ends, default=None)

    @property
    def ended(self) -> Instance | None:
        """An instance that has ended, with any exit code, and is not restarted; None if there is none."""
        return first_ended(self.desired, self._instances.observed.values())

    @property
    def given_up(self) -> Instance | None:
        """An instance that has failed and is not restarted; None if there is none."""
        return first_given_up(self.desired, self._instances.observed.values())

    # -- reconciling -----------------------------------------------------------------------------------

    def reconcile(self, stop_at: float) -> float | None:
        """Bring the instances to the desired state, or until the slice is over (see `run_queue`)."""
        changed = self._instances.clear(self.desired.revision)
        changed |= self._update_gate()
        if changed:
            self._decision.drop()
        acted, wait = self._act(stop_at)
        changed |= acted
        changed |= self._follow_rollout()
        self._measurers.follow(self._instances.observed)
        if changed:
            self._changed()
        with_others: float | None = None
        if self._others is not None and self.desired.run and self.settled:
            with_others = self._runtime.now() + RETRY_S  # unless it succeeds
            with self._runtime.defects.contain("restart_with could not be followed", process=self.name):
                with_others = self._others.follow(
                    self.instances, self._runtime.now(), self._instances.note_replacement
                )
        deadline = self._gate.deadline if self.desired.run else None
        ready_by = self._rolling.shown.deadline if self._rolling.shown else None
        return min((at for at in (wait, with_others, deadline, ready_by) if at is not None), default=None)

    def _decide(self, *, may_spawn: bool) -> list[Action]:
        return decide(
            self.desired,
            self._instances.observed,
            may_spawn=may_spawn,
            now=self._runtime.now(),
            rules=self._settings.rollout_rules,
            limit=self._settings.run_limit,
        )

    @property
    def _may_spawn(self) -> bool:
        return self._gate.open

    def _present_state(self) -> State:
        return process_state(
            self.desired, self.instances, blocked=self.blocked, expired=self.blocked and self._gate.expired
        )

    def _describe(self) -> ProcessStatus:
        return describe(
            self.name,
            self.config,
            self.desired,
            self._instances.observed,
            self._gate if self.blocked else None,
            last_output=self._instances.last_output,
            past_restarts=self._instances.past_restarts,
            supervised_at=self._supervised_at,
            scale_limit=self.scale_limit,
            rollout=self._rolling.shown,
            autoscale=self._measurers.autoscale,
            now=self._runtime.now(),
            unix=self._runtime.unix(),
        )

    def _follow_rollout(self) -> bool:
        """Follow the progress of a rollout, and roll back one that failed; whether anything has changed."""
        before = self._rolling.shown
        back = self._rolling.follow(
            self.desired,
            self._instances.observed.values(),
            self._settings.rollout_rules,
            now=self._runtime.now(),
        )
        shown = self._rolling.shown
        if shown == before:
            return False
        state = shown.state if shown else None
        if shown and (before is None or before.state is not state):
            self._log_rollout(shown)
        elif shown and before and shown.updated != before.updated:
            self._emit_rollout("step", shown)
        if back is not None:
            self._roll_back(back)
        return True

    def _roll_back(self, back: Back[ProcessSettings]) -> None:
        # Dependencies must fit those of all other processes, so they stay as they are configured now.
        now = self.config
        process = replace(back.settings.process, depends_on=now.depends_on, restart_with=now.restart_with)
        settings = replace(back.settings, process=process)
        self._use(settings, replace(self.desired, generation=back.generation), replaced=True)
        self._instances.count_as(back.stable, back.generation)
        self._host.rolled_back(self.name, settings)
        self._wake()

    def _log_rollout(self, shown: Rollout) -> None:
        log, of = self._runtime.log, f"{shown.updated}/{shown.total}"
        new = None if shown.failed is None else instance_id(self.name, shown.failed)
        match shown.state:
            case RolloutState.COMPLETE:
                log.info("Rollout complete", process=self.name, instances=of)
                self._emit_rollout("complete", shown)
            case RolloutState.FAILED:
                log.error(
                    "Rollout stopped, the remaining old instances keep running",
                    process=self.name,
                    instance_id=new,
                    instances=of,
                    error=shown.reason,
                )
                self._emit_rollout("failed", shown)
            case RolloutState.ROLLED_BACK:
                log.warn("Rollout rolled back", process=self.name, instance_id=new, error=shown.reason)
                self._emit_rollout("rolled_back", shown)
            case RolloutState.PROGRESSING:
                log.info("Rollout started", process=self.name, instances=of)
                self._emit_rollout("started", shown)

    def _emit_rollout(self, what: str, shown: Rollout) -> None:
        self._runtime.events.emit(
            f"rollout.{what}",
            self.name,
            "" if shown.failed is None else instance_id(self.name, shown.failed),
            reason=shown.reason,
            updated=shown.updated,
            total=shown.total,
        )

    # -- internals -------------------------------------------------------------------------------------

    def _want(
        self,
        *,
        run: bool | None = None,
        scale: int | None = None,
        generation: int | None = None,
        starts: int | None = None,
    ) -> None:
        now = self.desired
        self.desired = Desired(
            run=now.run if run is None else run,
            scale=now.scale if scale is None else scale,
            generation=now.generation if generation is None else generation,
            starts=now.starts if starts is None else starts,
        )
        self._changed_and_wake()

    def _instance_changed(self) -> None:
        """Reconcile after an exit; that reports the change to the host once for all exits until then."""
        self._status = None
        self._host.refreshed()
        self._wake()

    def _checked(self, index: int, pid: int, result: CheckResult) -> None:
        self._publish_health(changed=self._instances.checked(index, pid, result))

    def _notified(self, index: int, pid: int, message: NotifyMessage) -> None:
        if message.status:
            shown = self._runtime.secrets.masked(self._log.redacted(message.status))
            message = replace(message, status=shown)
        self._publish_health(changed=self._instances.notified(index, pid, message))

    def _publish_health(self, *, changed: bool) -> None:
        """Show a new health of an instance; ``changed``: by more than its figures, so that others act."""
        if changed:
            self._changed()
            self._wake()
        else:
            self._status = None
            self._host.refreshed()

    @property
    def _oneshot(self) -> bool:
        return self.config.type is ProcessType.ONESHOT

    def _measurable(self) -> Measurable | None:
        """What autoscaling decides on; None while it decides nothing."""
        shown = self._rolling.shown
        rolls = shown is not None and shown.state is RolloutState.PROGRESSING
        if not self.desired.run or self.blocked or rolls:
            return None
        return self.desired.scale, [one for one in self.instances if one.ready and one.pid]

    def _restart_with(self) -> RestartWith | None:
        names = self.config.restart_with
        if not names:
            return None
        from cbox_init.supervisor.restart_with import RestartWith

        return RestartWith(self.name, names, self._host, now=self._runtime.now())

    def _new_gate(self) -> Gate:
        gate = dependencies.new_gate(
            self._host.not_ready(self.name),
            now=self._runtime.now(),
            timeout_s=self._settings.dependency_timeout_s,
        )
        if not gate.open:
            self._runtime.events.emit("process.blocked", self.name, reason=gate.reason)
        return gate

    def _update_gate(self) -> bool:
        """Open the gate when the dependencies are ready, or let it expire; whether it has changed."""
        before = self._gate
        if before.open or not self.desired.run:
            return False
        self._gate = dependencies.updated_gate(
            before, self._host.not_ready(self.name), now=self._runtime.now()
        )
        if self._gate.expired and not before.expired:
            self._runtime.log.error("Process cannot be started", process=self.name, error=self._gate.reason)
            self._runtime.events.emit("process.timeout", self.name, reason=self._gate.reason)
        return self._gate != before
