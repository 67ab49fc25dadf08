"""What the instances of one process share: configuration, launch, limits, messages, callbacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cbox_init.config.model import ProcessType
from cbox_init.core.restart import Trigger
from cbox_init.supervisor.instance.launch import Launch
from cbox_init.supervisor.instance.messages import InstanceMessages

if TYPE_CHECKING:
    from collections.abc import Callable

    from cbox_init.config.model import ProcessConfig
    from cbox_init.config.rules import StopRules
    from cbox_init.config.settings import ProcessSettings
    from cbox_init.core.notify import NotifyMessage
    from cbox_init.logs.process import ProcessLog
    from cbox_init.supervisor.instance.limits import ProcessLimits
    from cbox_init.supervisor.instance.stop_hooks import StopHooks
    from cbox_init.supervisor.oneshot_history import OneshotHistory
    from cbox_init.supervisor.runtime import Runtime


class StopPlan(NamedTuple):
    """How the instances of one configuration are stopped. ``hooks`` is None when it has no stop hooks."""

    rules: StopRules
    hooks: StopHooks | None


class InstanceContext:
    """Holds what the slots of one process use; there is one for each process.

    ``on_event`` is called when a main process has ended, a hook is over, or the memory of an instance crosses
    its limit; the owner then reconciles. ``on_message`` receives the index and pid of an instance that sends
    a notification about itself (``type: notify``). ``launch`` replaces the usual way to start an instance
    (runs of a schedule). ``oneshots`` gives the history in which executions are recorded, with the
    ``trigger`` that the owner has set. ``clearing`` holds the indexes of instances whose main process has
    ended, until no other process of them is left; ``killed`` the ids of those that had to be killed.
    ``cut_short`` is set when everything is killed: no hook starts from then on.
    """

    def __init__(
        self,
        name: str,
        settings: ProcessSettings,
        *,
        runtime: Runtime,
        log: ProcessLog,
        on_event: Callable[[], None],
        on_message: Callable[[int, int, NotifyMessage], None] | None = None,
        launch: Launch | None = None,
        oneshots: Callable[[], OneshotHistory] | None = None,
    ) -> None:
        self.name = name
        self.settings = settings
        self.runtime = runtime
        self.log = log
        self.on_event = on_event
        self.on_message = on_message
        self.oneshots = oneshots
        self.messages = InstanceMessages(name, runtime.log, runtime.events, runtime.audit)
        self.launch = launch or Launch(name, settings.process, runtime.environ)
        self.limits = self._limits_of(settings.process)
        self.stop_plan = self._stop_plan_of(settings)
        self.trigger = Trigger.STARTUP
        self.clearing: set[int] = set()
        self.killed: set[str] | None = None
        self.cut_short = False

    @property
    def oneshot(self) -> bool:
        """Whether the process is a oneshot."""
        return self.settings.process.type is ProcessType.ONESHOT

    def accepts(self, exit_code: int) -> bool:
        """Whether an end with this exit code is a success."""
        return exit_code in self.settings.process.success_codes

    def detach(self) -> None:
        """Call the owner no more, and drop the references to it."""
        self.on_event, self.on_message = _ignore, None

    def record_kill(self, instance_id: str) -> None:
        """Record that an instance had to be killed."""
        if self.killed is not None:
            self.killed.add(instance_id)

    def adopt(self, settings: ProcessSettings, launch: Launch | None) -> None:
        """Use another configuration, and another ``launch`` where one is given, from the next spawn on."""
        self.settings = settings
        if launch is not None:
            self.launch, self.limits = launch, self._limits_of(settings.process)
        self.stop_plan = self._stop_plan_of(settings)

    def _limits_of(self, config: ProcessConfig) -> ProcessLimits | None:
        if config.limits is None:
            return None
        from cbox_init.supervisor.instance.limits import ProcessLimits

        return ProcessLimits(self.name, config.limits, self.runtime)

    def _stop_plan_of(self, settings: ProcessSettings) -> StopPlan:
        rules = settings.stop_rules
        if not rules.pre_stop and not rules.post_stop_s:
            return StopPlan(rules, None)
        from cbox_init.supervisor.instance.stop_hooks import StopHooks

        hooks = StopHooks(self.name, settings.process, launch=self.launch, runtime=self.runtime, log=self.log)
        return StopPlan(rules, hooks)


def _ignore() -> None:
    """Stands for ``on_event`` of an owner that is no longer supervised."""
