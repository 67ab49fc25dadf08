"""Load from many connections, by wrk."""

import json
import re
import subprocess
import tempfile
from typing import NamedTuple

from bench.errors import BenchError
from bench.peers.base import Request

_MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


class Load(NamedTuple):
    """What wrk has seen."""

    requests: int
    rate: float  # requests a second
    p99_ms: float


def load(request: Request, connections: int, seconds: int) -> Load:
    """Send `request` from so many connections for so long; BenchError when any answer is not a good one."""
    url = f"http://127.0.0.1:{request.port}{request.path}"
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        # JSON's strings are Lua's, too, for what the requests here hold.
        script.write(f"wrk.method = {json.dumps(request.method)}\nwrk.body = {json.dumps(request.body)}\n")
        script.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", script.name, url]
        try:
            done = subprocess.run(command, capture_output=True, text=True)
        except FileNotFoundError as error:
            raise BenchError("wrk is not on PATH: install wrk") from error
    if done.returncode != 0:
        raise BenchError(f"wrk failed: {(done.stderr or done.stdout).strip()}")
    return parse(done.stdout)


def parse(output: str) -> Load:
    """Return the figures in what `wrk --latency` prints."""
    bad = re.search(r"Non-2xx or 3xx responses: \d+|Socket errors: .*", output)
    requests = re.search(r"(\d+) requests in ", output)
    rate = re.search(r"Requests/sec: +([\d.]+)", output)
    p99 = re.search(r"99% +([\d.]+)(us|ms|s|m)\b", output)
    if bad or not (requests and rate and p99):
        raise BenchError(f"wrk says: {bad.group() if bad else output}")
    return Load(int(requests[1]), float(rate[1]), float(p99[1]) * _MILLISECONDS[p99[2]])
