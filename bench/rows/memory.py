"""Memory of the peer's own processes, in all: with one child; with 100, before and after many requests."""

import subprocess

from bench import client, procfs
from bench.daemon import Daemon
from bench.errors import BenchError
from bench.figures import Figure
from bench.peers.base import Job
from bench.rows.base import Effort, Row, Start

_CHILDREN = 100
_REQUESTS = 200
_COMMANDS = 5  # each is a whole program to start

REST_RSS = Figure("rest_rss", "memory with one child at rest, resident", "MB")
REST_PRIVATE = Figure("rest_private", "memory with one child at rest, private", "MB")
RSS = Figure("memory_rss", "memory with 100 children, resident", "MB")
PRIVATE = Figure("memory_private", "memory with 100 children, private", "MB")
RSS_AFTER = Figure("memory_rss_after", "memory after API calls, resident", "MB")
PRIVATE_AFTER = Figure("memory_private_after", "memory after API calls, private", "MB")


def measure(start: Start, effort: Effort) -> dict[str, float]:
    with start(Job(_CHILDREN)) as daemon:
        daemon.wait_up()
        daemon.settle()
        before = procfs.memory(daemon.supervisors())
        found = {RSS.key: before.rss / 1e6, PRIVATE.key: before.private / 1e6}
        if _ask(daemon):
            daemon.settle()
            after = procfs.memory(daemon.supervisors())
            found |= {RSS_AFTER.key: after.rss / 1e6, PRIVATE_AFTER.key: after.private / 1e6}
        return found


def measure_rest(start: Start, effort: Effort) -> dict[str, float]:
    with start(Job(1)) as daemon:
        daemon.wait_up()
        daemon.settle()
        used = procfs.memory(daemon.supervisors())
        return {REST_RSS.key: used.rss / 1e6, REST_PRIVATE.key: used.private / 1e6}


def _ask(daemon: Daemon) -> bool:
    """Ask for the list, many times; return False where there is no such thing."""
    if daemon.launch.list_request:
        client.ask(daemon.launch.list_request, _REQUESTS)
    elif daemon.launch.list_command:
        for _ in range(_COMMANDS):
            done = subprocess.run(daemon.launch.list_command, capture_output=True, text=True)
            if done.returncode != 0:
                raise BenchError(f"{' '.join(done.args)} failed: {(done.stderr or done.stdout).strip()}")
    return bool(daemon.launch.list_request or daemon.launch.list_command)


REST_ROW = Row("memory-1", "Memory with one child", (REST_RSS, REST_PRIVATE), measure_rest)
ROW = Row("memory", "Memory with 100 children", (RSS, PRIVATE, RSS_AFTER, PRIVATE_AFTER), measure)
