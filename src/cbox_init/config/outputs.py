"""What the keys of an output mean together, for the check of the configuration and for the daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from cbox_init.config.endpoints import Endpoint, parse_address, parse_url
from cbox_init.config.model import LogOverflow, OutputType

if TYPE_CHECKING:
    from cbox_init.config.model import OutputConfig

#: What a path may hold: the names that a record knows.
PROCESS_NAMES: Final = ("CBOX_INIT_PROCESS_NAME", "CBOX_PROCESS", "CBOX_SERVICE")
INSTANCE_NAMES: Final = ("CBOX_INIT_INSTANCE_ID", "CBOX_INSTANCE")

#: The default address of syslog.
DEFAULT_SYSLOG: Final = "unix:///dev/log"

_SYSLOG_PORT: Final = 514
_OTLP_PATH: Final = "/v1/logs"
_NETWORK: Final = (OutputType.SYSLOG, OutputType.OTLP)


class SyslogAddress(Struct, frozen=True):
    """Where a syslog server is: ``transport`` is udp, tcp or unix, and only unix has a ``path``."""

    transport: str
    endpoint: Endpoint | None = None
    path: str = ""


def output_type(output: OutputConfig) -> OutputType | None:
    """The type of an output: as it says, else by its path or the scheme of its address; None when unknown."""
    if output.type is not None:
        return output.type
    if output.path is not None:
        return OutputType.FILE
    scheme = (output.address or "").strip().partition("://")[0].lower()
    if scheme in ("udp", "tcp", "unix"):
        return OutputType.SYSLOG
    return OutputType.OTLP if scheme in ("http", "https") else None


def overflow_of(output: OutputConfig) -> LogOverflow:
    """What it does when it cannot keep up. A peer on the network must not stop a container by default."""
    if output.overflow is not None:
        return output.overflow
    return LogOverflow.DROP if output_type(output) in _NETWORK else LogOverflow.BLOCK


def syslog_address(text: str) -> SyslogAddress:
    """The address of "udp://HOST:PORT", "tcp://HOST:PORT" or "unix:///PATH"; the default port is 514.

    Raises ValueError with the reason.
    """
    scheme, separator, rest = text.strip().partition("://")
    transport = scheme.lower()
    if not separator or transport not in ("udp", "tcp", "unix"):
        raise ValueError("it does not begin with udp://, tcp:// or unix://")
    if transport == "unix":
        if not rest.startswith("/"):
            raise ValueError("the path of a Unix socket begins with /")
        return SyslogAddress(transport, path=rest)
    bare = rest.endswith("]") if rest.startswith("[") else ":" not in rest
    endpoint = parse_address(f"{rest}:{_SYSLOG_PORT}" if bare else rest)
    if not rest or rest.startswith(":"):
        raise ValueError("it names no host")
    return SyslogAddress(transport, endpoint)


def otlp_url(text: str) -> str:
    """The URL to send to: one without a path is that of a collector, and gets /v1/logs.

    Raises ValueError with the reason.
    """
    url = parse_url(text)
    address = text.strip().partition("#")[0]
    return address.rstrip("/") + _OTLP_PATH if url.target == "/" else address
