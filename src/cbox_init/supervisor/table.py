"""The processes under supervision, by name, and who depends on whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbox_init.core import dependencies
from cbox_init.core.every import Every
from cbox_init.errors import UnknownProcess

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cbox_init.supervisor.managed import Managed


class ProcessTable:
    """Holds the processes by name, in the order of the file.

    ``leaving`` are the processes that were removed from the configuration and have not ended yet.
    """

    def __init__(self) -> None:
        self._processes: dict[str, Managed] = {}
        self._depends_on: dict[str, tuple[str, ...]] = {}
        self._dependents: dict[str, tuple[str, ...]] = {}
        self._followers: dict[str, tuple[str, ...]] = {}
        self._up: Every[Managed] = Every(lambda process: process.up)
        self._ended: Every[Managed] = Every(lambda process: process.ended_for_good)
        self.leaving: dict[str, Managed] = {}

    def __iter__(self) -> Iterator[Managed]:
        """Iterates over all processes in the order of the file; the table may change meanwhile."""
        return iter(tuple(self._processes.values()))

    def __len__(self) -> int:
        return len(self._processes)

    def __contains__(self, name: object) -> bool:
        return name in self._processes

    def __getitem__(self, name: str) -> Managed:
        """The process ``name``. Raises UnknownProcess."""
        try:
            return self._processes[name]
        except KeyError:
            raise UnknownProcess(name) from None

    def snapshot(self) -> dict[str, Managed]:
        """The processes by name, as they are now."""
        return dict(self._processes)

    def replace(self, processes: Mapping[str, Managed], depends_on: Mapping[str, tuple[str, ...]]) -> None:
        """Hold ``processes`` from now on."""
        self._processes = dict(processes)
        self._depends_on = dict(depends_on)
        self._dependents = dependencies.dependents(self._depends_on)
        self.recount()

    def put(self, process: Managed) -> None:
        """Hold ``process`` in place of the one of its name."""
        self._processes[process.name] = process

    def remove(self, name: str) -> None:
        """Remove a process from the table."""
        del self._processes[name], self._dependents[name]
        for dependency in dict.fromkeys(self._depends_on.pop(name)):
            if (others := self._dependents.get(dependency)) is not None:
                self._dependents[dependency] = tuple(other for other in others if other != name)

    def recount(self) -> None:
        """Compute ``all_up``, ``all_ended`` and ``followers`` again from all processes."""
        self._up.reset(self._processes.values())
        self._ended.reset(self.staying())
        follow = {name: one.config.restart_with for name, one in self._processes.items()}
        self._followers = dependencies.dependents(follow) if any(follow.values()) else {}

    def staying(self) -> Sequence[Managed]:
        """The processes that are configured; the others are being removed."""
        return [process for name, process in self._processes.items() if not self.is_leaving(name)]

    def is_leaving(self, name: str) -> bool:
        """Whether a process is being removed."""
        return name in self.leaving

    def all_up(self) -> bool:
        """Whether every process is as the configuration wants it."""
        return self._up.reached()

    def all_ended(self) -> bool:
        """Whether every process that should run has ended for good."""
        return self._ended.reached()

    def depends_on(self, name: str) -> tuple[str, ...]:
        """The names that ``name`` depends on."""
        return self._depends_on[name]

    def dependents(self, name: str) -> tuple[str, ...]:
        """The names that depend on ``name``."""
        return self._dependents[name]

    def followers(self, name: str) -> tuple[str, ...]:
        """The names that are restarted with ``name``."""
        return tuple(one for one in self._followers.get(name, ()) if one in self._processes)

    def not_ready(self, name: str) -> tuple[str, ...]:
        """The dependencies of ``name`` that are not ready."""
        return dependencies.not_ready(
            self._depends_on[name], lambda dependency: self._processes[dependency].ready
        )
