"""Plain requests, one after another, over one connection."""

import http.client
import time

from bench.errors import BenchError
from bench.peers.base import Request

_TIMEOUT_S = 30.0


def ask(request: Request, times: int, pause_s: float = 0) -> list[float]:
    """Send `request` so often, and return the seconds until each answer; BenchError when one is not 200."""
    took_s = []
    connection = http.client.HTTPConnection("127.0.0.1", request.port, timeout=_TIMEOUT_S)
    try:
        for _ in range(times):
            began = time.monotonic()
            connection.request(request.method, request.path, request.body or None)
            response = connection.getresponse()
            response.read()
            took_s.append(time.monotonic() - began)
            if response.status != 200:
                raise BenchError(f"{request.method} {request.path} was answered with {response.status}")
            time.sleep(pause_s)
    except (OSError, http.client.HTTPException) as error:
        raise BenchError(f"{request.method} {request.path}: {error!r}") from error
    finally:
        connection.close()
    return took_s
