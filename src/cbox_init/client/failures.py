"""What went wrong between here and the daemon, in one line that says what to do."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx

from cbox_init.client.address import FORBIDDEN, no_daemon, no_permission
from cbox_init.errors import DaemonUnreachable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cbox_init.client.address import Address

_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ECONNREFUSED)


@contextmanager
def translated(address: Address) -> Iterator[None]:
    """Turn what httpx raises about a request to ``address`` into DaemonUnreachable."""
    try:
        yield
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise DaemonUnreachable(_message(error, address)) from error


def _message(error: httpx.HTTPError | httpx.InvalidURL, address: Address) -> str:
    if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)):
        return _not_connected(error, address)
    if isinstance(error, httpx.TimeoutException):
        return f"the daemon at {address} does not answer in time; look at its log, or give it more time"
    if isinstance(error, httpx.RemoteProtocolError) and _is_cut(error):
        return f"the daemon at {address} closed the connection before its answer was complete; did it end?"
    if isinstance(error, (httpx.ProtocolError, httpx.DecodingError)):
        return f"what answers at {address} does not speak HTTP as cbox-init does: {error}"
    if isinstance(error, httpx.NetworkError):
        return f"the connection to the daemon at {address} broke: {_reason(error)}"
    return f"the request to {address} failed: {_reason(error)}"


def _not_connected(error: httpx.HTTPError, address: Address) -> str:
    if address.denied is not None:
        return no_permission(address.denied)
    cause = _system_error(error)
    code = cause.errno if cause is not None else None
    if address.socket is not None and code in FORBIDDEN:
        return no_permission(address.socket)
    if address.tried:
        return no_daemon(f"at any of {', '.join((*address.tried, address.url))}")
    if code in _ABSENT:
        return no_daemon(f"at {address}")
    if isinstance(error, httpx.ConnectTimeout):
        return no_daemon(f"at {address} in time")
    reason = cause.strerror if cause is not None else None
    return f"cannot connect to {address}: {reason or _reason(error)}"


def _is_cut(error: httpx.RemoteProtocolError) -> bool:
    """h11 words a connection that ended early in these two ways."""
    text = str(error)
    return "disconnected without" in text or "closed connection" in text


def _system_error(error: BaseException) -> OSError | None:
    """The system's own error at the root of the chain; asyncio and anyio wrap several at times."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno is not None:
            return cause
        if isinstance(cause, BaseExceptionGroup):
            cause = cause.exceptions[0]
        else:
            cause = cause.__cause__ or cause.__context__
    return None


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
