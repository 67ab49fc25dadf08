"""One instance of a process: its record and process tree, the actions on it and the events of it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct

from cbox_init.config.model import ProcessType, ShutdownMode
from cbox_init.core import instance as transitions
from cbox_init.core.health import HealthState, shows_change
from cbox_init.core.instance import Instance, Phase
from cbox_init.core.restart import Cause, Ending, Trigger
from cbox_init.core.states import State
from cbox_init.errors import SpawnError
from cbox_init.supervisor.instance.live import TreeRecord, spawn
from cbox_init.supervisor.instance.messages import last_lines, last_lines_of_run
from cbox_init.system.signals import signal_name

if TYPE_CHECKING:
    from cbox_init.core.health import CheckResult, InstanceHealth
    from cbox_init.core.notify import NotifyMessage
    from cbox_init.core.states import Revision
    from cbox_init.supervisor.instance.context import InstanceContext, StopPlan
    from cbox_init.supervisor.instance.live import LiveTree
    from cbox_init.supervisor.instance.notify_channel import NotifyChannel
    from cbox_init.supervisor.lifecycle.hooks import HookRun
    from cbox_init.system.reaper import ExitStatus

#: The exit code of a process that SIGKILL has ended, and of a shell whose last command it has ended.
_KILLED = 128 + 9


#: Seconds without a message after one that an instance continues; what it is then is in its status.
SAY_SUSPENDED_AGAIN_S = 10.0


NOT_PERMITTED = (
    "no permission to signal it: it runs as another user; "
    "give the daemon CAP_KILL, or CAP_SETUID and CAP_SETGID"
)


class InstanceRecord(Struct):
    """All that an `InstanceSlot` must remember: plain values, which could be written down and read again.

    ``tree`` is set while a process of the instance may be running. ``last_output`` holds its last lines once
    it has failed. ``execution_open``: the history of oneshots has no end of this run yet.
    ``post_stop_begun``: its post-stop hook was started, and must not be started twice.
    """

    state: Instance
    tree: TreeRecord | None = None
    last_output: tuple[str, ...] = ()
    execution_open: bool = False
    post_stop_begun: bool = False


class InstanceSlot:
    """Owns one instance: its record, its live process tree, the plan of its stop, and its running hook."""

    __slots__ = ("_context", "_hook", "_plan", "_say_suspended_at", "_tree", "record")

    def __init__(self, context: InstanceContext, index: int, *, surge: bool) -> None:
        self.record = InstanceRecord(Instance(index=index, surge=surge))
        self._context = context
        self._plan: StopPlan = context.stop_plan
        self._tree: LiveTree | None = None
        self._hook: HookRun | None = None
        self._say_suspended_at = 0.0

    @property
    def state(self) -> Instance:
        """The present state of the instance."""
        return self.record.state

    @property
    def tree(self) -> LiveTree | None:
        """Its running processes; None when none is left."""
        return self._tree

    # -- actions of `decide` ---------------------------------------------------------------------------

    def spawn(self, revision: Revision) -> bool:
        """Start the main process; whether that succeeded."""
        context, before = self._context, self.state
        outputs = context.settings.process.logging
        try:
            tree = spawn(
                context.runtime,
                context.launch,
                context.log,
                index=before.index,
                stdout=outputs.stdout,
                stderr=outputs.stderr,
                stdin=context.settings.process.stdin,
                limits=context.limits,
                channel=self._open_channel(),
            )
        except SpawnError as error:
            self._spawn_failed(error, revision)
            return False
        except Exception as error:  # noqa: BLE001  # a defect, or no memory: it concerns this instance alone
            context.runtime.defects.report("an instance could not be started", error, instance_id=self._id)
            self._spawn_failed(SpawnError(f"unexpected: {error!r}", shortage=True), revision)
            return False
        context.runtime.reaper.watch(
            tree.pid, partial(self._main_exited, tree), partial(self._main_suspended, tree)
        )
        self._tree, self._plan = tree, context.stop_plan
        self.record.tree = tree.record
        self.record.last_output = ()
        self.record.state = transitions.spawned(
            before,
            pid=tree.pid,
            now=context.runtime.now(),
            unix=context.runtime.unix(),
            revision=revision,
            health=context.settings.health_rules,
        )
        with context.runtime.defects.contain("its output could not be searched", instance_id=tree.id):
            self._watch_output(tree)
        with context.runtime.defects.contain("a start could not be recorded", instance_id=tree.id):
            self._record_begin(before, revision)
        context.messages.started(tree.id, self.state)
        return True

    def stop(self) -> None:
        """Run the pre-stop hook, or send the stop signal if it has none; the grace period begins."""
        before, tree = self.state, self._live()
        self.record.state = transitions.stop_begun(before, now=self._now, rules=self._plan.rules)
        if before.phase is not Phase.STOPPING:  # else the processes it left behind have been signalled
            self._begin_stop(tree)

    def terminate(self, revision: Revision) -> None:
        """Stop it for a cause (failed checks, memory); the restart policy decides what follows."""
        tree = self._live()
        self.record.state = transitions.terminated(
            self.state, now=self._now, revision=revision, rules=self._plan.rules
        )
        if self.state.terminated_for is Cause.MEMORY_LIMIT:
            self._context.messages.too_large(tree.id, tree.pid, self.state.reason)
        elif self.state.terminated_for in (Cause.TIMEOUT, Cause.MAX_RUNTIME):
            self._context.messages.too_long(tree.id, tree.pid, self.state.reason)
        self._begin_stop(tree)

    def signal(self) -> None:
        """Send the stop signal when the pre-stop hook is over; cancel a hook that has not ended in time."""
        self._cancel_hook()
        self._send_stop_signal(self._live())
        self.record.state = transitions.signalled(self.state, now=self._now, rules=self._plan.rules)

    def kill(self) -> None:
        """Kill all processes of it, as its grace period is over."""
        before, tree = self.state, self._live()
        self._cancel_hook()
        if not before.killed and not self.record.post_stop_begun:
            self._context.record_kill(tree.id)
            self._context.messages.killed(tree.id, tree.pid)
        self.record.state = transitions.killed(before, now=self._now)
        tree.signal_all(self._plan.rules.kill_signal)

    def expire(self, revision: Revision) -> None:
        """Record that it has run as long as it may: it is replaced, or ended by the next decision."""
        context = self._context
        limit = context.settings.run_limit
        if limit is None:
            return
        after = self.record.state = transitions.expired(self.state, limit, revision, oneshot=context.oneshot)
        if after.replaced_for is not None:
            context.messages.replaced(self._live().id, after.pid, after.replaced_for.reason)

    def note_overdue(self) -> None:
        """Record and log that it has not become healthy in time."""
        before = self.state.health
        after = self.record.state = transitions.overdue_noted(self.state)
        assert before and after.health
        if after.health.state is HealthState.STARTING:
            self._context.messages.overdue(self._live().id, after.pid, after.health)
        else:
            self._context.messages.health_changed(self._live().id, after.pid, before, after.health)

    def cancel_restart(self) -> None:
        """Cancel its pending restart."""
        self.record.state = transitions.restart_cancelled(self.state)

    # -- other actions ---------------------------------------------------------------------------------

    def kill_now(self) -> None:
        """Kill all processes of it without a grace period, its hook included."""
        if self._tree is not None:
            if not self.record.post_stop_begun:
                self._context.record_kill(self._tree.id)
            self._tree.signal_all(self._plan.rules.kill_signal)
        if self._hook is not None:
            self._hook.cancel()
            self._hook = None

    def clear(self, revision: Revision) -> None:
        """End the processes that its main process, which has ended, left behind; finish when none is left."""
        before, tree = self.state, self._live()
        done = before.phase is Phase.RUNNING and before.ending is not None and before.ending.success
        # A oneshot that did its work may leave a daemon behind, until the container ends.
        if not (self._context.oneshot and done) and tree.anything_left():
            self._end_leftovers(tree)
            return
        if self._run_post_stop():
            return
        tree.release()
        self._tree = self.record.tree = None
        self.record.post_stop_begun = False
        self.record.state = transitions.gone(
            before,
            now=self._now,
            revision=revision,
            rules=self._context.settings.restart_rules,
            oneshot=self._context.oneshot,
        )
        if (unseen := self._context.runtime.unseen) is not None:
            self.record.state = transitions.unverified(self.state, unseen)
        self._report_what_follows()

    def adopt_plan(self, before: StopPlan, *, rechecks: bool) -> None:
        """Use the present stop plan if it has used ``before``; with ``rechecks`` its health starts over."""
        if self._tree is None or self._plan is not before or self.state.phase is not Phase.RUNNING:
            return
        self._plan = self._context.stop_plan
        if rechecks:
            rules = self._context.settings.health_rules
            self.record.state = transitions.rechecked(self.state, rules, now=self._now)

    def hold(self, revision: Revision) -> None:
        """Stop it alone; it stays down until it, or its process, is started or restarted."""
        self.record.state = transitions.held_down(self.state, revision)

    def restart(self) -> None:
        """Replace it alone."""
        self.record.state = transitions.restarted_alone(self.state)

    def send(self, signum: int, *, group: bool) -> bool | None:
        """Send a signal to its main process, or its group; None when it does not run.

        False when we are not permitted to.
        """
        if self._tree is None or not self.state.pid:
            return None
        try:
            return self._tree.send(signum, group=group)
        except ProcessLookupError:
            return None

    def count_as(self, generation: int) -> None:
        """Treat it as an instance of ``generation``, if it runs (see `core.rollout.Back`)."""
        self.record.state = transitions.counted_as(self.state, generation=generation)

    # -- events ----------------------------------------------------------------------------------------

    def checked(self, pid: int, result: CheckResult) -> bool:
        """Take in the result of a health check of the run ``pid``; whether more than figures changes."""
        before = self.state
        if before.phase is not Phase.RUNNING or before.pid != pid or not before.health:
            return False
        return self._set_health(before.health, transitions.checked(before, result, now=self._now))

    def notified(self, pid: int, message: NotifyMessage) -> bool:
        """Take in a notification from the run ``pid``; whether more than figures changes."""
        before = self.state
        if before.pid != pid or not before.health:
            return False
        after = transitions.notified(before, message, now=self._now)
        if before.phase is Phase.RUNNING:
            return self._set_health(before.health, after)
        self.record.state = after  # it is stopping: its status text still counts, its readiness does not
        return False

    def measured(self, pid: int, excess: str | None) -> None:
        """Take in a memory measurement of the run ``pid``; ``excess`` says how it exceeds its limit."""
        before = self.state
        if before.phase is Phase.RUNNING and before.pid == pid and before.excess != excess:
            self.record.state = transitions.memory_measured(before, excess)
            self._context.on_event()

    def _main_exited(self, tree: LiveTree, status: ExitStatus) -> None:
        """Take in the end of the main process, for the reaper; its last output is logged before.

        The end is taken in even if one of these steps fails.
        """
        contain = self._context.runtime.defects.contain
        with contain("the socket of an instance could not be closed", instance_id=tree.id):
            tree.mark_main_ended()
        with contain("the last output of an instance could not be read", instance_id=tree.id):
            tree.capture.drain()
        before = self.state
        accepted = self._context.accepts(status.exit_code)
        ending = Ending(status.exit_code, f"exit code {status.exit_code}", success_code=accepted)
        with contain("the end of an instance could not be described", instance_id=tree.id):
            ending = self._ending(tree, status)
        self.record.state = transitions.main_exited(before, ending, now=self._now)
        requested = before.phase is Phase.STOPPING and (before.asked or before.terminated_for is not None)
        self._context.clearing.add(before.index)
        with contain("the end of an instance could not be recorded", instance_id=tree.id):
            self._record_end(stopped=requested and before.asked)
            self._context.messages.ended(
                tree.id,
                tree.pid,
                ending,
                requested=requested,
                last_output=lambda: last_lines_of_run(self._context.log.ring, tree.id, before.started_unix),
            )
        self._context.on_event()

    def _main_suspended(self, tree: LiveTree, signum: int | None) -> None:
        """The reaper's call: a signal has stopped the main process, or it continues (None)."""
        before = self.state
        if self._tree is not tree or before.pid != tree.pid:
            return
        reason = None
        if signum is not None:
            reason = f"suspended by {signal_name(signum)}: it continues after kill -CONT {tree.pid}"
        if before.suspended == reason:
            return
        self.record.state = transitions.suspended(before, reason)
        if self._now >= self._say_suspended_at:  # one that stops itself again and again fills no log
            self._say_suspended_at = self._now + (SAY_SUSPENDED_AGAIN_S if reason is None else 0.0)
            self._context.messages.suspended(tree.id, tree.pid, reason)
        self._context.on_event()

    # -- internals -------------------------------------------------------------------------------------

    @property
    def _now(self) -> float:
        return self._context.runtime.now()

    @property
    def _id(self) -> str:
        return self._context.launch.instance_id(self.state.index)

    def _live(self) -> LiveTree:
        assert self._tree is not None, "decide acts on what lives"
        return self._tree

    def _ending(self, tree: LiveTree, status: ExitStatus) -> Ending:
        accepted = self._context.accepts(status.exit_code)
        ending = Ending(status.exit_code, status.describe(), success_code=accepted)
        if ending.exit_code == _KILLED and not self.state.killed and tree.out_of_memory:
            limit = f"processes.{self._context.name}.limits.memory"
            reason = f"{ending.reason}: the kernel killed it for its memory, above {limit}"
            return Ending(ending.exit_code, reason, Cause.MEMORY_LIMIT)
        return ending

    def _watch_output(self, tree: LiveTree) -> None:
        """Have it be ready when a line of its output matches the pattern of ``ready_when``."""
        context, health = self._context, self.state.health
        if health is None or health.rules.pattern is None or context.on_message is None:
            return
        from cbox_init.core.notify import READY_MESSAGE

        ready = partial(context.on_message, self.state.index, tree.pid, READY_MESSAGE)
        context.log.watch(tree.capture, health.rules.pattern, ready)

    def _open_channel(self) -> NotifyChannel | None:
        """Open the socket for notifications of the next run (``type: notify``). Raises SpawnError."""
        context = self._context
        if context.on_message is None or context.settings.process.type is not ProcessType.NOTIFY:
            return None
        from cbox_init.supervisor.instance.notify_channel import NotifyChannel

        return NotifyChannel(
            self._id,
            runtime=context.runtime,
            watchdog_s=context.settings.process.watchdog,
            on_message=partial(context.on_message, self.state.index),
        )

    def _spawn_failed(self, error: SpawnError, revision: Revision) -> None:
        reason = self._context.runtime.secrets.masked(str(error))
        if error.shortage:
            if not self.state.deferred_until:
                self._context.messages.deferred(self._id, error)
            self.record.state = transitions.spawn_deferred(self.state, reason, now=self._now)
            return
        self._record_begin(self.state, revision)
        self.record.state = transitions.spawn_failed(
            self.state,
            Ending(error.exit_code, reason, success_code=False),
            now=self._now,
            revision=revision,
            rules=self._context.settings.restart_rules,
            oneshot=self._context.oneshot,
        )
        self._record_end(stopped=False)
        self._context.messages.not_started(self._id, error)
        self._report_what_follows()

    def _begin_stop(self, tree: LiveTree) -> None:
        if self._context.cut_short:  # it was killed already
            return
        rules, hooks = self._plan
        if rules.pre_stop and hooks is not None:
            self._hook = hooks.start_pre_stop(self.state.index, tree.pid, self._pre_stop_over)
        else:
            self._send_stop_signal(tree)

    def _pre_stop_over(self) -> None:
        self._hook = None
        self.record.state = transitions.pre_stop_ended(self.state, now=self._now)
        self._context.on_event()

    def _post_stop_over(self) -> None:
        self._hook = None
        self._context.on_event()

    def _cancel_hook(self) -> None:
        if self._hook is not None:
            self._hook.cancel()
            self._hook = None
            self._context.on_event()  # the hook may have been the last process of the instance

    def _send_stop_signal(self, tree: LiveTree) -> None:
        rules = self._plan.rules
        send = tree.signal_main if rules.mode is ShutdownMode.MAIN else tree.signal_group
        if not send(self._context.runtime.stop_signals.get(self._context.name, rules.signal)):
            self._context.messages.not_permitted(tree.id, tree.pid, NOT_PERMITTED)
            self.record.state = transitions.unreachable(self.state, NOT_PERMITTED, now=self._now)

    def _end_leftovers(self, tree: LiveTree) -> None:
        rules, background = self._plan.rules, None
        if self.state.killed or self._context.cut_short:
            tree.signal_all(rules.kill_signal)
        else:
            background = transitions.went_into_background(self.state, tree.count_left())
            if background is not None:
                self._context.messages.in_background(tree.id, background.reason)
            tree.signal_rest(rules.signal)
        self.record.state = transitions.left_behind(self.state, background, now=self._now, rules=rules)

    def _run_post_stop(self) -> bool:
        """Start the post-stop hook if it is due; whether a hook of the instance runs."""
        rules, hooks = self._plan
        if self._hook is not None:
            return True
        state = self.state
        stopped = state.phase is Phase.STOPPING and (state.asked or state.terminated_for is not None)
        due = stopped and rules.post_stop_s and not self.record.post_stop_begun
        if hooks is None or not due or self._context.cut_short:
            return False
        self.record.post_stop_begun = True
        self.record.state = transitions.post_stop_begun(state, now=self._now, rules=rules)
        self._hook = hooks.start_post_stop(state.index, self._post_stop_over)
        return True

    def _set_health(self, before: InstanceHealth, instance: Instance) -> bool:
        """Store the state with a new health, and log a change; whether others may have to act."""
        assert instance.health
        self.record.state = instance
        self._context.messages.health_changed(self._live().id, instance.pid, before, instance.health)
        return shows_change(before, instance.health)

    def _record_begin(self, before: Instance, revision: Revision) -> None:
        """Record the beginning of a oneshot's execution, with what caused it: restart policy or command."""
        context = self._context
        if context.oneshot and context.oneshots is not None:
            by_policy = before.phase is Phase.WAITING and not before.is_outdated(revision)
            trigger = Trigger.RESTART if by_policy else context.trigger
            context.oneshots().begun(context.name, self._id, trigger)
            self.record.execution_open = True

    def _record_end(self, *, stopped: bool) -> None:
        """Record the end of an execution, also when its process is no longer configured as a oneshot."""
        ending, oneshots = self.state.ending, self._context.oneshots
        if not self.record.execution_open or oneshots is None or ending is None:
            return
        self.record.execution_open = False
        error = f"stopped: {ending.reason}" if stopped else ending.reason
        oneshots().ended(
            self._id,
            duration_s=self.state.ended_at - self.state.up_at,
            exit_code=ending.exit_code,
            error=None if ending.success and not stopped else error,
        )

    def _report_what_follows(self) -> None:
        state, context = self.state, self._context
        if state.phase is Phase.WAITING:
            context.messages.restarting(self._id, state, in_s=state.due_at - self._now)
        elif state.outcome is State.FAILED and state.phase is Phase.ENDED and not context.launch.recurring:
            with context.runtime.defects.contain("the last output could not be kept", instance_id=self._id):
                self.record.last_output = last_lines(context.log.ring, self._id)
            context.messages.given_up(self._id, state, self.record.last_output)
