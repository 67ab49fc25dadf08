"""What a row is."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from bench.daemon import Daemon
from bench.figures import Figure


class Effort(NamedTuple):
    """How much one measurement may take."""

    kills: int
    kill_seconds: float  # a peer that is slow to respawn gets fewer kills
    load_seconds: int


FULL = Effort(kills=50, kill_seconds=15, load_seconds=4)
QUICK = Effort(kills=15, kill_seconds=5, load_seconds=1)


class Start(Protocol):
    """Starts the peer that is being measured; see bench.peers.base.Work for the arguments."""

    def __call__(self, children: int, quick_respawn: bool = False) -> Daemon: ...


class Row(NamedTuple):
    """One measurement, of one figure or of several that it yields together.

    `measure` leaves out the figures that the peer does not have.
    """

    name: str
    figures: tuple[Figure, ...]
    measure: Callable[[Start, Effort], dict[str, float]]
