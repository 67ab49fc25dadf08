"""Samples of an instance as JSON and as CSV, made in slices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from msgspec import UNSET, Raw, UnsetType
from msgspec.structs import fields

from cbox_init.api.replies import encode
from cbox_init.api.schemas_metrics import MetricSample
from cbox_init.api.waiting import Slices
from cbox_init.logs.encode.base import Timestamps
from cbox_init.telemetry.history import Summary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cbox_init.telemetry.history import Columns, Ring, Sample

#: Entries that are made at a time, and samples that are summed up: about half a millisecond.
_PIECE: Final = 50
_SUMMED: Final = 1000

_OTHERS: Final = frozenset(("timestamp", "samples", "max"))
_FIGURES: Final = tuple(one.name for one in fields(MetricSample) if one.name not in _OTHERS)


class Selection(NamedTuple):
    """Which samples are asked for: times in Unix seconds, ``step_ms`` None for each sample by itself."""

    since: float
    limit: int
    step_ms: int | None


async def entries(
    ring: Ring, selection: Selection, memory_bytes: int
) -> tuple[int, tuple[MetricSample, ...]]:
    """The entries of a reply and their number; several are one piece of JSON."""
    pieces: list[Raw] = []
    count = 0
    slices = Slices()
    for piece in _pieces(ring, selection, memory_bytes):
        if piece:
            pieces.append(Raw(encode(piece)[1:-1]))
            count += len(piece)
        await slices.breathe()
    return count, cast("tuple[MetricSample, ...]", tuple(pieces))


async def csv(ring: Ring, selection: Selection, memory_bytes: int) -> bytes:
    """The same as CSV, with a header. What is not known is empty."""
    header = ["timestamp", *_FIGURES]
    if selection.step_ms is not None:
        header += ["samples", *(f"max_{name}" for name in _FIGURES)]
    lines = [",".join(header)]
    slices = Slices()
    for piece in _pieces(ring, selection, memory_bytes):
        lines += map(_line, piece)
        await slices.breathe()
    return "\r\n".join([*lines, ""]).encode()


def _line(entry: MetricSample) -> str:
    values = [entry.timestamp, *(_text(getattr(entry, name)) for name in _FIGURES)]
    if not isinstance(entry.max, UnsetType):
        values += [_text(entry.samples), *(_text(entry.max.get(name)) for name in _FIGURES)]
    return ",".join(values)


def _text(value: float | UnsetType | None) -> str:
    return "" if value is None or isinstance(value, UnsetType) else str(value)


def _pieces(ring: Ring, selection: Selection, memory_bytes: int) -> Iterator[list[MetricSample]]:
    """The newest entries, oldest first, some or none at a time; the ring may go on meanwhile."""
    made: Iterator[MetricSample | None]
    if selection.step_ms is None:
        made = _each(ring.since(selection.since, selection.limit), memory_bytes)
    else:
        columns = ring.since(selection.since)
        made = _averaged(columns, selection.step_ms, selection.limit, memory_bytes)
    piece: list[MetricSample] = []
    for entry in made:
        if entry is not None:
            piece.append(entry)
        if entry is None or len(piece) == _PIECE:
            yield piece
            piece = []
    yield piece


def _each(columns: Columns, memory_bytes: int) -> Iterator[MetricSample]:
    times = Timestamps()
    for at in range(len(columns)):
        sample = columns.sample(at)
        timestamp = times.milliseconds(round(sample.unix * 1000) * 1_000_000)
        yield MetricSample(timestamp=timestamp, **_figures(sample, memory_bytes))


def _averaged(columns: Columns, step_ms: int, limit: int, memory_bytes: int) -> Iterator[MetricSample | None]:
    """Averages over steps that begin at multiples of their length; one without samples is left out.

    Now and then None, when some work was done.
    """
    times = Timestamps()
    steps: list[tuple[int, int, int]] = []
    end = len(columns)
    while end and len(steps) < limit:
        start_ms = round(columns.times[end - 1] * 1000) // step_ms * step_ms
        begin = min(columns.from_time(start_ms / 1000), end - 1)
        steps.append((start_ms, begin, end))
        end = begin
        if not len(steps) % _SUMMED:
            yield None
    added = 0
    for start_ms, begin, end in reversed(steps):
        summary = Summary()
        for part in range(begin, end, _SUMMED):
            part_end = min(part + _SUMMED, end)
            summary.add(columns, part, part_end)
            added += part_end - part
            if added >= _SUMMED:
                added = 0
                yield None
        most = _figures(summary.most(), memory_bytes)
        yield MetricSample(
            timestamp=times.milliseconds(start_ms * 1_000_000),
            samples=end - begin,
            max={name: value for name, value in most.items() if value is not UNSET},
            **_figures(summary.mean(), memory_bytes),
        )


def _figures(sample: Sample, memory_bytes: int) -> dict[str, Any]:
    read, written = sample.io_read_bytes_per_second, sample.io_write_bytes_per_second
    cgroup, pss = sample.cgroup_memory_bytes, sample.tree_memory_pss_bytes
    return {
        "cpu_percent": round(sample.cpu_percent, 2),
        "memory_rss_bytes": sample.memory_rss_bytes,
        "memory_vms_bytes": sample.memory_vms_bytes,
        "memory_percent": round(100 * sample.memory_rss_bytes / memory_bytes, 2),
        "threads": sample.threads,
        "file_descriptors": sample.file_descriptors,
        "tree_cpu_percent": round(sample.tree_cpu_percent, 2),
        "tree_memory_rss_bytes": sample.tree_memory_rss_bytes,
        "tree_processes": sample.tree_processes,
        "io_read_bytes_per_second": UNSET if read is None else round(read, 1),
        "io_write_bytes_per_second": UNSET if written is None else round(written, 1),
        "cgroup_memory_bytes": UNSET if cgroup is None else cgroup,
        "tree_memory_pss_bytes": UNSET if pss is None else pss,
    }
