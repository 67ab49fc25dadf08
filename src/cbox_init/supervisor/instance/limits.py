"""Makes the limits of instances from ``processes.NAME.limits``, with a cgroup where they need one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbox_init.system.cgroup import CgroupUnusable
from cbox_init.system.spawn_request import Limits

if TYPE_CHECKING:
    from cbox_init.config.model import LimitsConfig, RlimitConfig, SizeRlimitConfig
    from cbox_init.supervisor.runtime import Runtime
    from cbox_init.system.apply_limits import Pair
    from cbox_init.system.cgroup import Cgroup, Cgroups


class InstanceLimits:
    """The limits of one instance and its cgroup, from before its spawn until nothing of it is left.

    ``limits`` is None when none can be applied.
    """

    __slots__ = ("_cgroup", "_cgroups", "limits")

    def __init__(self, limits: Limits, cgroups: Cgroups, cgroup: Cgroup | None) -> None:
        self.limits = limits if limits.steps() else None
        self._cgroups = cgroups
        self._cgroup = cgroup

    @property
    def out_of_memory(self) -> bool:
        """Whether the kernel has killed a process of it for exceeding its memory limit."""
        return self._cgroup is not None and self._cgroup.oom_kills > 0

    @property
    def cgroup(self) -> str | None:
        """The path of its cgroup, if it has one."""
        return None if self._cgroup is None else self._cgroup.path

    def release(self) -> None:
        """Remove the cgroup; call when no process of the instance is left."""
        if self._cgroup is not None:
            self._cgroups.remove(self._cgroup)


class ProcessLimits:
    """Makes the limits of one process's instances. Those not available are logged once and left out."""

    def __init__(self, name: str, config: LimitsConfig, runtime: Runtime) -> None:
        self._name = name
        self._config = config
        self._runtime = runtime
        self._warned: set[str] = set()

    def prepare(self, instance: str) -> InstanceLimits:
        """Make the limits of the next run of an instance, and its cgroup."""
        cgroup = self._make_cgroup(instance)
        limits = limits_of(self._name, self._config, cgroup.path if cgroup is not None else None)
        return InstanceLimits(limits, self._runtime.cgroups, cgroup)

    def _make_cgroup(self, instance: str) -> Cgroup | None:
        memory, cpu = self._config.memory, self._config.cpu
        if memory is not None and self._warn_if_lacking("memory"):
            memory = None
        if cpu is not None and self._warn_if_lacking("cpu"):
            cpu = None
        if memory is None and cpu is None:
            return None
        try:
            return self._runtime.cgroups.make(instance, memory=memory, cpu=cpu)
        except CgroupUnusable as error:
            for key, value in (("memory", memory), ("cpu", cpu)):
                if value is not None:
                    self._warn_once(key, str(error))
            return None

    def _warn_if_lacking(self, key: str) -> bool:
        why = self._runtime.cgroups.lacks(key)
        if why is not None:
            self._warn_once(key, why)
        return why is not None

    def _warn_once(self, key: str, why: str) -> None:
        if key not in self._warned:
            self._warned.add(key)
            self._runtime.log.warn(
                "Limit is not applied",
                process=self._name,
                error=f"processes.{self._name}.limits.{key}: {why}",
            )


def limits_of(name: str, config: LimitsConfig, cgroup: str | None) -> Limits:
    """The limits of a process's children, which join ``cgroup``."""
    return Limits(
        where=f"processes.{name}.limits",
        cgroup=cgroup,
        oom_score_adj=config.oom_score_adj,
        nice=config.nice,
        core=_pair(config.core),
        nproc=_pair(config.nproc),
        nofile=_pair(config.nofile),
    )


def _pair(rlimit: RlimitConfig | SizeRlimitConfig | None) -> Pair | None:
    if rlimit is None or (rlimit.soft is None and rlimit.hard is None):
        return None
    return rlimit.soft, rlimit.hard
