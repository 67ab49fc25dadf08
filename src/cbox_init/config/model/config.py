"""The whole configuration."""

from msgspec import Struct, field
from msgspec.structs import replace

from cbox_init.config.model.global_ import GlobalConfig
from cbox_init.config.model.hooks import HooksConfig
from cbox_init.config.model.notifications import NotificationConfig
from cbox_init.config.model.process import ProcessConfig
from cbox_init.config.rules import (
    HealthRules,
    RestartRules,
    RolloutRules,
    StopRules,
    health_rules,
    restart_rules,
    rollout_rules,
    stop_rules,
)


class Config(Struct, frozen=True, kw_only=True, rename={"global_": "global"}):
    """What is to be run, and how. ``processes`` keeps the order of the file, disabled ones included.

    ``version`` is not used; ``include`` names files whose processes and hooks are among these already.
    """

    version: str | None = None
    include: tuple[str, ...] = ()

    global_: GlobalConfig = field(default_factory=GlobalConfig)
    hooks: HooksConfig = field(default_factory=HooksConfig)
    notifications: tuple[NotificationConfig, ...] = ()
    processes: dict[str, ProcessConfig] = field(default_factory=dict)

    def enabled_processes(self) -> dict[str, ProcessConfig]:
        """The enabled processes, in the order of the file; each depends on enabled ones alone."""
        enabled = {name: process for name, process in self.processes.items() if process.enabled}
        return {name: _without_missing(process, enabled) for name, process in enabled.items()}

    def restart_rules(self, name: str) -> RestartRules:
        """Whether and when an instance of ``name`` that ended comes back."""
        return restart_rules(self.global_, self.processes[name])

    def stop_rules(self, name: str) -> StopRules:
        """How an instance of ``name`` is stopped."""
        return stop_rules(self.global_, self.processes[name])

    def rollout_rules(self, name: str) -> RolloutRules:
        """How instances of ``name`` are replaced."""
        return rollout_rules(self.global_, self.processes[name])

    def health_rules(self, name: str) -> HealthRules | None:
        """When the instances of ``name`` are healthy; None where running is all that is known."""
        return health_rules(self.global_, self.processes[name])

    def scale_limit(self, name: str) -> int:
        """The most instances that ``name`` may have."""
        own = self.processes[name].max_scale
        limit = self.global_.max_process_scale
        return min(own, limit) if own else limit


def _without_missing(process: ProcessConfig, enabled: dict[str, ProcessConfig]) -> ProcessConfig:
    needed = tuple(name for name in process.depends_on if name in enabled)
    followed = tuple(name for name in process.restart_with if name in enabled)
    if (needed, followed) == (process.depends_on, process.restart_with):
        return process
    return replace(process, depends_on=needed, restart_with=followed)
