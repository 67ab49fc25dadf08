"""One place as one process uses it, or the daemon: what goes there, in which form, and who waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbox_init.logs.record import joined

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cbox_init.logs.encode.base import BlockEncoder, Field, Format
    from cbox_init.logs.levels import Level
    from cbox_init.logs.outputs.places import Place
    from cbox_init.logs.record import Block, Source

_FEW_SOURCES = 256
"""Encoders that are kept: a schedule has another source with each run."""


class Output:
    """Sends the records of one process that have the level ``threshold`` and that ``keep`` lets through.

    With ``drops`` what the place has no room for is dropped and counted; otherwise ``full`` is for the
    readers of the process. ``put`` is for the event loop's thread, ``say`` for any.
    """

    def __init__(
        self,
        place: Place,
        *,
        form: Format,
        threshold: Level,
        drops: bool,
        labels: Mapping[str, str],
        keep: Callable[[Sequence[Block]], Sequence[Block]] | None = None,
    ) -> None:
        self._place = place
        self._form = form
        self._threshold = threshold
        self._drops = drops
        self._labels = labels
        self._keep = keep
        self._encoders: dict[Source, BlockEncoder] = {}

    @property
    def full(self) -> bool:
        """Whether the process should wait."""
        return not self._drops and any(outlet.full for outlet in self._place.outlets())

    @property
    def backed_up(self) -> bool:
        """Whether so much waits that no new instance should begin to write."""
        return not self._drops and any(outlet.backed_up for outlet in self._place.outlets())

    def put(self, blocks: Sequence[Block]) -> None:
        """Send the blocks of one source on their way."""
        wanted: Sequence[Block] = [block for block in blocks if block.level >= self._threshold]
        if wanted and self._keep is not None:
            wanted = self._keep(wanted)
        if not wanted:
            return
        source = wanted[0].source
        outlet = self._place.outlet_of(source)
        if self._drops and outlet.full:
            outlet.refuse(sum([len(block) for block in wanted]))
        else:
            encoder = self._encoder(source)
            outlet.write(*joined([encoder(block) for block in wanted]), source)

    def say(self, time_ns: int, level: Level, message: str, fields: Mapping[str, Field]) -> None:
        """Send a message of the daemon, which is dropped only when very much waits already."""
        if level >= self._threshold:
            outlet = self._place.outlet_of(None)
            if self._drops and outlet.backed_up:
                outlet.refuse(1)
            else:
                outlet.write(self._form.message(time_ns, level, message, fields))

    def _encoder(self, source: Source) -> BlockEncoder:
        encoder = self._encoders.get(source)
        if encoder is None:
            if len(self._encoders) >= _FEW_SOURCES:
                self._encoders.clear()
            encoder = self._encoders[source] = self._form.encoder(source, self._labels)
        return encoder
