"""Plain requests, one after another, over one connection."""

import http.client

from bench.errors import BenchError
from bench.peers.base import ListRequest

_TIMEOUT_S = 30.0


def ask(request: ListRequest, times: int) -> None:
    """Send `request` so often; BenchError when an answer is not 200."""
    connection = http.client.HTTPConnection("127.0.0.1", request.port, timeout=_TIMEOUT_S)
    try:
        for _ in range(times):
            connection.request(request.method, request.path, request.body or None)
            response = connection.getresponse()
            response.read()
            if response.status != 200:
                raise BenchError(f"{request.method} {request.path} was answered with {response.status}")
    except (OSError, http.client.HTTPException) as error:
        raise BenchError(f"{request.method} {request.path}: {error!r}") from error
    finally:
        connection.close()
