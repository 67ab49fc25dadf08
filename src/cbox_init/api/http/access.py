"""The access list in front of a handler of requests: the same for the API and the metrics.

Imported only where a port has one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cbox_init.api.http.places import is_this_machine, plain_address
from cbox_init.config.acl import AccessList

if TYPE_CHECKING:
    from collections.abc import Callable

    from cbox_init.api.http.exchange import Exchange
    from cbox_init.config.model import AclConfig

_FORBIDDEN: Final = b'{"error":"forbidden"}'
_HEADERS: Final = ((b"content-type", b"application/json"), (b"connection", b"close"))


class Access:
    """Gives requests of allowed clients to ``handler``, and answers 403 to others, whatever the path.

    ``denied`` is called with the address and the path of a request that is refused. The client of an exchange
    becomes the one that the list has found behind trusted proxies. Raises
    BadEntryError for a list that cannot be read.
    """

    def __init__(
        self,
        handler: Callable[[Exchange], None],
        acl: AclConfig,
        denied: Callable[[str, str], object] | None = None,
    ) -> None:
        self._handler = handler
        self._denied = denied
        self._list = AccessList(acl)

    def trusts(self, host: str) -> bool:
        """Whether an address is this machine's or a trusted proxy's: any number of connections."""
        return is_this_machine(host) or self._list.trusts(host)

    def __call__(self, exchange: Exchange) -> None:
        host, port = exchange.client or ("", 0)
        forwarded = [
            value.decode("latin-1") for name, value in exchange.head.headers if name == b"x-forwarded-for"
        ]
        decision = self._list.decide(host, forwarded)
        if decision.allowed:
            exchange.client = (str(decision.client), port)
            self._handler(exchange)
        else:
            if self._denied is not None:
                address = plain_address(host) if decision.client is None else str(decision.client)
                self._denied(address, exchange.path.decode(errors="replace"))
            exchange.respond(403, _HEADERS, _FORBIDDEN)
