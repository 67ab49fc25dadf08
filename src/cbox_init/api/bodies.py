"""Reads the bodies of requests, within limits, and decodes them."""

from __future__ import annotations

import json
import re
from asyncio import sleep, timeout
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
from starlette.requests import ClientDisconnect

from cbox_init.api.replies import BodyTooSlowError, InvalidBodyError
from cbox_init.decoders import decoder_of
from cbox_init.threads import NoThreadError, in_thread

if TYPE_CHECKING:
    from starlette.requests import Request

_Body = TypeVar("_Body", bound=msgspec.Struct)

#: How long a client may take to send a body, in seconds.
BODY_TAKES_S: Final = 30.0


#: Bodies up to this size are parsed in the event loop, larger ones in a thread: that may take a second.
_QUICK: Final = 16 * 1024
#: Values that a body may have, and levels of lists and objects: parsing holds up everything else.
_MOST_VALUES: Final = 20_000
_DEEPEST: Final = 64
#: A text, or one that does not end; each byte is read once.
_TEXT: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_BRACKET: Final = re.compile(rb"[][{}]")
#: How long after no thread could be started for a larger one the next try is made, in seconds.
_AGAIN_S: Final = 0.1


async def read_body(request: Request, kind: type[_Body]) -> _Body:
    """The decoded body, whatever its Content-Type is.

    Raises InvalidBodyError (unreadable or wrong), BodyTooSlowError or BodyTooLargeError.
    """
    try:
        async with timeout(BODY_TAKES_S):
            body = await request.body()
    except TimeoutError:
        raise BodyTooSlowError from None
    except ClientDisconnect:
        raise InvalidBodyError from None
    if len(body) <= _QUICK:
        return parse_body(body, kind)
    parse = partial(parse_body, body, kind)
    try:
        async with timeout(BODY_TAKES_S):
            while True:
                with suppress(NoThreadError):
                    return await in_thread(parse, name="api-body", timeout_s=BODY_TAKES_S)
                await sleep(_AGAIN_S)
    except TimeoutError:
        raise BodyTooSlowError from None


def parse_body(body: bytes, kind: type[_Body]) -> _Body:
    """The JSON in ``body`` as a value of ``kind``; raises InvalidBodyError."""
    # A text, such as that of a whole configuration, is one value, whatever it holds.
    if _most_values(body) > _MOST_VALUES and _most_values(_TEXT.sub(b"", body)) > _MOST_VALUES:
        raise InvalidBodyError(f"more than {_MOST_VALUES} values, counted by the signs , [ and {{")
    if _is_deeper(body, _DEEPEST):
        raise InvalidBodyError(f"lists and objects are nested deeper than {_DEEPEST} levels")
    try:
        value = decoder_of(kind).decode(body)
        json.loads(body, object_pairs_hook=_without_duplicates)  # a member that occurs twice is ambiguous
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors too
        raise InvalidBodyError from None
    return value


def _most_values(body: bytes) -> int:
    """At least as many as there are values."""
    return sum(map(body.count, (b",", b"[", b"{")))


def _is_deeper(body: bytes, levels: int) -> bool:
    """Whether lists and objects are nested in more than ``levels`` levels, by the signs outside of texts.

    Found before the body is parsed: how deep a parser can go depends on the Python.
    """
    if body.count(b"[") + body.count(b"{") <= levels:
        return False
    depth = 0
    for sign in _BRACKET.findall(_TEXT.sub(b"", body)):
        depth += 1 if sign in b"[{" else -1
        if depth > levels:
            return True
    return False


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("duplicate member")
    return members
