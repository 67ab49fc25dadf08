"""What is said when nothing can be reached."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import httpx
import pytest

from cbox_init.client.address import USUAL_URL, DaemonAddress, find_address
from cbox_init.client.httpx_transport import unreachable
from cbox_init.errors import CboxError

from .fake import fake_daemon

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

REFUSED = ConnectionRefusedError(111, "Connection refused")


def text(error: httpx.HTTPError, address: DaemonAddress, cause: BaseException | None = None) -> str:
    error.__cause__ = cause
    return str(unreachable(error, address))


def test_every_place_that_was_tried_is_named() -> None:
    address = DaemonAddress(USUAL_URL, None, ("/var/run/cbox-init.sock", "/tmp/cbox-init.sock"))
    assert text(httpx.ConnectError("All connection attempts failed"), address, REFUSED) == (
        "no daemon answers at any of /var/run/cbox-init.sock, /tmp/cbox-init.sock, http://localhost:9180: "
        "is cbox-init running? start it with `cbox-init serve`, or say where it is with --url"
    )


def test_a_socket_without_permission_is_the_likelier_reason() -> None:
    address = DaemonAddress(USUAL_URL, None, ("/var/run/cbox-init.sock",), "/var/run/cbox-init.sock")
    assert text(httpx.ConnectError("x"), address, REFUSED) == (
        "no permission to open /var/run/cbox-init.sock: run as root or as a member of the socket's group"
    )


def test_the_reason_is_found_below_a_group_of_errors() -> None:
    group = ExceptionGroup("several", [OSError(113, "No route to host")])
    assert text(httpx.ConnectError("x"), DaemonAddress("http://host"), group) == (
        "cannot connect to http://host: No route to host"
    )


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            httpx.ConnectTimeout("timed out"),
            "no daemon answers at http://host in time: is cbox-init running?",
        ),
        (httpx.ConnectError("TLS: certificate verify failed"), "cannot connect to http://host: TLS: cert"),
        (httpx.ReadError(""), "the connection to the daemon at http://host broke: ReadError"),
        (httpx.UnsupportedProtocol("no"), "the request to http://host failed: no"),
    ],
)
def test_other_failures(error: httpx.HTTPError, said: str) -> None:
    assert text(error, DaemonAddress("http://host")).startswith(said)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody without permission")
def test_a_socket_of_somebody_else(public_path: Path) -> None:
    """As nobody, for real: given the socket's path, and looking for it."""
    path = public_path / "api.sock"
    with fake_daemon(str(path)):
        path.chmod(0o660)
        given = as_nobody(lambda: str(find_address(None, str(path), {})))
        searched = as_nobody(lambda: str(find_address(None, None, {}, [str(path)]).denied))
    assert given == f"no permission to open {path}: run as root or as a member of the socket's group"
    assert searched == str(path)


def as_nobody(call: Callable[[], str]) -> str:
    """What ``call`` gives, or the error that it raises, in a child that is nobody."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        try:
            said = call()
        except CboxError as error:
            said = str(error)
        os.write(write, said.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        said = answer.read()
    os.waitpid(child, 0)
    return said
