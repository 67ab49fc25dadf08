"""Keeps what instances have used: a ring of samples for each, made of arrays that grow up to a limit.

A sample takes `SAMPLE_BYTES` (44), 8 more where its I/O is known, and 4 more each with a cgroup and with
PSS. CPython's arrays have up to an eighth more room than is used while they grow.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from math import inf, isnan, nan
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

#: Instances of one process that do not run and whose samples are kept, at most.
MOST_ENDED: Final = 100

_PAGE: Final = 4096
_MOST: Final = 2**32 - 2
_MISSING: Final = 2**32 - 1
"""A whole number that is not known. One that is not a whole number is NaN then."""


class Sample(NamedTuple):
    """What an instance used at one time, in Unix seconds.

    The first figures are those of its main process, those that begin with ``tree`` of that and all processes
    below it. The I/O is that of the tree, with storage, since the sample before. None is not known.
    """

    unix: float
    cpu_percent: float
    memory_rss_bytes: int
    memory_vms_bytes: int
    threads: int
    file_descriptors: int | None
    tree_cpu_percent: float
    tree_memory_rss_bytes: int
    tree_processes: int
    io_read_bytes_per_second: float | None
    io_write_bytes_per_second: float | None
    cgroup_memory_bytes: int | None
    tree_memory_pss_bytes: int | None = None


class _Column(NamedTuple):
    """How a figure is kept: the type of its array, and the unit that it is counted in."""

    code: str
    unit: int = 1
    optional: bool = False


_COLUMNS: Final = (
    _Column("d"),
    _Column("f"),
    _Column("I", _PAGE),
    _Column("Q"),
    _Column("I"),
    _Column("I"),
    _Column("f"),
    _Column("I", _PAGE),
    _Column("I"),
    _Column("f", optional=True),
    _Column("f", optional=True),
    _Column("I", _PAGE, optional=True),
    _Column("I", 1024, optional=True),
)
_NONE: Final = {"f": nan, "I": _MISSING}

#: Bytes that a sample takes, without figures that no sample of its ring has.
SAMPLE_BYTES: Final = sum(array(one.code).itemsize for one in _COLUMNS if not one.optional)


class Columns:
    """Samples in the order of their time, one array for each figure; a copy that no longer changes."""

    def __init__(self, arrays: list[array[float] | array[int] | None]) -> None:
        self._arrays = arrays
        self.times = arrays[0] or array("d")

    def __len__(self) -> int:
        return len(self.times)

    def sample(self, at: int) -> Sample:
        """One sample."""
        values = [
            None if column is None else _read(column[at], kind)
            for column, kind in zip(self._arrays, _COLUMNS, strict=True)
        ]
        return Sample(*values)  # type: ignore[arg-type]

    def known(self, begin: int, end: int) -> Iterator[array[float] | array[int] | Sequence[float]]:
        """Of each figure the values that are known, as they are kept, from ``begin`` to before ``end``."""
        for column, kind in zip(self._arrays, _COLUMNS, strict=True):
            yield () if column is None else _known(column[begin:end], kind)

    def from_time(self, unix: float) -> int:
        """The place of the first sample that is not before this time."""
        return bisect_left(self.times, unix)


class Summary:
    """The averages and the largest values of samples that are added in parts.

    Both are those of the samples in which a figure is known.
    """

    def __init__(self) -> None:
        self._sums = [0.0] * len(_COLUMNS)
        self._counts = [0] * len(_COLUMNS)
        self._most: list[float | None] = [None] * len(_COLUMNS)

    def add(self, columns: Columns, begin: int, end: int) -> None:
        """Add the samples from ``begin`` to before ``end``; takes about 0.4 µs for each."""
        for number, known in enumerate(columns.known(begin, end)):
            if known:
                most = self._most[number]
                self._sums[number] += sum(known)
                self._counts[number] += len(known)
                self._most[number] = max(known) if most is None else max(most, max(known))

    def mean(self) -> Sample:
        """The averages."""
        return Sample(*map(self._mean, range(len(_COLUMNS))))  # type: ignore[arg-type]

    def most(self) -> Sample:
        """The largest values."""
        values = (
            None if most is None else most * kind.unit
            for most, kind in zip(self._most, _COLUMNS, strict=True)
        )
        return Sample(*values)  # type: ignore[arg-type]

    def _mean(self, number: int) -> float | None:
        if not self._counts[number]:
            return None
        mean = self._sums[number] / self._counts[number] * _COLUMNS[number].unit
        return mean if _COLUMNS[number].code in "fd" else round(mean)


class Ring:
    """The last ``most`` samples of one instance; takes memory for those that it has."""

    __slots__ = ("_arrays", "_begin", "_most")

    def __init__(self, most: int) -> None:
        self._most = most
        self._begin = 0
        self._arrays = _empty()

    def __len__(self) -> int:
        times = self._arrays[0]
        return 0 if times is None else len(times)

    @property
    def last_unix(self) -> float:
        """The time of the last sample; long ago when there is none."""
        times = self._arrays[0]
        return times[self._begin - 1] if times else -inf

    @property
    def size(self) -> int:
        """The bytes of memory that the samples take."""
        return sum(one.buffer_info()[1] * one.itemsize for one in self._arrays if one is not None)

    def add(self, sample: Sample) -> None:
        """Add a sample; the oldest one makes room when the ring is full."""
        if not self._most:
            return
        length, begin = len(self), self._begin
        full = length >= self._most
        for number, (kind, value) in enumerate(zip(_COLUMNS, sample, strict=True)):
            column = self._arrays[number]
            if column is None:
                if value is None:
                    continue
                column = self._arrays[number] = array(kind.code, [_NONE[kind.code]]) * length
            kept = _kept(value, kind)
            if full:
                column[begin] = kept  # type: ignore[call-overload]
            else:
                column.append(kept)  # type: ignore[arg-type]
        if full:
            self._begin = (begin + 1) % length

    def resize(self, most: int) -> None:
        """Keep ``most`` samples from now on: the newest of those that there are."""
        if most != self._most:
            self._arrays = self._ordered(max(0, len(self) - most)) if most else _empty()
            self._begin = 0
            self._most = most

    def since(self, unix: float, most: int | None = None) -> Columns:
        """A copy of the samples that are not before this time, of the last ``most`` of them."""
        times = self._ordered(0, 1)[0] or array("d")
        first = bisect_left(times, unix)
        return Columns(self._ordered(first if most is None else max(first, len(times) - most)))

    def _ordered(self, first: int, columns: int | None = None) -> list[array[float] | array[int] | None]:
        begin = self._begin
        found: list[array[float] | array[int] | None] = []
        for column in self._arrays[:columns]:
            if column is None:
                found.append(None)
            elif begin + first < len(column):
                found.append(column[begin + first :] + column[:begin])  # type: ignore[operator]
            else:
                found.append(column[begin + first - len(column) : begin])
        return found


class History:
    """The rings of all instances, by process and id. A ring goes on when its instance is restarted."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._rings: dict[str, dict[str, Ring]] = {}

    @property
    def size(self) -> int:
        """The bytes of memory that all samples take."""
        return sum(ring.size for _, _, ring in self.rings())

    def rings(self) -> Iterator[tuple[str, str, Ring]]:
        """Every ring, with its process and the id of its instance."""
        for process, rings in self._rings.items():
            for instance, ring in rings.items():
                yield process, instance, ring

    def ring(self, process: str, instance: str) -> Ring | None:
        """The ring of an instance, None when it has none."""
        return self._rings.get(process, {}).get(instance)

    def add(self, process: str, instance: str, sample: Sample) -> None:
        """Add a sample of an instance."""
        rings = self._rings.get(process)
        if rings is None:
            rings = self._rings[process] = {}
        ring = rings.get(instance)
        if ring is None:
            ring = rings[instance] = Ring(self.most)
        ring.add(sample)

    def resize(self, most: int) -> None:
        """Keep ``most`` samples of each instance from now on."""
        self.most = most
        for _, _, ring in self.rings():
            ring.resize(most)

    def prune(self, process: str, running: Collection[str], *, older_than: float) -> None:
        """Drop rings of instances that do not run: those without a sample since the Unix time ``older_than``,
        and all but the `MOST_ENDED` that have ended last."""
        rings = self._rings.get(process)
        if rings is None or len(rings) <= len(running):
            return
        ended = sorted(
            ((ring.last_unix, instance) for instance, ring in rings.items() if instance not in running),
            reverse=True,
        )
        for number, (last_unix, instance) in enumerate(ended):
            if number >= MOST_ENDED or last_unix < older_than:
                del rings[instance]

    def forget(self, process: str) -> None:
        """Drop the rings of a process that was removed."""
        self._rings.pop(process, None)


def _empty() -> list[array[float] | array[int] | None]:
    return [None if kind.optional else array(kind.code) for kind in _COLUMNS]


def _kept(value: float | None, kind: _Column) -> float:
    if value is None:
        return _NONE[kind.code]
    if kind.code == "I":
        return min(max(int(value), 0) // kind.unit, _MOST)
    return value


def _read(kept: float, kind: _Column) -> float | None:
    if kind.code == "I":
        return None if kept == _MISSING else kept * kind.unit
    if kind.code == "f":
        return None if isnan(kept) else kept
    return kept


def _known(values: array[float] | array[int], kind: _Column) -> array[float] | array[int] | list[float]:
    if kind.code == "I" and values.count(_MISSING):
        return [value for value in values if value != _MISSING]
    if kind.code == "f" and kind.optional:
        return [value for value in values if not isnan(value)]
    return values
