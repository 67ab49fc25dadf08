"""The text of a scrape, made in slices, so that other requests and children do not wait for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics_exposition

from cbox_init.api.waiting import Slices
from cbox_init.logs.daemon import RepeatedError
from cbox_init.metrics.families import FAMILIES
from cbox_init.metrics.snapshot import take

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric

    from cbox_init.build import DaemonParts
    from cbox_init.telemetry.vitals import Vitals

_EOF: Final = b"# EOF\n"

#: Samples that are formatted at a time: about half a millisecond.
_PIECE: Final = 64


class Page:
    """Writes the metrics of one daemon: the state of its processes, and what has happened to them."""

    def __init__(self, parts: DaemonParts, vitals: Vitals) -> None:
        self._parts = parts
        self._vitals = vitals
        self._left_out = RepeatedError(parts.logs.daemon, "Unexpected: a metric is left out")

    async def text(self, *, openmetrics: bool = False) -> tuple[bytes, str]:
        """All metrics, from one snapshot, in the text format or that of OpenMetrics; and its content type."""
        slices = Slices()
        snapshot = await take(self._parts, self._vitals, slices)
        pieces: list[bytes] = []
        for family in FAMILIES:
            whole = len(pieces)
            try:
                for metric in family.metrics(snapshot, _PIECE):
                    pieces.append(_text(metric, openmetrics=openmetrics, first=len(pieces) == whole))
                    await slices.breathe()
            except Exception as error:  # noqa: BLE001  # a defect: the other metrics are shown
                del pieces[whole:]
                self._left_out.report(error, metric=family.name)
        if openmetrics:
            return b"".join([*pieces, _EOF]), openmetrics_exposition.CONTENT_TYPE_LATEST
        return b"".join(pieces), CONTENT_TYPE_PLAIN_0_0_4


class _Only:
    """Acts as a registry with one metric."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterator[Metric]:
        yield self._metric


def _text(metric: Metric, *, openmetrics: bool, first: bool) -> bytes:
    """The lines of a metric; HELP and TYPE only the first time."""
    if openmetrics:
        written: bytes = openmetrics_exposition.generate_latest(_Only(metric))  # type: ignore[no-untyped-call]
        text = written.removesuffix(_EOF)
    else:
        text = generate_latest(_Only(metric))
    return text if first else text.split(b"\n", 2)[2]
