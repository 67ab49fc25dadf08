"""Which outputs the records of a process go to: its own, those of all, and standard output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from cbox_init.config.model import LogOverflow, OutputType
from cbox_init.config.outputs import output_type, overflow_of
from cbox_init.logs.levels import Level
from cbox_init.logs.outputs.output import Output
from cbox_init.logs.outputs.places import STDOUT, key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from cbox_init.config.model import FilterConfig, OutputConfig
    from cbox_init.logs.outputs.filtering import BlockFilter
    from cbox_init.logs.outputs.places import Places


class Routes(Struct, frozen=True):
    """Where records go. ``plain`` stands for standard output as it is without any configuration of it."""

    plain: bool
    outputs: tuple[Output, ...]


class Router:
    """Makes routes. ``everywhere`` are the outputs of all; ``overflow`` is that of standard output."""

    def __init__(
        self,
        places: Places,
        everywhere: Mapping[str, OutputConfig],
        *,
        level: Level,
        overflow: LogOverflow,
        filters: Callable[[str, FilterConfig | None], BlockFilter | None],
    ) -> None:
        self._places = places
        self._everywhere = everywhere
        self._level = level
        self._overflow = overflow
        self._filters = filters
        self._used: dict[str | None, Sequence[Hashable]] = {}

    def daemon(self) -> Routes:
        """For the daemon's own messages."""
        return self._routes(None, tuple(self._everywhere.values()), self._level, {})

    def process(
        self, name: str, own: Mapping[str, OutputConfig], labels: Mapping[str, str], level: Level
    ) -> Routes:
        """For the records of a process. An output of its own takes the place of one of all that leads there.

        ``level`` is what counts for standard output, and for outputs that have none of their own.
        """
        return self._routes(name, (*self._everywhere.values(), *own.values()), level, labels)

    def forget(self, name: str) -> None:
        """The process sends nothing any more."""
        self._use(name, ())

    def _routes(
        self,
        name: str | None,
        configs: Sequence[OutputConfig],
        level: Level,
        labels: Mapping[str, str],
    ) -> Routes:
        chosen = {key_of(config): config for config in configs}
        used = {key: config for key, config in chosen.items() if config.enabled}
        self._use(name, tuple(used))
        return Routes(
            STDOUT not in chosen, tuple(self._output(name, config, level, labels) for config in used.values())
        )

    def _output(
        self, name: str | None, config: OutputConfig, level: Level, labels: Mapping[str, str]
    ) -> Output:
        overflow = overflow_of(config)
        if output_type(config) is OutputType.STDOUT and config.overflow is None:
            overflow = self._overflow
        return Output(
            self._places.place(config),
            form=self._places.form(config),
            threshold=level if config.min_level is None else Level.of(config.min_level),
            drops=overflow is LogOverflow.DROP,
            labels=labels,
            keep=self._filters(name, config.filters) if name is not None else None,
        )

    def _use(self, name: str | None, keys: Sequence[Hashable]) -> None:
        """Let places that nobody uses any more rest, and wake those that somebody uses again."""
        before = self._in_use()
        self._used[name] = keys
        after = self._in_use()
        for key in before ^ after:
            if place := self._places.known(key):
                place.wake() if key in after else place.rest()

    def _in_use(self) -> set[Hashable]:
        return {key for keys in self._used.values() for key in keys if key != STDOUT}
