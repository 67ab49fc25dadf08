"""The daemon itself, as a person reads it."""

from __future__ import annotations

from msgspec.structs import replace

from cbox_init.cli.daemon_view import daemon_lines
from tests.client.fake import daemon_entry


def test_a_line_a_fact() -> None:
    lines = ["".join(cell.text for cell in line) for line in daemon_lines(daemon_entry())]
    assert lines == [
        "Version:     0.1.0 (Python 3.11.7)",
        "PID:         1",
        "Config:      /etc/cbox-init/cbox-init.yaml",
        "Uptime:      1h5m",
        "Processes:   5, 2 with a schedule",
        "Instances:   12, 11 running, 1 failed",
        "Restarts:    7",
        "CPU:         3.2 s, 2 threads",
        "Memory:      36.0 MiB, at most 40.0 MiB",
        "Descriptors: 42 of 1024",
        "Loop lag:    0.2 ms median, 1.2 ms p99, 5.3 ms max",
        "Log:         1000 records, 0 dropped, 12 B queued",
        "API:         3 requests, 1 connections, 0 follow the log",
    ]


def test_without_a_file_or_a_limit() -> None:
    entry = daemon_entry()
    backed_up = replace(entry.log, backed_up=True)
    entry = replace(entry, config=None, max_file_descriptors=-1, log=backed_up)
    text = "\n".join("".join(cell.text for cell in line) for line in daemon_lines(entry))
    assert "Config:      none: the environment alone\n" in text
    assert "Descriptors: 42\n" in text
    assert "12 B queued, backed up\n" in text
