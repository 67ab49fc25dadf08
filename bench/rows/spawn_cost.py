"""What one more child costs, from its start to its stop, counted rather than timed: that has no noise."""

import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.errors import BenchError
from bench.figures import Figure
from bench.peers.base import Job, Need
from bench.rows.base import Effort, Row, Start

_FEW, _MANY = 10, 110
_TRACER_TIMEOUT_S = 30.0

SYSCALLS = Figure("spawn_syscalls", "system calls for one more child, its own included", "")
FIRST_SYSCALLS = Figure("start_syscalls", "system calls with 10 children, start to stop", "")
INSTRUCTIONS = Figure("spawn_instructions", "instructions for one more child, without its own", "thousand")
FIRST_INSTRUCTIONS = Figure("start_instructions", "instructions with 10 children, start to stop", "million")


def syscalls(output: str) -> int:
    """Return the sum in what `strace -c` writes."""
    found = re.search(r"^100\.00 +\S+ +\S+ +(\d+) .*total$", output, re.MULTILINE)
    if found is None:
        raise BenchError(f"strace says: {output.strip() or 'nothing'}")
    return int(found[1])


def instructions(output: str) -> int:
    """Return the sum in the file that callgrind writes."""
    found = re.search(r"^(?:totals|summary): (\d+)$", output, re.MULTILINE)
    if found is None:
        raise BenchError("callgrind has written no sum")
    return int(found[1])


def _strace(start: Start, effort: Effort) -> dict[str, float]:
    # Out of the way: the daemon stays the child of who started it.
    wrapper = (_find("strace"), "-DDD", "-f", "-c", "-o")
    few, many = (_count(start, wrapper, "{}", syscalls, number) for number in (_FEW, _MANY))
    return {FIRST_SYSCALLS.key: few, SYSCALLS.key: (many - few) / (_MANY - _FEW)}


def _callgrind(start: Start, effort: Effort) -> dict[str, float]:
    # The same hashes each time.
    wrapper = ("env", "PYTHONHASHSEED=0", _find("valgrind"), "--tool=callgrind", "--trace-children=no")
    option = "--callgrind-out-file={}"
    few, many = (_count(start, wrapper, option, instructions, number) for number in (_FEW, _MANY))
    return {
        FIRST_INSTRUCTIONS.key: few / 1e6,
        INSTRUCTIONS.key: (many - few) / (_MANY - _FEW) / 1e3,
    }


def _count(
    start: Start, wrapper: tuple[str, ...], option: str, read: Callable[[str], int], children: int
) -> int:
    with TemporaryDirectory(prefix="cbox-bench-") as directory:
        file = Path(directory) / "count"
        with start(Job(children, wrapper=(*wrapper, option.format(file)))) as daemon:
            daemon.wait_up()
            daemon.settle()
            daemon.stop()
            # What counts ends after the daemon, and writes then.
            deadline = time.monotonic() + _TRACER_TIMEOUT_S
            while not (file.exists() and file.stat().st_size and not daemon.supervisors()):
                if time.monotonic() > deadline:
                    raise BenchError(f"{wrapper[0]} has written nothing")
                daemon.reap_orphans()
                time.sleep(0.01)
            return read(file.read_text())


def _find(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise BenchError(f"{program} is not on PATH: install {program}")
    return found


SYSCALLS_ROW = Row(
    "spawn-syscalls",
    "System calls",
    (FIRST_SYSCALLS, SYSCALLS),
    _strace,
    needs=(Need.STOP, Need.TRACE),
)
INSTRUCTIONS_ROW = Row(
    "spawn-instructions",
    "Instructions",
    (FIRST_INSTRUCTIONS, INSTRUCTIONS),
    _callgrind,
    only_ours=True,
)
