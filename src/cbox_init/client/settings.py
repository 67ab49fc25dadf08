"""What both clients tell httpx: where to go, how long to wait, what to send along."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

import httpx

from cbox_init import __version__
from cbox_init.client.address import Address, find_address
from cbox_init.errors import ClientError

if TYPE_CHECKING:
    import ssl

TOKEN_VARIABLE = "CBOX_INIT_API_AUTH"


class Settings(NamedTuple):
    """An address, the headers of each request, and the time limit of each wait."""

    address: Address
    headers: dict[str, str]
    timeout_s: float

    @classmethod
    def of(cls, url: str | None, socket: str | None, token: str | None, timeout_s: float) -> Settings:
        """Settings as a caller gives them, completed from the environment. Raises ClientError."""
        address = find_address(url, socket, os.environ)
        headers = {"User-Agent": f"cbox-init/{__version__}", "Accept": "application/json"}
        if token is None:
            token = os.environ.get(TOKEN_VARIABLE)
        # Permissions guard a Unix socket; what listens at a guessed path need not learn the token.
        if token and address.socket is None:
            headers["Authorization"] = f"Bearer {_checked_token(token)}"
        return cls(address, headers, timeout_s)

    def verify(self) -> ssl.SSLContext | bool:
        """How https is checked: against SSL_CERT_FILE, SSL_CERT_DIR, or the public authorities."""
        if not self.address.url.startswith("https:"):
            return False  # nothing to check, and loading the authorities takes 20 ms
        try:
            return httpx.create_ssl_context()
        except OSError as error:
            raise ClientError(f"cannot read the certificates that SSL_CERT_FILE names: {error}") from None

    def timeout(self, read_s: float | None = None) -> httpx.Timeout:
        """Limits for one request; ``read_s`` for one whose answer may take longer."""
        return httpx.Timeout(self.timeout_s, read=self.timeout_s if read_s is None else read_s)


def _checked_token(token: str) -> str:
    token = token.strip().removeprefix("Bearer ").strip()
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ClientError(
            "the token has characters that an HTTP header cannot carry; look for line breaks in it"
        )
    return token
