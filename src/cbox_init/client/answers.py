"""What an answer of the daemon means, and what a failed request means: a reply, or an error in one line."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, cast

import msgspec

from cbox_init.api.schemas import ErrorReply
from cbox_init.client.address import FORBIDDEN, no_daemon, no_permission
from cbox_init.decoders import decoder_of
from cbox_init.errors import ApiError, DaemonUnreachable

if TYPE_CHECKING:
    from cbox_init.client.address import DaemonAddress
    from cbox_init.client.calls import Call, Reply

_LONGEST_TEXT = 500
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ECONNREFUSED)


# -- answers -----------------------------------------------------------------------------------------------


def read_answer(call: Call[Reply], status: int, body: bytes, address: DaemonAddress) -> Reply:
    """The reply in ``body``. Raises ApiError for an error status, and for a body that is not such a reply."""
    if not 200 <= status < 300:
        raise refusal(status, body, address)
    try:
        reply = decoder_of(call.reply).decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ApiError(
            status, f"the server at {address} is not the API of cbox-init, or another version of it: {error}"
        ) from None
    return call.pick(reply) if call.pick is not None else cast("Reply", reply)


def refusal(status: int, body: bytes, address: DaemonAddress) -> ApiError:
    """The error for an answer with an error status, with the API's own message if there is one."""
    if status == 401:
        return ApiError(
            status,
            f"authentication failed at {address}: token missing or wrong; "
            "give it with --token or in CBOX_INIT_API_AUTH",
        )
    answer = _error(body)
    if answer is None:
        return ApiError(
            status, f"{address} answers with status {status} and no reason; is that the API of cbox-init?"
        )
    return ApiError(status, _text(answer), answer.details or ())


def check_event_stream(content_type: str, address: DaemonAddress) -> None:
    """Raise ApiError when the answer to the call for a stream is something else."""
    if content_type.partition(";")[0].strip() != "text/event-stream":
        raise ApiError(
            200, f"the server at {address} does not send a stream of events; is that the API of cbox-init?"
        )


def _error(body: bytes) -> ErrorReply | None:
    try:
        return decoder_of(ErrorReply).decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _text(answer: ErrorReply) -> str:
    text = answer.error
    if answer.details:
        text += ": " + "; ".join(answer.details)
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"


# -- failed requests ---------------------------------------------------------------------------------------


def not_connected(
    address: DaemonAddress, cause: OSError | None, reason: str, *, timed_out: bool
) -> DaemonUnreachable:
    """No connection: because of ``cause`` if the system has given one, else for ``reason``."""
    code = cause.errno if cause is not None else None
    if address.denied is not None:
        return DaemonUnreachable(no_permission(address.denied))
    if address.socket is not None and code in FORBIDDEN:
        return DaemonUnreachable(no_permission(address.socket))
    if address.tried:
        return DaemonUnreachable(no_daemon(f"at any of {', '.join((*address.tried, address.url))}"))
    if code in _ABSENT:
        return DaemonUnreachable(no_daemon(f"at {address}"))
    if timed_out:
        return DaemonUnreachable(no_daemon(f"at {address} in time"))
    known = cause.strerror if cause is not None else None
    return DaemonUnreachable(f"cannot connect to {address}: {known or reason}")


def too_late(address: DaemonAddress) -> DaemonUnreachable:
    """The daemon was silent for longer than the time limit."""
    return DaemonUnreachable(
        f"the daemon at {address} does not answer in time; look at its log, or give it more time"
    )


def cut_off(address: DaemonAddress) -> DaemonUnreachable:
    """The connection was closed within an answer."""
    return DaemonUnreachable(
        f"the daemon at {address} closed the connection before its answer was complete; did it end?"
    )


def not_http(address: DaemonAddress, reason: object) -> DaemonUnreachable:
    """The answer is not HTTP, or not such as the API sends."""
    return DaemonUnreachable(f"the server at {address} does not speak HTTP as cbox-init does: {reason}")


def broken(address: DaemonAddress, error: Exception) -> DaemonUnreachable:
    """The connection failed within a request or an answer."""
    return DaemonUnreachable(f"the connection to the daemon at {address} broke: {reason_of(error)}")


def reason_of(error: Exception) -> str:
    """The text of an error, or the name of its class when it has none."""
    return str(error) or type(error).__name__
