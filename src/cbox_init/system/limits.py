"""What a child is held to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cbox_init.system.apply_limits import Pair, Step


class Limits(Struct, frozen=True, kw_only=True):
    """The limits of one child. ``where`` is what messages call them by, such as the path of a key.

    ``cgroup`` is the directory of the one that it joins. What is None is left as it is.
    """

    where: str
    cgroup: str | None = None
    oom_score_adj: int | None = None
    nice: int | None = None
    core: Pair | None = None
    nproc: Pair | None = None
    nofile: Pair | None = None

    def steps(self) -> list[Step]:
        """What to do, in the order in which no step is in the way of the next."""
        return list(self._steps())

    def _steps(self) -> Iterator[Step]:
        for key in ("cgroup", "oom_score_adj", "nice", "core", "nproc", "nofile"):
            value = getattr(self, key)
            if value is not None:
                yield key, value
