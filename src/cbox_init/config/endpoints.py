"""Where a health check connects to, as values."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_LARGEST_PORT: Final = 65535


class Endpoint(Struct, frozen=True):
    """A host (a name or an address, IPv6 without brackets) and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Url(Struct, frozen=True):
    """An address of HTTP. ``target`` is path and query, ``authority`` what the Host header says.

    ``userinfo`` is "user:password", percent-encoded, or None.
    """

    tls: bool
    endpoint: Endpoint
    authority: str
    target: str
    userinfo: str | None = None

    def __str__(self) -> str:
        """The URL without user and password."""
        return f"{'https' if self.tls else 'http'}://{self.authority}{self.target}"

    @property
    def shown(self) -> str:
        """For logs and replies: without the query as well, which may hold a key."""
        return str(self).partition("?")[0]


def parse_address(text: str) -> Endpoint:
    """The endpoint of "HOST:PORT", "[IPv6]:PORT", ":PORT" or "PORT"; without a host it is this machine.

    Raises ValueError with the reason.
    """
    text = text.strip().removeprefix("tcp://")
    host, colon, port = text.rpartition(":")
    if not colon and not (port.isascii() and port.isdigit()):
        raise ValueError(f"{text!r} has no port")
    return Endpoint(_host(host) or "127.0.0.1", _port(port))


def parse_url(text: str) -> Url:
    """The parts of an http or https URL. Raises ValueError with the reason."""
    text = text.strip()
    if not text.isprintable() or " " in text:
        raise ValueError("it holds white space or a control character")
    scheme, separator, rest = text.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in _DEFAULT_PORTS:
        raise ValueError("it does not begin with http:// or https://")
    rest = rest.partition("#")[0]
    end = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
    netloc, target = rest[:end], rest[end:]
    userinfo, at, authority = netloc.rpartition("@")
    host, colon, port = authority.rpartition(":")
    if not colon or port.endswith("]"):
        host, port = authority, ""
    if not _host(host):
        raise ValueError("it names no host")
    if not host.isascii():
        host = host.encode("idna").decode()
        authority = f"{host}:{port}" if port else host
    return Url(
        tls=scheme == "https",
        endpoint=Endpoint(_host(host), _port(port) if port else _DEFAULT_PORTS[scheme]),
        authority=authority,
        target=_ascii(target if target.startswith("/") else f"/{target}"),
        userinfo=userinfo if at else None,
    )


def _host(text: str) -> str:
    """A name or address, of IPv6 without its brackets; what is no host raises ValueError."""
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
        wrong = "[]/@"
    else:
        wrong = "[]/@:%"
    if any(letter in wrong or letter.isspace() for letter in text):
        raise ValueError(f"{text!r} is no host; an IPv6 address stands in brackets")
    return text


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) <= _LARGEST_PORT):
        raise ValueError(f"{text!r} is no port")
    return int(text)


def _ascii(target: str) -> str:
    """Other letters as a browser would send them."""
    if target.isascii():
        return target
    return "".join(
        one if one.isascii() else "".join(f"%{byte:02X}" for byte in one.encode()) for one in target
    )
