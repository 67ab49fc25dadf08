"""Makes the routes of each process: to its own outputs, those of all processes, and standard output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbox_init.config.model import LogOverflow, OutputType
from cbox_init.config.outputs import output_type, overflow_of
from cbox_init.logs.outputs.destinations import STDOUT
from cbox_init.logs.routes import Route, Routes

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from cbox_init.config.model import FilterConfig, OutputConfig
    from cbox_init.config.model.enums import LogLevel
    from cbox_init.logs.outputs.destinations import Destinations
    from cbox_init.logs.stages.filters import BlockFilter


class RouteTable:
    """Makes routes. ``everywhere`` are the outputs of all processes; ``overflow`` is the setting of
    standard output."""

    def __init__(
        self,
        destinations: Destinations,
        everywhere: Mapping[str, OutputConfig],
        *,
        level: LogLevel,
        overflow: LogOverflow,
        filters: Callable[[str, FilterConfig | None], BlockFilter | None],
    ) -> None:
        self._destinations = destinations
        self._everywhere = everywhere
        self._level = level
        self._overflow = overflow
        self._filters = filters
        self._used: dict[str | None, Sequence[Hashable]] = {}

    def daemon(self) -> Routes:
        """The routes of the daemon's messages."""
        return self._routes(None, tuple(self._everywhere.values()), self._level, {})

    def process(
        self, name: str, own: Mapping[str, OutputConfig], labels: Mapping[str, str], level: LogLevel
    ) -> Routes:
        """The routes of a process. Its own output replaces an output of all with the same destination.

        ``level`` is the lowest on standard output, and on outputs that set none.
        """
        return self._routes(name, (*self._everywhere.values(), *own.values()), level, labels)

    def forget(self, name: str) -> None:
        """Remove the routes of a process."""
        self._use(name, ())

    def _routes(
        self,
        name: str | None,
        configs: Sequence[OutputConfig],
        level: LogLevel,
        labels: Mapping[str, str],
    ) -> Routes:
        chosen = {self._destinations.key_of(config): config for config in configs}
        used = {key: config for key, config in chosen.items() if config.enabled}
        self._use(name, tuple(used))
        others = tuple(self._route(name, config, level, labels) for config in used.values())
        return Routes(level, STDOUT not in chosen, others)

    def _route(
        self, name: str | None, config: OutputConfig, level: LogLevel, labels: Mapping[str, str]
    ) -> Route:
        overflow = overflow_of(config)
        if output_type(config) is OutputType.STDOUT and config.overflow is None:
            overflow = self._overflow
        return Route(
            self._destinations.destination(config),
            form=self._destinations.form(config),
            threshold=level if config.min_level is None else config.min_level,
            drops=overflow is LogOverflow.DROP,
            labels=labels,
            failed=self._destinations.encoding_failed(config),
            keep=self._filters(name, config.filters) if name is not None else None,
        )

    def _use(self, name: str | None, keys: Sequence[Hashable]) -> None:
        """Close destinations that no route uses any more, and wake those that are used again."""
        before = self._in_use()
        self._used[name] = keys
        after = self._in_use()
        for key in before ^ after:
            if destination := self._destinations.known(key):
                destination.wake() if key in after else destination.rest()

    def _in_use(self) -> set[Hashable]:
        return {key for keys in self._used.values() for key in keys if key != STDOUT}
