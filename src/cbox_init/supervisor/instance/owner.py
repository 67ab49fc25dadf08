"""What a process with instances and one with scheduled runs have in common: both own some Instances."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from cbox_init.core.instance import Instance
    from cbox_init.supervisor.instance.instances import Instances


class InstancesOwner:
    """Answers for the instances (or runs) that its subclass keeps in ``_instances``."""

    _instances: Instances

    @property
    def clearing(self) -> bool:
        """Whether a main process has ended and others of its instance have not."""
        return self._instances.clearing

    @property
    def instances(self) -> Collection[Instance]:
        """All its instances."""
        return self._instances.observed.values()

    @property
    def names_alive(self) -> tuple[str, ...]:
        """The ids of its instances of which something lives."""
        return self._instances.names_alive

    @property
    def names_killed(self) -> tuple[str, ...]:
        """The ids of its instances that had to be killed since the last ``forget_killed``."""
        return tuple(sorted(self._instances.killed))

    def forget_killed(self) -> None:
        """Who had to be killed until now is history."""
        self._instances.killed.clear()
