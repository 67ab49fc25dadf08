"""All rows, for all peers, several times, in turn."""

import functools
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.daemon import Daemon
from bench.errors import BenchError
from bench.figures import quantity, summarize
from bench.peers.base import Peer
from bench.results import Line
from bench.rows.base import Effort, Row


def run(
    rows: Sequence[Row], peers: Sequence[Peer], program: Path, rounds: int, effort: Effort
) -> tuple[list[Line], list[str]]:
    """Measure, telling standard error how it goes; return the lines of the table, and what failed and why.

    The peers take turns, and another one begins each round, so that a slow moment of the machine
    meets all of them.
    """
    lines: list[Line] = []
    failures: dict[str, None] = {}  # in order, once each
    for row in rows:
        samples: dict[str, dict[str, list[float]]] = {figure.key: {} for figure in row.figures}
        for number in range(rounds):
            first = number % len(peers)
            for peer in [*peers[first:], *peers[:first]]:
                try:
                    found = row.measure(functools.partial(Daemon, peer, program), effort)
                except BenchError as error:
                    failures[f"{row.name}: {error}"] = None
                    print(f"{row.name}, round {number + 1}: {error}", file=sys.stderr)
                    continue
                for key, value in found.items():
                    samples[key].setdefault(peer.name, []).append(value)
                told = ", ".join(f"{key} {quantity(value)}" for key, value in found.items())
                print(
                    f"{row.name}, round {number + 1}, {peer.name}: {told or 'does not apply'}",
                    file=sys.stderr,
                )
        for figure in row.figures:
            reached = {name: summarize(values) for name, values in samples[figure.key].items()}
            lines.append(Line(figure, reached))
    return lines, list(failures)
