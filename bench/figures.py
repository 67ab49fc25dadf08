"""Figures: what a row measures, and what many measurements of one come to."""

import math
import statistics
from collections.abc import Sequence

from msgspec import Struct


class Figure(Struct, frozen=True):
    """One line of the table."""

    key: str  # its name in results.json
    label: str
    unit: str  # "ms", "MB", "/s"
    more_is_better: bool = False


class Summary(Struct, frozen=True):
    """The samples of one figure for one peer, one sample a round."""

    median: float
    low: float
    high: float
    samples: list[float]


def summarize(samples: Sequence[float]) -> Summary:
    """Return the median of `samples` and how far they lie apart; there must be one at least."""
    kept = [round(sample, 3) for sample in samples]
    return Summary(round(statistics.median(kept), 3), min(kept), max(kept), kept)


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest of `values` that `percent` of them do not exceed (nearest rank)."""
    rank = math.ceil(len(values) * percent / 100)
    return sorted(values)[max(rank, 1) - 1]


def quantity(value: float) -> str:
    """Return `value` with the three digits that a reader can use, thousands set apart."""
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"
