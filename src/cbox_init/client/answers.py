"""What an answer of the daemon means: a reply of the promised type, or an error that says what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from cbox_init.api.schemas import ErrorReply
from cbox_init.errors import ApiError

if TYPE_CHECKING:
    from cbox_init.client.address import Address

Reply = TypeVar("Reply")

_LONGEST_TEXT = 500


def read_answer(status: int, body: bytes, reply: type[Reply], address: Address) -> Reply:
    """The reply in ``body``. Raises ApiError for an error status, and for a body that is no such reply."""
    if not 200 <= status < 300:
        raise refusal(status, body, address)
    try:
        return msgspec.json.decode(body, type=reply)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ApiError(
            status, f"what answers at {address} is not the API of cbox-init, or of another version: {error}"
        ) from None


def refusal(status: int, body: bytes, address: Address) -> ApiError:
    """The error for an answer with an error status, in the API's own words where it has some."""
    if status == 401:
        return ApiError(
            status,
            f"the daemon at {address} wants its token, or this one is wrong: "
            "give it with --token or in CBOX_INIT_API_AUTH",
        )
    answer = _error(body)
    if answer is None:
        return ApiError(
            status, f"{address} answers with status {status} and no reason; is that the API of cbox-init?"
        )
    return ApiError(status, _text(answer), answer.details or ())


def check_event_stream(content_type: str, address: Address) -> None:
    """Raise ApiError when an answer to the call for a stream is something else."""
    if content_type.partition(";")[0].strip() != "text/event-stream":
        raise ApiError(
            200, f"what answers at {address} sends no stream of events; is that the API of cbox-init?"
        )


def _error(body: bytes) -> ErrorReply | None:
    try:
        return msgspec.json.decode(body, type=ErrorReply)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _text(answer: ErrorReply) -> str:
    text = answer.error
    if answer.details:
        text += ": " + "; ".join(answer.details)
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"
