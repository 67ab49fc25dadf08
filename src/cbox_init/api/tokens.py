"""The tokens of the API: whose a token is, found in microseconds, and hashes verified off the event loop.

Imported only where ``api_tokens`` is set.
"""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections import OrderedDict
from contextlib import suppress
from hashlib import blake2b
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from cbox_init.api.caller import ProcessPatterns
from cbox_init.api.followed_files import FollowedFiles
from cbox_init.api.guards import NotVerifiedError
from cbox_init.api.http.places import address_key
from cbox_init.config.api_roles import expiry_of
from cbox_init.config.token_files import BadTokenFileError, read_token_file
from cbox_init.config.token_hash import LONGEST_TOKEN, TokenHash
from cbox_init.errors import is_shortage
from cbox_init.threads import OneThread, in_thread
from cbox_init.token_buckets import TokenBuckets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cbox_init.config.model import ApiTokenConfig, Role, Secret
    from cbox_init.logs.daemon import DaemonLog

#: How long the file system may take to give a file, in seconds.
_READ_TAKES_S: Final = 10.0
#: How long a token may take to be compared with all hashes, in seconds: 0.04 for each on an idle machine.
_VERIFY_TAKES_S: Final = 30.0
#: Time until a file is read again that could not be read, and how often one is read whose directory does not
#: report changes, in seconds.
TRY_AGAIN_S: Final = 5.0
_LOOK_AGAIN_S: Final = 300.0

#: Unknown tokens that are tried against the hashes, a second and at once, of one client address.
ADDRESS_RATE: Final = 1.0
ADDRESS_BURST: Final = 10
#: Hashes that are computed for all addresses together, a second and at once: a third of a CPU at most.
HASH_RATE: Final = 8.0
HASH_BURST: Final = 80

#: Digests of tokens that matched a hash, and of tokens that did not, that are kept.
_MOST_VERIFIED: Final = 1024
_MOST_REFUSED: Final = 4096


_Value = TypeVar("_Value")


class TokenGrant(NamedTuple):
    """What a token stands for; ``expires`` is the Unix time from which it is refused."""

    name: str
    role: Role
    processes: ProcessPatterns
    expires: float = math.inf


