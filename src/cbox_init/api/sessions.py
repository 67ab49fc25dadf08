"""One-time login codes, and the session tokens that they are exchanged for.

Both are random, are kept in memory alone and as digests, and belong to whoever has asked for the code: they
count no longer than that caller does, and never for more. Imported for the first code.
"""

from __future__ import annotations

import os
import secrets
import time
from collections import Counter
from hashlib import blake2b
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from cbox_init.api.caller import SESSION_PREFIX
from cbox_init.api.guards import NotVerifiedError
from cbox_init.api.http.places import address_key
from cbox_init.token_buckets import TokenBuckets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cbox_init.api.caller import Caller
    from cbox_init.config.model.enums import Role

    Clock = Callable[[], float]
    Issuer = Callable[[], Caller | None]

#: How long a code and a session count, in seconds.
CODE_TAKES_S: Final = 60
SESSION_TAKES_S: Final = 12 * 3600

#: How many codes and sessions there are at most, of all callers and of one.
MOST_CODES: Final = 32
MOST_SESSIONS: Final = 256
_OF_ONE: Final = 4
"""The part of them that one caller can have: a quarter."""

#: Exchanges that are tried, a second and at once, of one client address and of all together.
_ADDRESS_RATE: Final = 1.0
_ADDRESS_BURST: Final = 10
_ALL_RATE: Final = 8.0
_ALL_BURST: Final = 80

#: Random bytes of a code and of a token.
_BYTES: Final = 32


class Session(NamedTuple):
    """A session that was begun: its token, which is in no other place, its role, and when it ends."""

    token: str
    role: Role
    expires_unix: float


class _Grant(NamedTuple):
    """What a code or a session stands for: ``caller`` as it was then; ``issuer`` finds it again."""

    caller: Caller
    issuer: Issuer
    role: Role
    ends_at: float
    expires_unix: float

    @property
    def owner(self) -> tuple[str, str]:
        return self.caller.kind, self.caller.name

    @property
    def counts(self) -> bool:
        """Whether its time is not over, and who has asked for it may do the same as then."""
        if monotonic() >= self.ends_at or time.time() >= self.expires_unix:
            return False
        now, then = self.issuer(), self.caller
        return now is not None and (now.role, now.processes) == (then.role, then.processes)


class Sessions:
    """The codes and sessions of one daemon. For the event loop's thread.

    They are found by a digest under a key that exists in this process alone, so that the time that takes says
    nothing about them.
    """

    def __init__(self) -> None:
        self._key = os.urandom(32)
        self._codes: dict[bytes, _Grant] = {}
        self._sessions: dict[bytes, _Grant] = {}
        self._by_address = TokenBuckets(_ADDRESS_RATE, _ADDRESS_BURST)
        self._by_all = TokenBuckets(_ALL_RATE, _ALL_BURST)

    def new_code(self, caller: Caller, issuer: Issuer, role: Role | None = None) -> tuple[str, Role]:
        """A code for ``caller``, whom ``issuer`` recognises later, and its role: ``role``, not above its own.

        A caller that has a quarter of all codes loses its oldest one. Raises NotVerifiedError when there are
        too many.
        """
        own = caller.role
        assert own is not None, "refused before"
        role = own if role is None or not own.includes(role) else role
        grant = _Grant(caller, issuer, role, monotonic() + CODE_TAKES_S, time.time() + CODE_TAKES_S)
        self._make_room(self._codes, MOST_CODES, grant.owner, "login codes")
        code = secrets.token_urlsafe(_BYTES)
        self._codes[self._digest(code.encode())] = grant
        return code, role

    def exchange(self, code: str, address: str) -> Session | None:
        """Begin a session with a code, which is used up; None when there is no such code any more.

        Raises NotVerifiedError when this address, or all together, have tried too often, or when there are
        too many sessions.
        """
        for buckets, key in ((self._by_address, address_key(address)), (self._by_all, "")):
            if wait_s := buckets.take(key, monotonic()):
                raise NotVerifiedError(429, "too many login codes were tried", wait_s)
        grant = self._found(self._codes, code.encode(errors="replace"))
        if grant is None:
            return None
        self._make_room(self._sessions, MOST_SESSIONS, grant.owner, "sessions")
        self._end(self._codes, code.encode())
        token = SESSION_PREFIX.decode() + secrets.token_urlsafe(_BYTES)
        expires = min(time.time() + SESSION_TAKES_S, grant.caller.expires)
        begun = grant._replace(ends_at=monotonic() + SESSION_TAKES_S, expires_unix=expires)
        self._sessions[self._digest(token.encode())] = begun
        return Session(token, grant.role, expires)

    def find(self, token: bytes, address: str) -> Caller | None:
        """Who sends a request with this session token; None when the session has ended."""
        grant = self._found(self._sessions, token)
        if grant is None:
            return None
        return replace(
            grant.caller,
            kind="session",
            role=grant.role,
            address=address,
            uid=None,
            pid=None,
            expires=grant.expires_unix,
        )

    def end(self, token: bytes) -> None:
        """End a session."""
        self._end(self._sessions, token)

    def _found(self, kept: dict[bytes, _Grant], secret: bytes) -> _Grant | None:
        digest = self._digest(secret)
        grant = kept.get(digest)
        if grant is None or grant.counts:
            return grant
        del kept[digest]
        return None

    def _end(self, kept: dict[bytes, _Grant], secret: bytes) -> None:
        kept.pop(self._digest(secret), None)

    def _make_room(self, kept: dict[bytes, _Grant], most: int, owner: tuple[str, str], what: str) -> None:
        """Drop what does not count any more, and the oldest of an owner that has its part."""
        _drop(kept, (digest for digest, grant in kept.items() if not grant.counts))
        if Counter(grant.owner for grant in kept.values())[owner] >= most // _OF_ONE:
            _drop(kept, (next(digest for digest, grant in kept.items() if grant.owner == owner),))
        if len(kept) >= most:
            wait_s = min(grant.ends_at for grant in kept.values()) - monotonic()
            raise NotVerifiedError(
                429, f"there are {most} {what}: wait until one has ended", max(wait_s, 1.0)
            )

    def _digest(self, secret: bytes) -> bytes:
        return blake2b(secret, key=self._key, digest_size=32).digest()


def _drop(kept: dict[bytes, _Grant], digests: Iterable[bytes]) -> None:
    for digest in tuple(digests):
        del kept[digest]
