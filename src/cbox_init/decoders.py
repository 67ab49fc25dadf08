"""Decoders of JSON, for any thread.

msgspec prepares a type when it is first decoded. In version 0.22 two threads that do this at once for types
with the same parts can end the process by a segmentation fault, so decoders are made one at a time.
"""

from __future__ import annotations

from threading import Lock
from typing import Any, Final, TypeVar

from msgspec.json import Decoder

T = TypeVar("T")

_lock: Final = Lock()
_decoders: Final[dict[type[Any], Decoder[Any]]] = {}


def decoder_of(kind: type[T]) -> Decoder[T]:
    """The decoder for values of ``kind``, one of the types of the program."""
    with _lock:
        decoder = _decoders.get(kind)
        if decoder is None:
            decoder = _decoders[kind] = Decoder(kind)
        return decoder
