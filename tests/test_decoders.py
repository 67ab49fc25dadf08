"""Decoders are made once, whatever threads ask for them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING

from msgspec import Struct

from cbox_init.decoders import decoder_of

if TYPE_CHECKING:
    from msgspec.json import Decoder


class Part(Struct):
    number: int = 0


class Whole(Struct):
    parts: tuple[Part, ...] = ()


def test_threads_share_a_decoder() -> None:
    start = Barrier(8)

    def decoded(_: int) -> tuple[Decoder[Whole], Whole]:
        start.wait(10)
        decoder = decoder_of(Whole)
        return decoder, decoder.decode(b'{"parts":[{"number":1}]}')

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(decoded, range(8)))
    assert {id(decoder) for decoder, _ in found} == {id(decoder_of(Whole))}
    assert all(value == Whole((Part(1),)) for _, value in found)
