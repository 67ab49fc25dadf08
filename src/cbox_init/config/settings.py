"""All that counts for one process, as one value: its keys, and what follows from them and ``global``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from cbox_init.config.model.process import ProcessConfig  # noqa: TC001  # fields of a Struct
from cbox_init.config.rules import (
    HealthRules,
    RestartRules,
    RolloutRules,
    RunLimit,
    StopRules,
    run_limit,
)

if TYPE_CHECKING:
    from cbox_init.config.model import Config


class ProcessSettings(Struct, frozen=True):
    """``scale_limit`` is the most instances that it may have; ``dependency_timeout_s`` of 0 is for ever;
    ``ring_size`` is the memory for its last lines, in bytes."""

    process: ProcessConfig
    restart_rules: RestartRules
    stop_rules: StopRules
    rollout_rules: RolloutRules
    health_rules: HealthRules | None
    scale_limit: int
    dependency_timeout_s: float
    ring_size: int
    run_limit: RunLimit | None = None


def settings_of(config: Config) -> dict[str, ProcessSettings]:
    """The settings of each enabled process, in the order of the file."""
    return {name: settings_for(name, process, config) for name, process in config.enabled_processes().items()}


def settings_for(name: str, process: ProcessConfig, config: Config) -> ProcessSettings:
    """The settings of ``process``, which ``config`` has as ``name``."""
    timeout_s = process.dependency_timeout
    ring_size = process.logging.ring_size
    return ProcessSettings(
        process,
        config.restart_rules(name),
        config.stop_rules(name),
        config.rollout_rules(name),
        config.health_rules(name),
        config.scale_limit(name),
        config.global_.dependency_timeout if timeout_s is None else timeout_s,
        config.global_.log_ring_size if ring_size is None else ring_size,
        run_limit(config.global_, process),
    )
