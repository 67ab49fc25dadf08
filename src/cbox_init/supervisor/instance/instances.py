"""The instances of one process: what is observed of them, and what is done to them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from cbox_init.config.model import ProcessType, ShutdownMode
from cbox_init.core import instance as transitions
from cbox_init.core.decide import (
    Action,
    CancelRestart,
    Forget,
    Kill,
    NoteOverdue,
    Signal,
    Spawn,
    Stop,
    Terminate,
)
from cbox_init.core.health import HealthState, shows_change
from cbox_init.core.instance import Instance, Phase
from cbox_init.core.restart import Cause, Ending, Trigger
from cbox_init.core.states import Revision, State
from cbox_init.errors import SpawnError
from cbox_init.supervisor.instance.last_output import last_lines
from cbox_init.supervisor.instance.launch import Launch
from cbox_init.supervisor.instance.live import Live, spawn
from cbox_init.supervisor.instance.messages import InstanceMessages

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cbox_init.config.model import ProcessConfig
    from cbox_init.config.rules import StopRules
    from cbox_init.config.settings import ProcessSettings
    from cbox_init.core.health import CheckResult, InstanceHealth
    from cbox_init.core.notify import NotifyMessage
    from cbox_init.logs.process import ProcessLog
    from cbox_init.supervisor.instance.limits import ProcessLimits
    from cbox_init.supervisor.instance.memory_watch import MemoryWatch
    from cbox_init.supervisor.instance.notify_channel import NotifyChannel
    from cbox_init.supervisor.instance.stop_hooks import StopHooks
    from cbox_init.supervisor.oneshot_history import OneshotHistory
    from cbox_init.supervisor.runtime import Runtime
    from cbox_init.system.reaper import ExitStatus


#: The exit code of what SIGKILL has ended, and of a shell whose last command it has.
_KILLED = 128 + 9


class _Way(NamedTuple):
    """How instances that run under one configuration are stopped."""

    rules: StopRules
    hooks: StopHooks | None


class Instances:
    """Carries out the actions of ``decide`` and takes in what happens, one value of Instance after another.

    ``on_exit`` is called when a main process has ended, a hook is over, or memory is above its limit; the
    owner then calls ``clear``, and decides. ``on_message`` gets the index and pid of an instance that says
    something of itself (``type: notify``).
    ``killed`` holds the ids of those that had to be killed. ``launch`` is how they are started when not as
    instances of a process are (runs of a schedule). What oneshots do is noted in ``oneshots``, with the
    ``trigger`` that the owner has set.
    """

    def __init__(
        self,
        name: str,
        settings: ProcessSettings,
        *,
        runtime: Runtime,
        log: ProcessLog,
        on_exit: Callable[[], None],
        on_message: Callable[[int, int, NotifyMessage], None] | None = None,
        launch: Launch | None = None,
        oneshots: Callable[[], OneshotHistory] | None = None,
    ) -> None:
        self._name = name
        self._settings = settings
        self._runtime = runtime
        self._log = log
        self._on_exit = on_exit
        self._messages = InstanceMessages(name, runtime.log)
        self._on_message = on_message
        self._launch = launch or Launch(name, settings.process, runtime.environ)
        self._limits = self._limits_of(settings.process)
        self._observed: dict[int, Instance] = {}
        self._lives: dict[int, Live] = {}
        self._clearing: set[int] = set()
        self._tidied: set[int] = set()
        self._last_output: dict[int, tuple[str, ...]] = {}
        self._past_restarts: dict[Cause, int] = {}
        self._way = self._way_to_stop()
        self._ways: dict[int, _Way] = {}
        self._cut_short = False
        self._memory: MemoryWatch | None = None
        self._watch_memory()
        self._oneshots = oneshots
        self._noted: set[int] = set()
        self.trigger = Trigger.STARTUP
        self.killed: set[str] = set()

    @property
    def observed(self) -> Mapping[int, Instance]:
        """Every instance by its index."""
        return self._observed

    @property
    def last_output(self) -> Mapping[int, tuple[str, ...]]:
        """The last lines of each instance that has failed."""
        return self._last_output

    @property
    def past_restarts(self) -> Mapping[Cause, int]:
        """The restarts, by their causes, of instances that are gone."""
        return self._past_restarts

    @property
    def names_alive(self) -> tuple[str, ...]:
        """The ids of those of which something lives."""
        return tuple(live.id for live in self._lives.values())

    @property
    def alive(self) -> bool:
        """Whether something of them may still be running."""
        return bool(self._lives)

    @property
    def clearing(self) -> bool:
        """Whether a main process has ended and it is not known that nothing else of its instance is left."""
        return bool(self._clearing)

    def adopt(self, settings: ProcessSettings, *, launch: Launch | None, rechecks: bool = False) -> None:
        """Another configuration from the next spawn on; its rules count at once.

        With another ``launch`` those that run are of another kind, and are stopped in the way of that kind.
        So is, in any case, one whose stop has begun. With ``rechecks`` the health check is another one.
        """
        before = self._way
        self._settings = settings
        self._watch_memory()
        if launch is not None:
            self._launch, self._limits = launch, self._limits_of(settings.process)
        self._way = self._way_to_stop()
        for index, way in self._ways.items():
            if launch is None and way is before and self._observed[index].phase is Phase.RUNNING:
                self._ways[index] = self._way
                if rechecks:
                    self._observed[index] = transitions.rechecked(
                        self._observed[index], settings.health_rules, now=self._runtime.now()
                    )

    @property
    def _oneshot(self) -> bool:
        return self._settings.process.type is ProcessType.ONESHOT

    def _limits_of(self, config: ProcessConfig) -> ProcessLimits | None:
        if config.limits is None:
            return None
        from cbox_init.supervisor.instance.limits import ProcessLimits

        return ProcessLimits(self._name, config.limits, self._runtime)

    def _watch_memory(self) -> None:
        limit_mb = self._settings.process.max_memory_mb
        if self._memory is not None:
            self._memory.change(limit_mb)
        elif limit_mb:
            from cbox_init.supervisor.instance.memory_watch import MemoryWatch

            self._memory = MemoryWatch(
                limit_mb, lives=self._lives, runtime=self._runtime, on_weighed=self._weighed
            )

    def _weighed(self, index: int, pid: int, excess: str | None) -> None:
        before = self._observed[index]
        if before.phase is Phase.RUNNING and before.pid == pid and before.excess != excess:
            self._observed[index] = transitions.memory_measured(before, excess)
            self._on_exit()

    def _way_to_stop(self) -> _Way:
        rules = self._settings.stop_rules
        if not rules.pre_stop and not rules.post_stop_s:
            return _Way(rules, None)
        from cbox_init.supervisor.instance.stop_hooks import StopHooks

        process = self._settings.process
        hooks = StopHooks(self._name, process, launch=self._launch, runtime=self._runtime, log=self._log)
        return _Way(rules, hooks)

    def do(self, action: Action, revision: Revision) -> None:
        """Carry out one action of ``decide``."""
        match action:
            case Spawn(index, surge):
                self._spawn(index, revision, surge=surge)
            case Stop(index):
                self._stop(index)
            case Terminate(index):
                self._terminate(index, revision)
            case NoteOverdue(index):
                self._note_overdue(index)
            case Signal(index):
                self._signal(index)
            case Kill(index):
                self._kill(index)
            case CancelRestart(index):
                self._observed[index] = transitions.restart_cancelled(self._observed[index])
            case Forget(index):
                self._forget(index)

    def _forget(self, index: int) -> None:
        for cause, count in self._observed.pop(index).restart_causes.items():
            self._past_restarts[cause] = self._past_restarts.get(cause, 0) + count
        self._last_output.pop(index, None)

    def kill_all(self) -> None:
        """End what lives at once, without a grace period; no hook is begun any more."""
        for live in self._lives.values():
            if live.index not in self._tidied:
                self.killed.add(live.id)
            live.signal_all(self._ways[live.index].rules.kill_signal)
        self._cut_short = True
        for index, way in self._ways.items():
            if way.hooks is not None:
                way.hooks.cancel(index)

    def clear(self, revision: Revision) -> bool:
        """See what is left of instances whose main process has ended, and end it; whether there were any."""
        ended = tuple(self._clearing)
        for index in ended:
            self._clear(self._lives[index], revision)
        return bool(ended)

    def count_as(self, stable: int, generation: int) -> None:
        """Instances of the generation ``stable`` count as of ``generation`` (see `core.rollout.Back`)."""
        for index, instance in self._observed.items():
            if instance.generation == stable:
                self._observed[index] = transitions.counted_as(instance, generation=generation)

    def _spawn(self, index: int, revision: Revision, *, surge: bool) -> None:
        before = self._observed.get(index) or Instance(index=index, surge=surge)
        self._note_begin(before, revision)
        outputs = self._settings.process.logging
        try:
            live = spawn(
                self._runtime,
                self._launch,
                self._log,
                index=index,
                stdout=outputs.stdout,
                stderr=outputs.stderr,
                limits=self._limits,
                channel=self._channel(index),
            )
        except SpawnError as error:
            self._spawn_failed(before, error, revision)
            return
        self._runtime.reaper.watch(live.pid, partial(self._main_exited, live))
        self._lives[index] = live
        self._ways[index] = self._way
        self._last_output.pop(index, None)
        after = transitions.spawned(
            before,
            pid=live.pid,
            now=self._runtime.now(),
            unix=self._runtime.unix(),
            revision=revision,
            health=self._settings.health_rules,
        )
        self._observed[index] = after
        self._messages.started(live.id, after)
        if self._memory is not None:
            self._memory.begun()

    def _channel(self, index: int) -> NotifyChannel | None:
        """Where an instance tells how it is, when it does. Raises SpawnError."""
        if self._on_message is None or self._settings.process.type is not ProcessType.NOTIFY:
            return None
        from cbox_init.supervisor.instance.notify_channel import NotifyChannel

        return NotifyChannel(
            self._launch.instance_id(index),
            runtime=self._runtime,
            watchdog_s=self._settings.process.watchdog,
            on_message=partial(self._on_message, index),
        )

    def _spawn_failed(self, before: Instance, error: SpawnError, revision: Revision) -> None:
        after = transitions.spawn_failed(
            before,
            Ending(error.exit_code, str(error)),
            now=self._runtime.now(),
            revision=revision,
            rules=self._settings.restart_rules,
            oneshot=self._oneshot,
        )
        self._observed[before.index] = after
        self._note_end(after, stopped=False)
        self._messages.not_started(self._launch.instance_id(before.index), error)
        self._tell_what_follows(after)

    def _stop(self, index: int) -> None:
        instance, live = self._observed[index], self._lives[index]
        self._observed[index] = transitions.stop_begun(
            instance, now=self._runtime.now(), rules=self._ways[index].rules
        )
        if instance.phase is Phase.STOPPING:  # what its main process left was told already
            return
        self._begin_stop(live)

    def _terminate(self, index: int, revision: Revision) -> None:
        live = self._lives[index]
        after = self._observed[index] = transitions.terminated(
            self._observed[index], now=self._runtime.now(), revision=revision, rules=self._ways[index].rules
        )
        if after.terminated_for is Cause.MEMORY_LIMIT:
            self._messages.too_large(live.id, live.pid, after.reason)
        self._begin_stop(live)

    def _begin_stop(self, live: Live) -> None:
        rules, hooks = self._ways[live.index]
        if rules.pre_stop and hooks is not None:
            hooks.before(live.index, self._prepared)
        else:
            self._send_stop_signal(live)

    def _prepared(self, index: int) -> None:
        """The pre-stop hook of an instance is over."""
        self._observed[index] = transitions.pre_stop_ended(self._observed[index], now=self._runtime.now())
        self._on_exit()

    def _signal(self, index: int) -> None:
        self._cancel_hook(index)  # its time is over, if it is not done
        self._send_stop_signal(self._lives[index])
        self._observed[index] = transitions.signalled(
            self._observed[index], now=self._runtime.now(), rules=self._ways[index].rules
        )

    def _send_stop_signal(self, live: Live) -> None:
        rules = self._ways[live.index].rules
        main_only = rules.mode is ShutdownMode.MAIN
        tell = live.signal_main if main_only else live.signal_group
        if not tell(rules.signal):
            self._messages.not_permitted(live.id, live.pid)

    def checked(self, index: int, pid: int, result: CheckResult) -> bool:
        """A health check of the run with this pid has ended: whether that changes more than its figures."""
        before = self._observed.get(index)
        if before is None or before.phase is not Phase.RUNNING or before.pid != pid or not before.health:
            return False
        return self._weigh(before.health, transitions.checked(before, result, now=self._runtime.now()))

    def heard(self, index: int, pid: int, message: NotifyMessage) -> bool:
        """The run with this pid says something of itself: whether that changes more than its figures."""
        before = self._observed.get(index)
        if before is None or before.pid != pid or not before.health:
            return False
        after = transitions.heard(before, message, now=self._runtime.now())
        if before.phase is Phase.RUNNING:
            return self._weigh(before.health, after)
        self._observed[index] = after  # it is stopping: its status is of interest, whether it is ready is not
        return False

    def _weigh(self, before: InstanceHealth, instance: Instance) -> bool:
        """Take in an instance with another health; whether somebody may have to act."""
        assert instance.health
        index, after = instance.index, instance.health
        self._observed[index] = instance
        self._messages.health_changed(self._lives[index].id, instance.pid, before, after)
        return shows_change(before, after)

    def _note_overdue(self, index: int) -> None:
        after = self._observed[index] = transitions.overdue_noted(self._observed[index])
        assert after.health
        if after.health.state is HealthState.STARTING:
            self._messages.late(self._lives[index].id, after.pid, after.health)

    def _kill(self, index: int) -> None:
        instance, live = self._observed[index], self._lives[index]
        self._cancel_hook(index)
        if not instance.killed and index not in self._tidied:
            self.killed.add(live.id)
            self._messages.killed(live.id, live.pid)
        self._observed[index] = transitions.killed(instance, now=self._runtime.now())
        live.signal_all(self._ways[index].rules.kill_signal)

    def _main_exited(self, live: Live, status: ExitStatus) -> None:
        """The reaper's call: the main process has ended. What it wrote comes before the news of its end."""
        live.main_ended()
        live.capture.drain()
        before = self._observed[live.index]
        ending = Ending(status.exit_code, status.describe())
        if ending.exit_code == _KILLED and not before.killed and live.out_of_memory:
            limit = f"processes.{self._name}.limits.memory"
            reason = f"{ending.reason}: the kernel killed it for its memory, above {limit}"
            ending = Ending(ending.exit_code, reason, Cause.MEMORY_LIMIT)
        after = self._observed[live.index] = transitions.main_exited(before, ending, now=self._runtime.now())
        self._clearing.add(live.index)
        told = before.phase is Phase.STOPPING and (before.asked or before.terminated_for is not None)
        self._note_end(after, stopped=told and before.asked)
        self._messages.ended(live.id, live.pid, ending, told=told)
        self._on_exit()

    def _clear(self, live: Live, revision: Revision) -> None:
        """See whether anything is left of an instance whose main process has ended, and end it."""
        instance = self._observed[live.index]
        ended_well = (
            instance.phase is Phase.RUNNING and instance.ending is not None and instance.ending.success
        )
        # A oneshot that did its work may leave a daemon behind, until the container ends.
        if not (self._oneshot and ended_well) and live.anything_left():
            self._end_leftovers(instance, live)
            return
        if not self._hooks_over(instance, live):
            return
        live.cleared()
        self._clearing.discard(live.index)
        self._tidied.discard(live.index)
        del self._lives[live.index], self._ways[live.index]
        after = transitions.gone(
            instance,
            now=self._runtime.now(),
            revision=revision,
            rules=self._settings.restart_rules,
            oneshot=self._oneshot,
        )
        self._observed[live.index] = after
        self._tell_what_follows(after)

    def _note_begin(self, before: Instance, revision: Revision) -> None:
        """An execution of a oneshot begins: by its policy when it waited for that, else by a command."""
        if self._oneshot and self._oneshots is not None:
            by_policy = before.phase is Phase.WAITING and not before.is_outdated(revision)
            trigger = Trigger.RESTART if by_policy else self.trigger
            self._oneshots().begun(self._name, self._launch.instance_id(before.index), trigger)
            self._noted.add(before.index)

    def _note_end(self, instance: Instance, *, stopped: bool) -> None:
        """It is over, whatever its process has been configured to be since it began."""
        ending = instance.ending
        if instance.index in self._noted and self._oneshots is not None and ending is not None:
            self._noted.discard(instance.index)
            error = f"stopped: {ending.reason}" if stopped else ending.reason
            self._oneshots().ended(
                self._launch.instance_id(instance.index),
                duration_s=instance.ended_at - instance.up_at,
                exit_code=ending.exit_code,
                error=None if ending.success and not stopped else error,
            )

    def _hooks_over(self, instance: Instance, live: Live) -> bool:
        """Whether no hook is left to wait for; begins the post-stop hook of an instance that has stopped."""
        rules, hooks = self._ways[live.index]
        if hooks is None:
            return True
        if hooks.running(live.index):
            return False
        stopped = instance.phase is Phase.STOPPING and (instance.asked or instance.terminated_for is not None)
        if not stopped or not rules.post_stop_s or live.index in self._tidied or self._cut_short:
            return True
        self._tidied.add(live.index)
        self._observed[live.index] = transitions.post_stop_begun(
            instance, now=self._runtime.now(), rules=rules
        )
        hooks.after(live.index, lambda _: self._on_exit())
        return False

    def _cancel_hook(self, index: int) -> None:
        hooks = self._ways[index].hooks
        if hooks is not None and hooks.running(index):
            hooks.cancel(index)
            self._on_exit()  # nothing else may be left of the instance

    def _end_leftovers(self, instance: Instance, live: Live) -> None:
        rules = self._ways[live.index].rules
        if instance.killed or self._cut_short:
            live.signal_all(rules.kill_signal)
        else:
            live.signal_rest(rules.signal)
        self._observed[live.index] = transitions.left_behind(instance, now=self._runtime.now(), rules=rules)

    def _tell_what_follows(self, instance: Instance) -> None:
        name = self._launch.instance_id(instance.index)
        if instance.phase is Phase.WAITING:
            self._messages.comes_back(name, instance, in_s=instance.due_at - self._runtime.now())
        elif (
            instance.outcome is State.FAILED and instance.phase is Phase.ENDED and not self._launch.recurring
        ):
            lines = self._last_output[instance.index] = last_lines(self._log.ring, name)
            self._messages.given_up(name, instance, lines)
