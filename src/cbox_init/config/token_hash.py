"""Hashes of API tokens by scrypt: made by ``cbox-init token new``, written in the file, verified by the API.

    scrypt:16384:8:1:SALT:HASH

The numbers are N, r and p of RFC 7914; salt and hash are base64url without padding. There is no ``$`` in it,
which shells, Compose and substitution would replace.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from typing import Final, NamedTuple, Self

_SCHEME: Final = "scrypt"
_FORM: Final = "it is not scrypt:N:R:P:SALT:HASH, as `cbox-init token new` prints it"

#: What a new hash takes: 16 MiB and some 40 ms.
_N, _R, _P = 2**14, 8, 1
USUAL_WORK: Final = _N * _R * _P
_SALT_BYTES: Final = 16
_HASH_BYTES: Final = 32

#: The most that a hash in a file may ask for, so that one request cannot take the container's memory.
_MOST_BYTES: Final = 64 * 2**20
_MOST_P: Final = 4

#: Characters of a longer token are not hashed: it cannot be right.
LONGEST_TOKEN: Final = 1024

#: Begins every new token, so that scanners of secrets find one that was committed by mistake.
TOKEN_PREFIX: Final = "cbox_"


class TokenHash(NamedTuple):
    """The parts of a hash."""

    n: int
    r: int
    p: int
    salt: bytes
    digest: bytes

    @property
    def work(self) -> int:
        """What a comparison takes, as a multiple of an arbitrary unit."""
        return self.n * self.r * self.p

    @classmethod
    def parse(cls, text: str) -> Self:
        """The hash that ``text`` is. Raises ValueError with the reason."""
        scheme, *parts = text.strip().split(":")
        if scheme != _SCHEME or len(parts) != 5:
            raise ValueError(_FORM)
        numbers, (salt, digest) = parts[:3], parts[3:]
        if not all(one.isascii() and one.isdigit() and len(one) <= 9 for one in numbers):
            raise ValueError(_FORM)
        n, r, p = map(int, numbers)
        if n < 2 or n & (n - 1) or not r or not p:
            raise ValueError("N must be a power of two above 1, R and P at least 1")
        if 128 * n * r > _MOST_BYTES or p > _MOST_P:
            raise ValueError("it takes more than 64 MiB of memory, or has a P above 4")
        if n.bit_length() > 16 * r:
            raise ValueError(f"its N must be below {2 ** (16 * r)} with R {r} (RFC 7914)")
        found = cls(n, r, p, _decoded(salt), _decoded(digest))
        if len(found.salt) < 8 or not _HASH_BYTES // 2 <= len(found.digest) <= 64:
            raise ValueError("its salt has fewer than 8 bytes, or its hash not 16 to 64")
        return found

    @classmethod
    def of(cls, token: str) -> Self:
        """A hash of ``token`` with a new salt. Takes 40 ms."""
        from secrets import token_bytes

        salt = token_bytes(_SALT_BYTES)
        return cls(_N, _R, _P, salt, _scrypt(token.encode(), salt, _N, _R, _P, _HASH_BYTES))

    def verify(self, token: bytes) -> bool:
        """Whether this is the hash of ``token``. Takes 40 ms with the numbers of a new hash: not on the
        event loop.
        """
        from hmac import compare_digest  # not before: it loads OpenSSL, as hashlib does

        return compare_digest(
            _scrypt(token, self.salt, self.n, self.r, self.p, len(self.digest)), self.digest
        )

    def __str__(self) -> str:
        salt, digest = _encoded(self.salt), _encoded(self.digest)
        return f"{_SCHEME}:{self.n}:{self.r}:{self.p}:{salt}:{digest}"


def new_token() -> str:
    """A token with 256 random bits."""
    from secrets import token_urlsafe

    return TOKEN_PREFIX + token_urlsafe(32)


def _scrypt(token: bytes, salt: bytes, n: int, r: int, p: int, size: int) -> bytes:
    from hashlib import scrypt

    return scrypt(token, salt=salt, n=n, r=r, p=p, dklen=size, maxmem=2 * _MOST_BYTES)


def _encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    try:
        if not text.isascii() or not set(text) <= _LETTERS:
            raise ValueError(_FORM)
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except Base64Error:
        raise ValueError(_FORM) from None


_LETTERS: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