class Tokens:
    """Finds the grant of a token among those of ``api_tokens``.

    Tokens are compared by a digest under a key that exists in this process alone, so that the time that takes
    says nothing about them. What ``before``, whose place this takes, has found to match a hash that is still
    there is not computed again.
    """

    def __init__(
        self,
        configs: Iterable[ApiTokenConfig],
        log: DaemonLog,
        clock: Callable[[], float] = time.time,
        before: Tokens | None = None,
    ) -> None:
        self._log = log
        self._clock = clock
        self._key: bytes = os.urandom(32) if before is None else before._key
        self._fixed: dict[bytes, TokenGrant] = {}
        self._of_files: dict[int, dict[bytes, TokenGrant]] = {}
        self._hashes: dict[TokenHash, TokenGrant] = {}
        self._verified: OrderedDict[bytes, TokenHash] = OrderedDict()
        self._refused: OrderedDict[bytes, None] = OrderedDict()
        self._by_address = TokenBuckets(ADDRESS_RATE, ADDRESS_BURST)
        self._one_at_a_time = asyncio.Lock()
        self._expired: set[str] = set()
        self._files: list[_TokensOfFile] = []
        for index, config in enumerate(configs):
            assert config.role is not None, "checked when it was loaded"
            expires = math.inf if config.expires is None else expiry_of(config.expires)
            grant = TokenGrant(config.name, config.role, ProcessPatterns(config.processes), expires)
            self._add(index, config, grant)
        if before is not None:
            kept = ((digest, one) for digest, one in before._verified.items() if one in self._hashes)
            self._verified.update(kept)
        each = max(len(self._hashes), 1)
        self._by_all = TokenBuckets(HASH_RATE / each, max(HASH_BURST // each, 4))

    def _add(self, index: int, config: ApiTokenConfig, grant: TokenGrant) -> None:
        if config.token is not None:
            self._fixed[self._digest_of(config.token)] = grant
        elif config.hash is not None:
            self._hashes[TokenHash.parse(config.hash.reveal())] = grant
        elif config.token_file is not None:

            def use(tokens: tuple[str, ...]) -> None:
                self._of_files[index] = {self._digest(token.encode()): grant for token in tokens}

            key = f"global.api_tokens[{index}].token_file"
            self._files.append(_TokensOfFile(config.token_file, key, grant.name, use, self._log))

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read the files, and follow them."""
        for tokens in self._files:
            tokens.file.start(loop)

    async def close(self) -> None:
        """Stop following the files."""
        for tokens in self._files:
            await tokens.file.close()

    @property
    def are_read(self) -> bool:
        """Whether each file was read once, or could not be."""
        return all(file.was_read.is_set() for file in self._files)

    # -- finding ---------------------------------------------------------------------------------------

    async def find(self, token: bytes, address: str) -> TokenGrant | None:
        """The grant of ``token``; None when there is none, or it has expired.

        Raises NotVerifiedError when hashes would have to be computed, and this address, or all together, have
        tried too many unknown tokens, or this machine cannot.
        """
        if not token or len(token) > LONGEST_TOKEN:
            return None
        digest = self._digest(token)
        grant = self._known(digest)
        if grant is None and not self.are_read:
            await self._files_are_read()
            grant = self._known(digest)
        if grant is None and self._hashes and digest not in self._refused:
            grant = await self._verify(token, digest, address)
        return grant if grant is not None and self._counts(grant) else None

    def find_at_once(self, token: bytes) -> TokenGrant | None:
        """As `find`, without what takes time: a token whose hash was not verified before is unknown."""
        if not token or len(token) > LONGEST_TOKEN:
            return None
        grant = self._known(self._digest(token))
        return grant if grant is not None and self._counts(grant) else None

    def finder(self, token: bytes) -> Callable[[Tokens], TokenGrant | None]:
        """A function that gives the grant of ``token`` among these or later tokens, and does not hold it."""
        digest = self._digest(token)

        def find(tokens: Tokens) -> TokenGrant | None:
            grant = tokens._known(digest)  # of another key: unknown
            return grant if grant is not None and tokens._counts(grant) else None

        return find

    def _known(self, digest: bytes) -> TokenGrant | None:
        grant = self._fixed.get(digest)
        if grant is not None:
            return grant
        for tokens in self._of_files.values():
            if digest in tokens:
                return tokens[digest]
        verified = self._verified.get(digest)
        return None if verified is None else self._hashes[verified]

    def _counts(self, grant: TokenGrant) -> bool:
        if self._clock() < grant.expires:
            return True
        if grant.name not in self._expired:
            self._expired.add(grant.name)
            self._log.warn("A token of the API has expired and is refused", token=grant.name)
        return False

    async def _files_are_read(self) -> None:
        """A moment at the start: the first request must not find a token unknown that is in a file."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_READ_TAKES_S):
                for file in self._files:
                    await file.was_read.wait()

    async def _verify(self, token: bytes, digest: bytes, address: str) -> TokenGrant | None:
        """Try the hashes, one request after another, in a thread."""
        self._take(address)
        async with self._one_at_a_time:
            if digest in self._verified:  # by another request meanwhile
                return self._known(digest)
            if digest in self._refused:
                return None
            try:
                found = await in_thread(
                    lambda: next((one for one in self._hashes if one.verify(token)), None),
                    name="token-hash",
                    timeout_s=_VERIFY_TAKES_S,
                )
            except Exception as error:
                if isinstance(error, TimeoutError) or is_shortage(error):
                    raise NotVerifiedError(503, "the token cannot be verified now", 1.0) from error
                raise
        if found is None:
            _keep(self._refused, digest, None, _MOST_REFUSED)
            return None
        _keep(self._verified, digest, found, _MOST_VERIFIED)
        return self._hashes[found]

    def _take(self, address: str) -> None:
        """Take the work from the budgets. Raises NotVerifiedError."""
        now = monotonic()
        for buckets, key in ((self._by_address, address_key(address)), (self._by_all, "")):
            if wait_s := buckets.take(key, now):
                raise NotVerifiedError(429, "too many unknown tokens", wait_s)

    def _digest_of(self, token: Secret) -> bytes:
        return self._digest(token.reveal().encode())

    def _digest(self, token: bytes) -> bytes:
        return blake2b(token, key=self._key, digest_size=32).digest()


class _TokensOfFile:
    """Keeps the tokens of one file in use. A file without tokens takes those that it had out of use."""

    def __init__(
        self, path: str, key: str, name: str, use: Callable[[tuple[str, ...]], None], log: DaemonLog
    ) -> None:
        self.was_read = asyncio.Event()
        self._path = path
        self._key = key
        self._name = name
        self._use = use
        self._log = log
        self.file = FollowedFiles((path,), "token file", self._read, log)
        self._thread = OneThread("token-file")
        self._tokens: tuple[str, ...] | None = None
        self._reported: str | None = None

    async def _read(self) -> float:
        good = await self._use_file()
        self.was_read.set()
        return _LOOK_AGAIN_S if good else TRY_AGAIN_S

    async def _use_file(self) -> bool:
        try:
            found = await self._thread.run(lambda: read_token_file(self._path), timeout_s=_READ_TAKES_S)
        except BadTokenFileError as error:
            self._use_tokens(())
            self._report(f"{error} ({error.hint})")
            return False
        except Exception as error:  # noqa: BLE001  # whatever it is, the file is read again
            if not is_shortage(error):  # else it is the machine's fault, and the tokens stay
                self._use_tokens(())
            self._report(f"{type(error).__name__}: {error}")
            return False
        self._reported = None
        self._use_tokens(found.tokens)
        return True

    def _use_tokens(self, tokens: tuple[str, ...]) -> None:
        if tokens == self._tokens:
            return
        if self._tokens is not None and tokens:
            self._log.info("Token of the API changed", token=self._name, path=self._path)
        self._tokens = tokens
        self._use(tokens)

    def _report(self, text: str) -> None:
        """Log a problem once, until it is another one."""
        if text != self._reported:
            self._reported = text
            self._log.error(f"A token of the API is refused until this is fixed: {self._key}: {text}")


def _keep(kept: OrderedDict[bytes, _Value], digest: bytes, value: _Value, most: int) -> None:
    kept[digest] = value
    if len(kept) > most:
        kept.popitem(last=False)
