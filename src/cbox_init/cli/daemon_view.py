"""What the daemon says of itself, as a person reads it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbox_init.cli.table import Cell
from cbox_init.cli.words import size, uptime

if TYPE_CHECKING:
    from cbox_init.client import DaemonEntry

_LABEL_WIDTH = 13


def daemon_lines(entry: DaemonEntry) -> list[list[Cell]]:
    """A labelled line a fact."""
    counts, loop, log, api = entry.counts, entry.loop, entry.log, entry.api
    limit = "" if entry.max_file_descriptors < 0 else f" of {entry.max_file_descriptors}"
    facts = {
        "Version": f"{entry.version} (Python {entry.python_version})",
        "PID": str(entry.pid),
        "Config": entry.config or "none: the environment alone",
        "Uptime": uptime(entry.uptime_seconds),
        "Processes": f"{counts.processes}, {counts.scheduled} with a schedule",
        "Instances": f"{counts.instances}, {counts.running} running, {counts.failed} failed",
        "Restarts": str(counts.restarts),
        "CPU": f"{entry.cpu_seconds:.1f} s, {entry.threads} threads",
        "Memory": f"{size(entry.memory_rss_bytes)}, at most {size(entry.memory_peak_bytes)}",
        "Descriptors": f"{entry.file_descriptors}{limit}",
        "Loop lag": f"{_ms(loop.lag_p50_ms)} median, {_ms(loop.lag_p99_ms)} p99, {_ms(loop.lag_max_ms)} max",
        "Log": f"{log.written_records} records, {log.dropped_records} dropped, "
        + f"{size(log.queued_bytes)} queued{', backed up' if log.backed_up else ''}",
        "API": f"{api.requests} requests, {api.connections} connections, {log.subscribers} follow the log",
    }
    return [[Cell(f"{label}:".ljust(_LABEL_WIDTH), "bold"), Cell(text)] for label, text in facts.items()]


def _ms(value: float) -> str:
    return f"{value:.1f} ms"
