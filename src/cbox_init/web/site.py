"""The web pages in memory, compressed as they are sent."""

from __future__ import annotations

import os
from typing import Final, NamedTuple

from msgspec import Struct
from msgspec.json import decode

from cbox_init.web.pack import PACKED

_HERE: Final = os.path.dirname(os.path.abspath(__file__))


class Asset(NamedTuple):
    """One file of the pages. ``etag`` is of its content, without quotes."""

    media: str
    etag: str
    compressed: bytes

    def content(self) -> bytes:
        """What was compressed."""
        from zlib import decompress

        return decompress(self.compressed, 31)  # 31: with the header of gzip


class Site(NamedTuple):
    """All files by name, such as ``app/main.js``. ``digest`` is of all that browsers may keep for ever."""

    digest: str
    files: dict[str, Asset]
    #: What the sources were when they were read; empty for an installed package.
    state: frozenset[tuple[str, int, int]] = frozenset()


class _Index(Struct):
    digest: str
    files: dict[str, tuple[str, str, int, int]]


def load(former: Site | None = None, package: str = _HERE) -> Site:
    """The pages of the package, or ``former`` while they are the same. Raises OSError, ValueError.

    An installed package has only the compressed file. Where the sources are there too, as in a development
    tree, they count: when one is newer than that file, they are compressed again.
    """
    static, packed = os.path.join(package, "static"), os.path.join(package, PACKED)
    if not os.path.isfile(os.path.join(static, "index.html")):
        return former or _read(packed, frozenset())
    state = _state(static)
    if former is not None and former.state == state:
        return former
    if _is_current(packed, state):
        return _read(packed, state)
    from cbox_init.web.pack import pack

    return _parse(pack(static), state)


def _state(static: str) -> frozenset[tuple[str, int, int]]:
    """Which files there are, with time of change and size."""
    from cbox_init.web.pack import sources

    found = []
    for name, path in sources(static).items():
        status = os.stat(path)
        found.append((name, status.st_mtime_ns, status.st_size))
    return frozenset(found)


def _is_current(packed: str, state: frozenset[tuple[str, int, int]]) -> bool:
    """Whether the compressed file has just these sources, and none is newer."""
    try:
        written = os.stat(packed).st_mtime_ns
        names = _read(packed, state).files.keys()
    except (OSError, ValueError):
        return False
    return names == {name for name, _, _ in state} and all(changed < written for _, changed, _ in state)


def _read(packed: str, state: frozenset[tuple[str, int, int]]) -> Site:
    with open(packed, "rb") as file:
        return _parse(file.read(), state)


def _parse(content: bytes, state: frozenset[tuple[str, int, int]]) -> Site:
    head, _, rest = content.partition(b"\n")
    index = decode(head, type=_Index)
    files = {
        name: Asset(media, etag, rest[offset : offset + size])
        for name, (media, etag, offset, size) in index.files.items()
    }
    if sum(size for _, _, _, size in index.files.values()) != len(rest):
        raise ValueError(f"{PACKED} is not complete")
    return Site(index.digest, files, state)
