"""The text of a scrape, made in slices, so that other requests and children do not wait for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from cbox_init.api.waiting import Slices
from cbox_init.logs.daemon import RepeatedError
from cbox_init.metrics.families import FAMILIES
from cbox_init.metrics.snapshot import take

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric

    from cbox_init.build import DaemonParts
    from cbox_init.telemetry.vitals import Vitals

#: Samples that are formatted at a time: about half a millisecond.
_PIECE: Final = 64


class Page:
    """Writes the metrics of one daemon: the state of its processes, and what has happened to them."""

    content_type: Final = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(self, parts: DaemonParts, vitals: Vitals) -> None:
        self._parts = parts
        self._vitals = vitals
        self._left_out = RepeatedError(parts.logs.daemon, "Unexpected: a metric is left out")

    async def text(self) -> bytes:
        """All metrics in the text format, from one snapshot."""
        slices = Slices()
        snapshot = await take(self._parts, self._vitals, slices)
        pieces: list[bytes] = []
        for family in FAMILIES:
            whole = len(pieces)
            try:
                for metric in family.metrics(snapshot, _PIECE):
                    pieces.append(_text(metric, first=len(pieces) == whole))
                    await slices.breathe()
            except Exception as error:  # noqa: BLE001  # a defect: the other metrics are shown
                del pieces[whole:]
                self._left_out.report(error, metric=family.name)
        return b"".join(pieces)


class _Only:
    """Acts as a registry with one metric."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterator[Metric]:
        yield self._metric


def _text(metric: Metric, *, first: bool) -> bytes:
    """The lines of a metric; HELP and TYPE only the first time."""
    text = generate_latest(_Only(metric))
    return text if first else text.split(b"\n", 2)[2]
