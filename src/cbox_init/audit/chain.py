"""The chain of audit records: each line holds the hash of the one before it. Pure: bytes in, bytes out.

A line is one JSON object. Its last two members are ``prev``, the hash of the record before, and ``hash``, the
SHA-256 of all bytes of the line in front of ``,"hash":``.
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from hashlib import sha256
else:
    # Not by hashlib where it can be avoided: that loads OpenSSL's libcrypto, which takes 4 MB.
    for _name in ("_sha2", "_sha256", "hashlib"):  # the first since Python 3.12
        try:
            sha256 = import_module(_name).sha256
            break
        except ImportError:
            continue

#: ``prev`` of the first record.
NO_HASH: Final = "0" * 64

#: No line is longer, newline included. See `record` for what is cut to keep within it.
LONGEST_LINE: Final = 64 * 1024

#: No body that is given to `seal` is longer.
LONGEST_BODY: Final = LONGEST_LINE - 256

_LINE: Final = re.compile(
    rb'(?P<sealed>\{"seq":(?P<seq>[1-9][0-9]{0,18}),.*,"prev":"(?P<prev>[0-9a-f]{64})"),'
    rb'"hash":"(?P<hash>[0-9a-f]{64})"\}\n',
    re.DOTALL,
)


class ChainLink(NamedTuple):
    """The end of a chain: sequence number and hash of its last record."""

    seq: int
    hash: str


class SealedRecord(NamedTuple):
    """What the chain needs of one line."""

    seq: int
    prev: str
    hash: str

    @property
    def link(self) -> ChainLink:
        return ChainLink(self.seq, self.hash)


class BrokenLineError(ValueError):
    """A line is no record, or not as it was written. The message goes on after "the line"."""


START: Final = ChainLink(0, NO_HASH)


def digest_of(data: bytes) -> str:
    """The SHA-256 of ``data`` in hexadecimal digits."""
    return sha256(data).hexdigest()


def seal(body: bytes, last: ChainLink) -> tuple[bytes, ChainLink]:
    """The line of the record that follows ``last``, and its link. ``body`` is a JSON object with members."""
    seq = last.seq + 1
    sealed = b'{"seq":%d,%b,"prev":"%b"' % (seq, body[1:-1], last.hash.encode())
    digest = digest_of(sealed)
    return b'%b,"hash":"%b"}\n' % (sealed, digest.encode()), ChainLink(seq, digest)


def read_sealed(line: bytes) -> SealedRecord:
    """The record of a line, newline included. Raises BrokenLineError."""
    if not line.endswith(b"\n"):
        raise BrokenLineError("is incomplete")
    found = _LINE.fullmatch(line)
    if found is None:
        raise BrokenLineError("is empty" if line == b"\n" else "is no audit record")
    digest = found["hash"].decode()
    if digest_of(found["sealed"]) != digest:
        raise BrokenLineError("was changed: its hash does not fit")
    return SealedRecord(int(found["seq"]), found["prev"].decode(), digest)


def find_end(tail: bytes) -> tuple[ChainLink | None, int]:
    """The last complete record in the end of a file, and where it ends; None and 0 without one.

    The first line of ``tail`` may be cut off at its beginning.
    """
    end = len(tail)
    while (newline := tail.rfind(b"\n", 0, end)) >= 0:
        start = tail.rfind(b"\n", 0, newline) + 1
        try:
            return read_sealed(tail[start : newline + 1]).link, newline + 1
        except BrokenLineError:
            end = newline
    return None, 0
