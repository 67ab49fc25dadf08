"""Where the records of one process, or of the daemon, go besides the API's memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from cbox_init.logs.record import Encoded, joined

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cbox_init.config.model.enums import LogLevel
    from cbox_init.logs.encode.base import BlockEncoder, Field, Format
    from cbox_init.logs.record import Block, RecordSource
    from cbox_init.logs.writer import Writer

_FEW_SOURCES = 256
"""Encoders that are kept: each run of a schedule is another source."""


def encode_each(
    encoder: BlockEncoder, blocks: Sequence[Block], failed: Callable[[Exception], object]
) -> tuple[Encoded, int]:
    """Blocks that could not be encoded together, record by record, and how many of the records are lost.

    A record whose fields cannot be encoded is encoded without them. ``failed`` is called for each error.
    """
    parts: list[Encoded] = [Encoded(b"", 0)]
    records = [record for block in blocks for record in block.split()]
    for record in records:
        for tried in (record, record.without_fields()) if record.fields else (record,):
            try:
                parts.append(encoder(tried))
            except Exception as error:  # noqa: BLE001  # contained at the record
                failed(error)
            else:
                break
    return joined(parts), len(records) - (len(parts) - 1)


class Destination(Protocol):
    """Where records go, shared by all routes that lead there."""

    def writer_of(self, source: RecordSource | None) -> Writer:
        """The writer for the records of ``source``; None for the daemon's own messages."""

    def writers(self) -> Sequence[Writer]:
        """All writers that exist now."""


class Route:
    """The way of one process's records, or of the daemon's messages, to one destination.

    It passes records of at least the level ``threshold`` that ``keep`` does not filter out, encoded by
    ``form``. With ``drops``, records are dropped and counted while the destination's queue is full; otherwise
    ``full`` asks the readers of the process to stop. ``failed`` is called for each record that
    cannot be encoded.
    ``put`` is for the event loop's thread, ``say`` for any thread.
    """

    def __init__(
        self,
        destination: Destination,
        *,
        form: Format,
        threshold: LogLevel,
        drops: bool,
        labels: Mapping[str, str],
        failed: Callable[[Exception], object],
        keep: Callable[[Sequence[Block]], Sequence[Block]] | None = None,
    ) -> None:
        self._destination = destination
        self._form = form
        self._threshold = threshold
        self._drops = drops
        self._labels = labels
        self._failed = failed
        self._keep = keep
        self._encoders: dict[RecordSource, BlockEncoder] = {}

    @property
    def destination(self) -> Destination:
        """Where it leads."""
        return self._destination

    @property
    def full(self) -> bool:
        """Whether reading the process should stop for now."""
        return not self._drops and any(writer.full for writer in self._destination.writers())

    @property
    def backed_up(self) -> bool:
        """Whether so much is queued that no new instance should start."""
        return not self._drops and any(writer.backed_up for writer in self._destination.writers())

    def put(self, blocks: Sequence[Block]) -> None:
        """Send the blocks of one source."""
        least = self._threshold.rank
        wanted: Sequence[Block] = [block for block in blocks if block.level.rank >= least]
        if wanted and self._keep is not None:
            wanted = self._keep(wanted)
        if not wanted:
            return
        source = wanted[0].source
        writer = self._destination.writer_of(source)
        if self._drops and writer.full:
            writer.refuse(sum([len(block) for block in wanted]))
        else:
            encoder = self._encoder(source)
            try:
                encoded = joined([encoder(block) for block in wanted])
            except Exception:  # noqa: BLE001  # found out there, at the cost of these blocks only
                encoded, lost = encode_each(encoder, wanted, self._failed)
                writer.refuse(lost)
            writer.write(*encoded, source)

    def say(self, time_ns: int, level: LogLevel, message: str, fields: Mapping[str, Field]) -> None:
        """Send a message of the daemon; with ``drops``, only far more in the queue than usual drops it."""
        if level.rank >= self._threshold.rank:
            writer = self._destination.writer_of(None)
            if self._drops and writer.backed_up:
                writer.refuse(1)
                return
            try:
                data = self._form.message(time_ns, level, message, fields)
            except Exception:  # noqa: BLE001  # it is on standard output; saying more would come back here
                writer.refuse(1)
            else:
                writer.write(data)

    def _encoder(self, source: RecordSource) -> BlockEncoder:
        encoder = self._encoders.get(source)
        if encoder is None:
            if len(self._encoders) >= _FEW_SOURCES:
                self._encoders.clear()
            encoder = self._encoders[source] = self._form.encoder(source, self._labels)
        return encoder


class Routes(NamedTuple):
    """Where records go besides the API's memory.

    With ``plain``, records from ``threshold`` on go to standard output as if no output were configured.
    ``others`` are routes to configured outputs, each with a threshold of its own.
    """

    threshold: LogLevel
    plain: bool
    others: tuple[Route, ...]
