"""What a row is."""

from collections.abc import Callable
from typing import NamedTuple

from bench.daemon import Daemon
from bench.figures import Figure
from bench.peers.base import Job, Need


class Effort(NamedTuple):
    """How much one measurement may take."""

    kills: int
    kill_seconds: float  # a peer that is slow to respawn gets fewer kills
    load_seconds: int
    requests: int
    lines: int  # of a flood
    idle_seconds: float
    idle_more_seconds: float  # for who does not wake at all in the former
    commands: int  # runs of each command of the command line


FULL = Effort(50, 8, 3, 300, 5_000_000, 10, 50, 20)
QUICK = Effort(15, 3, 1, 100, 500_000, 3, 0, 5)

Start = Callable[[Job], Daemon]
"""Starts the peer that is being measured."""


class Row(NamedTuple):
    """One measurement, of one figure or of several that it yields together.

    `measure` leaves out the figures that the peer does not have. A peer that lacks one of `needs` is left out
    of the row; one that lacks one of `uses` lacks a part of the figures.
    """

    name: str
    title: str
    figures: tuple[Figure, ...]
    measure: Callable[[Start, Effort], dict[str, float]]
    needs: tuple[Need, ...] = ()
    uses: tuple[Need, ...] = ()
    only_ours: bool = False
    counted: bool = False  # rather than timed: once is enough
    long: bool = False  # in a quick run only by name
