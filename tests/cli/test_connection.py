"""Names that the daemon does not know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cbox_init.cli.connection import most_similar, transport_for, unknown_process
from cbox_init.client.address import ClientSettings
from cbox_init.client.httpx_transport import HttpxTransport
from cbox_init.client.socket_transport import SocketTransport

if TYPE_CHECKING:
    from cbox_init.client.transport import Transport


def test_unknown_names() -> None:
    assert unknown_process("wbe", ["web", "db"]) == "no process is named 'wbe'; did you mean 'web'?"
    assert unknown_process("zzz", ["web", "db"]) == "no process is named 'zzz'; there are web, db"
    assert unknown_process("zzz", []) == "no process is named 'zzz'; there are no processes"
    many = [f"queue-{number}" for number in range(12)]
    assert unknown_process("zzz", many).endswith("queue-8, queue-9 and 2 more")


def test_the_most_similar_name() -> None:
    known = ["web", "queue-default", "queue-mail"]
    assert most_similar("wbe", known) == "web"
    assert most_similar("WEB", known) == "web"
    assert most_similar("queue-defualt", known) == "queue-default"
    assert most_similar("zzz", known) is None
    assert most_similar("web", []) is None


def test_httpx_is_for_https_alone() -> None:
    def transport(url: str) -> Transport:
        return transport_for(ClientSettings.of(url, None, None, 5.0))

    assert isinstance(transport("https://localhost:1"), HttpxTransport)
    assert isinstance(transport("http://grün:1"), HttpxTransport)
    assert isinstance(transport("http://localhost:1"), SocketTransport)
