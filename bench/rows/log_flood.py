"""Children that write as fast as they can, or at a rate: how fast lines come through, whole and once each."""

from collections.abc import Callable

import msgspec

from bench import procfs
from bench.errors import BenchError
from bench.figures import Figure
from bench.peers.base import Job, Need, Output, Writing
from bench.rows.base import Effort, Row, Start

_LINE = 95  # bytes, see child.c
_SECRETS = 10  # each tenth line has one
_MANY = 200
_MANY_RATE = 500


def measure(start: Start, output: Output, writing: Writing) -> dict[str, float]:
    """Return all that can be said of one flood, by name."""
    with start(Job(writing.writers, output=output, writing=writing)) as daemon:
        daemon.wait_up()
        daemon.settle()
        pids = daemon.supervisors()
        rest = procfs.memory(pids).rss
        procfs.reset_peak(pids)
        cpu_s = -procfs.run_seconds(pids)
        began_ns = daemon.write()
        count = daemon.count()
        cpu_s += procfs.run_seconds(pids)
        peak = procfs.peak_rss(pids)
    written = writing.writers * writing.lines
    if output is Output.REDACTED and (count.secrets or count.masked != written // _SECRETS):
        raise BenchError(f"of {written // _SECRETS:,} secrets {count.masked:,} were masked")
    seconds = (count.last_ns - began_ns) / 1e9
    return {
        "lines_rate": count.distinct / seconds,
        "megabytes_rate": count.distinct * _LINE / seconds / 1e6,
        "spoiled": count.spoiled(written),
        "merged": count.merged,
        "peak": max(peak - rest, 0) / 1e6,
        "cpu": cpu_s / written * 1e6,
        "cpu_percent": cpu_s / seconds * 100,
    }


def _row(
    name: str,
    title: str,
    label: str,
    parts: tuple[str, ...],
    flood: Callable[[Start, Effort], dict[str, float]],
    need: Need = Need.OUTPUT,
) -> Row:
    """Return a row of those `parts` of what `measure` returns."""
    known = {
        "lines_rate": Figure("rate", label, "lines/s", more_is_better=True),
        "megabytes_rate": Figure("rate", label, "MB/s", more_is_better=True),
        "cpu_percent": Figure("cpu", label, "% of a core"),
        "spoiled": Figure("spoiled", "the same, lines lost, cut or doubled", ""),
        "merged": Figure("merged", "the same, lines that share a record with an earlier one", ""),
        "peak": Figure("peak", "the same, peak memory above that at rest", "MB"),
        "cpu": Figure("cpu", "the same, CPU seconds of the daemon for a million lines", "s"),
    }
    prefix = name.replace("-", "_")
    figures = {
        part: msgspec.structs.replace(known[part], key=f"{prefix}_{known[part].key}") for part in parts
    }

    def measure_row(start: Start, effort: Effort) -> dict[str, float]:
        found = flood(start, effort)
        return {figure.key: found[part] for part, figure in figures.items()}

    return Row(name, title, tuple(figures.values()), measure_row, (need,))


JSON = _row(
    "log-flood-json",
    "One child floods its output, JSON lines",
    "lines of a flooding child, JSON where there is that",
    ("lines_rate", "spoiled", "merged", "peak", "cpu"),
    lambda start, effort: measure(start, Output.JSON, Writing(1, effort.lines)),
)
TEXT = _row(
    "log-flood-text",
    "One child floods its output, text",
    "bytes of a flooding child, text",
    ("megabytes_rate", "spoiled", "merged", "cpu"),
    lambda start, effort: measure(start, Output.TEXT, Writing(1, effort.lines)),
)
REDACT = _row(
    "log-flood-redact",
    "One child floods its output, passwords are masked",
    "lines of a flooding child, one in ten with a password that is masked",
    ("lines_rate", "spoiled", "peak", "cpu"),
    lambda start, effort: measure(start, Output.REDACTED, Writing(1, effort.lines)),
    Need.REDACTION,
)
MANY = _row(
    "log-many",
    f"{_MANY} children with {_MANY_RATE} lines a second each",
    f"CPU of the daemon, {_MANY} children with {_MANY_RATE} lines/s each",
    ("cpu_percent", "spoiled", "merged"),
    lambda start, effort: measure(
        start, Output.JSON, Writing(_MANY, _MANY_RATE * effort.load_seconds, _MANY_RATE)
    ),
)
