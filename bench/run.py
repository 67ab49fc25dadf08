"""All rows, for all peers, several times, in turn."""

import functools
import sys
import time
from collections.abc import Callable, Iterator, Sequence

from bench.daemon import Daemon
from bench.errors import BenchError, DoesNotApply
from bench.figures import Figure, quantity, summarize
from bench.names import OURS
from bench.peers.base import Need, Peer
from bench.results import Absence, Line
from bench.rows.base import Effort, Row, Start
from bench.workspace import Programs

PATIENCE_S = 10.0
"""What took a peer longer is not repeated: slow figures vary little, and cost the most time."""


class Run:
    """Measures, telling standard error how it goes, and collects what failed and what does not apply."""

    def __init__(self, programs: Programs, rounds: int, effort: Effort) -> None:
        self._programs = programs
        self._rounds = rounds
        self._effort = effort
        self.failures: list[str] = []
        self.absences: list[Absence] = []
        self.slow: set[str] = set()
        """The peers that the latest measurement did not ask in every round."""

    def rows(self, rows: Sequence[Row], peers: Sequence[Peer]) -> list[Line]:
        """Measure `rows`; return the lines of the table."""
        lines: list[Line] = []
        for row in rows:
            able = self.able(row.name, row.needs, peers, row.uses)
            if row.only_ours:
                able = [peer for peer in able if peer.name == OURS]
            lines += self.measure(row.name, row.figures, able, row.measure)
        return lines

    def measure(
        self,
        name: str,
        figures: Sequence[Figure],
        peers: Sequence[Peer],
        measure: Callable[[Start, Effort], dict[str, float]],
    ) -> list[Line]:
        """Measure one thing, and return its lines.

        The peers take turns, and another one begins each round, so that a slow moment of the machine
        meets all of them. One that fails, or that takes longer than `PATIENCE_S`, is not asked again.
        """
        samples: dict[str, dict[str, list[float]]] = {figure.key: {} for figure in figures}
        self.slow = done = set[str]()
        for number in range(self._rounds):
            for peer in _turns(peers, number):
                if peer.name in done:
                    continue
                began = time.monotonic()
                try:
                    found = measure(functools.partial(Daemon, peer, self._programs), self._effort)
                except DoesNotApply as error:
                    self.absences.append(Absence(name, peer.name, str(error)))
                    done.add(peer.name)
                    continue
                except BenchError as error:
                    self.failures.append(f"{name}: {error}")
                    done.add(peer.name)
                    print(f"{name}, round {number + 1}: {error}", file=sys.stderr)
                    continue
                took_s = time.monotonic() - began
                if took_s > PATIENCE_S:
                    done.add(peer.name)
                for key, value in found.items():
                    samples[key].setdefault(peer.name, []).append(value)
                told = ", ".join(f"{key} {quantity(value)}" for key, value in found.items())
                print(f"{name}, round {number + 1}, {peer.name}, {took_s:.0f} s: {told}", file=sys.stderr)
        return [
            Line(figure, {peer: summarize(values) for peer, values in samples[figure.key].items()})
            for figure in figures
        ]

    def able(
        self, name: str, needs: Sequence[Need], peers: Sequence[Peer], uses: Sequence[Need] = ()
    ) -> list[Peer]:
        """Return who has all `needs`, and keep the reasons of the others."""
        able = []
        for peer in peers:
            missing = [need for need in needs if need in peer.lacks]
            if not missing:
                able.append(peer)
            part = "" if missing else " (in part)"
            for need in missing or [need for need in uses if need in peer.lacks]:
                self.absences.append(Absence(name + part, peer.name, peer.lacks[need]))
        return able


def _turns(peers: Sequence[Peer], number: int) -> Iterator[Peer]:
    first = number % len(peers) if peers else 0
    yield from peers[first:]
    yield from peers[:first]
