"""What a series is."""

from collections.abc import Callable
from typing import NamedTuple

from bench.figures import Figure
from bench.peers.base import Need
from bench.rows.base import Effort, Start


class Series(NamedTuple):
    """One measurement at several sizes.

    A peer that takes longer than `bench.run.PATIENCE_S` at one size, or fails, is not asked for a bigger
    one; cbox-init is.
    """

    name: str
    title: str
    of: str  # what there are more and more of
    sizes: tuple[int, ...]
    figures: tuple[Figure, ...]
    measure: Callable[[Start, Effort, int], dict[str, float]]
    needs: tuple[Need, ...] = ()
