"""All series, for all peers, from the smallest size to the largest."""

from collections.abc import Sequence

from bench.growth.base import Series
from bench.names import OURS
from bench.peers.base import Peer
from bench.results import Absence, SeriesLine, SeriesResult
from bench.rows.base import Effort, Start
from bench.run import Run


def grow(run: Run, chosen: Sequence[Series], peers: Sequence[Peer]) -> list[SeriesResult]:
    """Measure `chosen`; return them with what each peer reached."""
    return [_series(run, series, run.able(series.name, series.needs, peers)) for series in chosen]


def _series(run: Run, series: Series, peers: Sequence[Peer]) -> SeriesResult:
    lines = [SeriesLine(figure, {}) for figure in series.figures]
    for size in series.sizes:

        def measure(start: Start, effort: Effort, size: int = size) -> dict[str, float]:
            return series.measure(start, effort, size)

        found = run.measure(f"{series.name} {size}", series.figures, peers, measure)
        for line, at_size in zip(lines, found, strict=True):
            for name, summary in at_size.peers.items():
                line.peers.setdefault(name, {})[size] = summary
        for peer in peers:
            if peer.name in run.slow and peer.name != OURS and size != series.sizes[-1]:
                at = f"{series.name} above {size:,}"
                run.absences.append(Absence(at, peer.name, f"slow, or failed, at {size:,}"))
        peers = [peer for peer in peers if peer.name not in run.slow or peer.name == OURS]
    return SeriesResult(series.name, series.title, series.of, list(series.sizes), lines)
