"""Answers requests by an ASGI application, a task for each."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from httptools import HttpParserError, parse_url

from cbox_init.api.http.exchange import RequestFailures
from cbox_init.api.http.head import bad_request

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Scope

    from cbox_init.api.http.exchange import Exchange
    from cbox_init.logs.daemon import DaemonLog

#: How long a request whose client has gone may take to notice, in seconds.
_REQUEST_ENDS_S: Final = 1.0

#: The key of the scope with the exchange, whose ``peer`` is found when it is needed.
EXCHANGE: Final = "cbox_init.exchange"

_SLASH: Final = re.compile("%2f", re.IGNORECASE)

_ASGI: Final = {"version": "3.0", "spec_version": "2.4"}


class AsgiHandler:
    """Runs ``app`` for each request. An error of it is logged, and answered with 500."""

    def __init__(self, app: ASGIApp, log: DaemonLog) -> None:
        self._app = app
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures = RequestFailures(log)

    def __call__(self, exchange: Exchange) -> None:
        scope = _scope(exchange)
        if scope is None:
            exchange.refuse(bad_request())
            return
        task = self._loop.create_task(self._run(exchange, scope))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, exchange: Exchange, scope: Scope) -> None:
        try:
            turns = exchange.turns
            if turns.overdrawn:
                await turns.wait(exchange.share)
            answer = self._app(scope, exchange.receive, exchange.send)
            await turns.measured(answer, exchange.paid_s)  # type: ignore[arg-type]
        except Exception as error:  # noqa: BLE001  # of one request
            self._failures.failed(exchange, error)
        finally:
            exchange.fail()  # unless the response is complete

    async def close(self) -> None:
        """End the requests; they know that their clients have gone, and most end by themselves."""
        if self._tasks:
            _, left = await asyncio.wait(self._tasks, timeout=_REQUEST_ENDS_S)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)


def _scope(exchange: Exchange) -> Scope | None:
    """The request as ASGI describes it; None when its target is no path."""
    head = exchange.head
    target = head.target
    if not target.startswith(b"/"):
        try:
            url = parse_url(target)  # http://host/path, as proxies ask
        except HttpParserError:
            return None
        if not url.path:
            return None
        target = url.path + b"?" + (url.query or b"")
    raw_path, _, query = target.partition(b"#")[0].partition(b"?")
    path = raw_path.decode("ascii", "replace")
    return {
        "type": "http",
        "asgi": _ASGI,
        "http_version": head.version,
        "method": head.method,
        "scheme": exchange.scheme,
        "root_path": "",
        "path": _decoded(path) if "%" in path else path,
        "raw_path": raw_path,
        "query_string": query,
        "headers": head.headers,
        "client": exchange.client,
        "server": None,
        EXCHANGE: exchange,
    }


def _decoded(path: str) -> str:
    """``path`` without percent escapes, except that of a slash, which is part of a name."""
    return "%2F".join(map(unquote, _SLASH.split(path)))
