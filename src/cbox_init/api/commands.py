"""What all commands have in common: ``wait``, ``Idempotency-Key``, and the change in the reply."""

from __future__ import annotations

import asyncio
import hashlib
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from cbox_init.api.caller import caller_of, is_still_allowed
from cbox_init.api.change_views import change_entry
from cbox_init.api.queries import shown
from cbox_init.api.replies import BadRequestError, ForbiddenError, RequestError, json_response
from cbox_init.api.resource import Parameter, Reply
from cbox_init.api.schemas_changes import ChangeEntry
from cbox_init.api.waiting import while_connected
from cbox_init.config.scalars import parse_duration

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from msgspec import Struct
    from starlette.datastructures import QueryParams
    from starlette.requests import Request
    from starlette.responses import Response

    from cbox_init.supervisor.changes import Change
    from cbox_init.supervisor.supervisor import Supervisor

CHANGES: Final = "/api/v1/changes"

#: How long a request waits at most, and how long it waits with ``wait`` alone, in seconds.
LONGEST_WAIT_S: Final = 3600.0
USUAL_WAIT_S: Final = 300.0

#: How many keys are kept, for how long in seconds, and how long one may be.
MOST_KEYS: Final = 1000
KEPT_FOR_S: Final = 24 * 3600.0
LONGEST_KEY: Final = 255

WAIT: Final = Parameter(
    "wait",
    "Answer when the change has ended, at most after this time: a duration such as 30s, or seconds, up to "
    "1h. Without a value 5m.",
    {"type": "string"},
)
KEY: Final = Parameter(
    "Idempotency-Key",
    "Up to 255 characters, chosen by the client. The same request with the same key is carried out once.",
    {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY},
    where="header",
)
WAITED: Final = Reply(
    "With wait: the change has ended, well or not; its status says how.", ChangeEntry, located=True
)


class Accepted(NamedTuple):
    """A command that was accepted: its change, and the reply to whoever does not wait."""

    reply: Struct
    change: Change
    status: int = 202


class KeyReusedError(RequestError):
    """An Idempotency-Key that came with another request before."""

    status = 422


class _Kept:
    """A key: the request that it came with, and what that has begun once it is accepted."""

    __slots__ = ("accepted", "asked_at", "fingerprint", "request")

    def __init__(self, request: str, fingerprint: bytes, accepted: asyncio.Future[Accepted]) -> None:
        self.request = request
        self.fingerprint = fingerprint
        self.accepted = accepted
        self.asked_at = time.monotonic()


class Commands:
    """Carries out the commands of requests, once for each Idempotency-Key, and answers them."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._keys: dict[tuple[str, str, str], _Kept] = {}

    async def carry_out(
        self, request: Request, command: Callable[[], Awaitable[Accepted]], body: bytes = b""
    ) -> Response:
        """Give the command, and answer at once, or with ``wait`` when its change has ended."""
        wait_s = wait_of(request.query_params)
        accepted = await self.accept(request, command, body)
        return await self.answer(request, accepted, wait_s)

    async def answer(self, request: Request, accepted: Accepted, wait_s: float | None) -> Response:
        """The reply to a command; with ``wait_s`` when its change has ended, or that time is over."""
        change = accepted.change
        if wait_s is not None:
            await self.wait(request, change, wait_s)
            if change.over:
                return accepted_response(change_entry(self._supervisor.changes, change), change, 200)
            return accepted_response(accepted.reply, change, 202)
        return accepted_response(accepted.reply, change, accepted.status)

    async def wait(self, request: Request, change: Change, wait_s: float, seen: int | None = None) -> None:
        """Wait for the end of a change, or for a step after the version ``seen``.

        Not longer than ``wait_s``, nor than the client stays connected.
        """
        if change.over or wait_s <= 0:
            return
        changes = self._supervisor.changes
        work = changes.ended(change) if seen is None else changes.stepped(change, seen)
        async with while_connected(request, work, wait_s):
            pass
        if not is_still_allowed(request.scope):
            raise ForbiddenError("what you may do has changed while this request waited")

    async def accept(
        self, request: Request, command: Callable[[], Awaitable[Accepted]], body: bytes = b""
    ) -> Accepted:
        """Give the command, unless it came with the same key before. Raises what the command raises."""
        given = request.headers.get("idempotency-key")
        if given is None:
            return await command()
        key, path = _key_of(request, given), f"{request.method} {request.url.path}"
        fingerprint = _fingerprint(request, path, body)
        self._forget_old()
        kept = self._keys.get(key)
        if kept is not None:
            if kept.fingerprint != fingerprint:
                raise KeyReusedError(
                    f"Idempotency-Key {shown(given)} was used for another request",
                    f"it came with {kept.request}; use another key for another request",
                )
            return await asyncio.shield(kept.accepted)
        accepted: asyncio.Future[Accepted] = asyncio.get_running_loop().create_future()
        self._keys[key] = _Kept(path, fingerprint, accepted)
        try:
            accepted.set_result(await command())
        except BaseException as error:
            self._keys.pop(key, None)
            if isinstance(error, Exception):
                accepted.set_exception(error)
                accepted.exception()  # fetched, as there may be no other request with this key
            else:
                accepted.cancel()
            raise
        return accepted.result()

    def _forget_old(self) -> None:
        """Drop the keys that are too old, and the oldest of too many; requests that go on keep theirs."""
        now = time.monotonic()
        for key, kept in tuple(self._keys.items()):
            if now - kept.asked_at < KEPT_FOR_S and len(self._keys) < MOST_KEYS:
                break
            del self._keys[key]


def accepted_response(reply: Struct, change: Change, status: int = 202) -> Response:
    """The reply to a command that was accepted; ``Location`` is where its change is shown."""
    return json_response(reply, status, {"location": f"{CHANGES}/{change.id}"})


def wait_of(query: QueryParams) -> float | None:
    """The parameter ``wait`` in seconds; None when it is absent. Raises BadRequestError."""
    text = query.get("wait")
    if text is None:
        return None
    if not text:
        return USUAL_WAIT_S
    try:
        wait_s = parse_duration(text) if len(text) <= 40 else -1.0
    except ValueError:
        wait_s = -1.0
    if not 0 <= wait_s <= LONGEST_WAIT_S:
        raise BadRequestError(f"wait must be a duration from 0 to 1h, such as 30s, not {shown(text)}")
    return wait_s


def _key_of(request: Request, given: str) -> tuple[str, str, str]:
    """The key with its sender: the keys of two callers have nothing to do with each other."""
    if not 0 < len(given) <= LONGEST_KEY or not given.isascii() or not given.isprintable():
        raise BadRequestError(
            f"Idempotency-Key must be 1 to {LONGEST_KEY} printable ASCII characters, not {shown(given)}"
        )
    caller = caller_of(request.scope)
    return ("", "", given) if caller is None else (caller.kind, caller.name, given)


def _fingerprint(request: Request, path: str, body: bytes) -> bytes:
    """What makes two requests the same: all but how long they wait."""
    query = sorted((name, value) for name, value in request.query_params.multi_items() if name != "wait")
    return hashlib.sha256(repr((path, query)).encode("utf-8", "replace") + b"\0" + body).digest()
