"""Commands of the command line, from exec to end, which is mostly their imports."""

import os
import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence

from bench.errors import BenchError
from bench.figures import Figure
from bench.peers.base import Job
from bench.rows.base import Effort, Row, Start

_WARM_UPS = 2

VERSION = Figure("command_version", "the command `version`", "ms")
VERSION_CPU = Figure("command_version_cpu", "the same, processor time", "ms")
LIST = Figure("command_list", "the command `list`", "ms")
LIST_CPU = Figure("command_list_cpu", "the same, processor time", "ms")


def measure(start: Start, effort: Effort) -> dict[str, float]:
    with start(Job(1)) as daemon:
        daemon.wait_up()
        daemon.settle()
        program, request = daemon.launch.argv[0], daemon.launch.list_request
        assert request is not None, "a row of cbox-init alone"
        listed = [program, "list", "--url", f"http://127.0.0.1:{request.port}"]
        return {
            **medians((VERSION, VERSION_CPU), [program, "version"], effort.commands),
            **medians((LIST, LIST_CPU), listed, effort.commands),
        }


def medians(figures: Sequence[Figure], command: list[str], times: int) -> dict[str, float]:
    runs = list(_run(command, _WARM_UPS + times))[_WARM_UPS:]
    return {
        figure.key: statistics.median(values) * 1e3
        for figure, values in zip(figures, zip(*runs, strict=True), strict=True)
    }


def _run(command: list[str], times: int) -> Iterator[tuple[float, float]]:
    """Yield how many seconds each run took, and how much processor time."""
    for _ in range(times):
        began = time.monotonic()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        took = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise BenchError(f"{' '.join(command)} ended with {process.returncode}")
        yield took, usage.ru_utime + usage.ru_stime


ROW = Row("commands", "Commands", (VERSION, VERSION_CPU, LIST, LIST_CPU), measure, only_ours=True)
