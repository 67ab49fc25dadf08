"""What this process uses of the machine."""

from __future__ import annotations

import os
import time

from msgspec import Struct

from cbox_init.system.procfs import read_bytes


class OwnFigures(Struct, frozen=True):
    """``cpu_s`` is the time that all threads have used. What the kernel does not report is 0.

    ``most_descriptors`` is how many may be open, -1 for any number.
    """

    cpu_s: float
    rss_bytes: int
    peak_rss_bytes: int
    vms_bytes: int
    threads: int
    descriptors: int
    most_descriptors: int


def read_own_figures() -> OwnFigures:
    """The figures of now; some 50 µs."""
    status = _read_status()
    return OwnFigures(
        cpu_s=time.process_time(),
        rss_bytes=_number(status, b"VmRSS") * 1024,
        peak_rss_bytes=_number(status, b"VmHWM") * 1024,
        vms_bytes=_number(status, b"VmSize") * 1024,
        threads=_number(status, b"Threads"),
        descriptors=_count_descriptors(),
        most_descriptors=os.sysconf("SC_OPEN_MAX"),
    )


def _read_status() -> dict[bytes, bytes]:
    try:
        lines = read_bytes("/proc/self/status").splitlines()
    except OSError:
        return {}
    return {name: value for name, _, value in (line.partition(b":") for line in lines)}


def _number(status: dict[bytes, bytes], name: bytes) -> int:
    """The number of a line such as ``VmRSS:     21000 kB``."""
    words = status.get(name, b"").split()
    return int(words[0]) if words else 0


def _count_descriptors() -> int:
    """Since Linux 6.2 the size of the directory is their number; before, they have to be listed."""
    try:
        return os.stat("/proc/self/fd").st_size or len(os.listdir("/proc/self/fd")) - 1
    except OSError:
        return 0
