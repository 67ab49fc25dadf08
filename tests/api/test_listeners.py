"""The sockets together: TCP on the addresses asked for, and what is said when they cannot be had."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from cbox_init.api.listeners import Listeners
from cbox_init.api.unix_socket import UnixSocket, bind_unix
from cbox_init.config.model import AclConfig, GlobalConfig
from cbox_init.errors import ListenError
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def path() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="cbox") as folder:
        yield f"{folder}/s"


def reachable(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        return probe.connect_ex((host, port)) == 0


def test_every_address_of_the_machine(path: str) -> None:
    port = free_port()
    listeners = Listeners.bind(GlobalConfig(api_enabled=True, api_port=port, api_socket=path))
    assert reachable("127.0.0.1", port)
    if socket.has_dualstack_ipv6():
        assert reachable("::1", port)
        assert listeners.addresses() == (f"unix:{path}", f"http://[::]:{port}")
    listeners.close()
    assert not reachable("127.0.0.1", port)
    assert not os.path.exists(path)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])
def test_one_host(path: str, host: str) -> None:
    port = free_port()
    listeners = Listeners.bind(GlobalConfig(api_enabled=True, api_host=host, api_port=port, api_socket=path))
    assert reachable("127.0.0.1", port)
    assert host == "localhost" or not reachable("::1", port)
    listeners.close()


def test_one_address_is_only_that(path: str) -> None:
    port = free_port()
    listeners = Listeners.bind(
        GlobalConfig(api_enabled=True, api_host="127.0.0.2", api_port=port, api_socket=path)
    )
    assert reachable("127.0.0.2", port)
    assert not reachable("127.0.0.1", port)
    listeners.close()


def test_replies_do_not_wait_for_nagle(path: str) -> None:
    """asyncio sets TCP_NODELAY on sockets that say that they are TCP, and only on those."""
    listeners = Listeners.bind(GlobalConfig(api_enabled=True, api_port=free_port(), api_socket=path))
    assert {listener.proto for listener in listeners.tcp} == {socket.IPPROTO_TCP}
    listeners.close()


def test_without_api_enabled_there_is_only_the_unix_socket(path: str) -> None:
    listeners = Listeners.bind(GlobalConfig(api_socket=path))
    assert (listeners.tcp, listeners.addresses()) == ((), (f"unix:{path}",))
    listeners.close()


def test_sockets_are_not_inherited(path: str) -> None:
    listeners = Listeners.bind(GlobalConfig(api_enabled=True, api_port=free_port(), api_socket=path))
    assert not any(each.get_inheritable() for each in listeners.sockets)
    listeners.close()


def test_port_in_use(path: str) -> None:
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ListenError) as caught:
            Listeners.bind(GlobalConfig(api_enabled=True, api_port=port, api_socket=path))
    assert str(caught.value) == (
        f"cannot listen on *:{port}: the port is in use; "
        "stop what listens there, or set another global.api_port"
    )
    assert not os.path.exists(path)


def test_a_socket_that_cannot_be_had_leaves_the_port_free(path: str) -> None:
    port = free_port()
    with pytest.raises(ListenError):
        Listeners.bind(GlobalConfig(api_enabled=True, api_port=port, api_socket=f"{path}/missing"))
    assert not reachable("127.0.0.1", port)


@pytest.mark.parametrize(
    ("host", "problem"),
    [
        ("192.0.2.1", "this machine has no such address"),
        ("no.such.host.invalid", "api_host does not resolve"),
        ("1.2.3.4.5", "api_host does not resolve"),
        ("[::1]", "api_host does not resolve"),
        (" 127.0.0.1", "api_host does not resolve"),
        ("a\0b", "api_host does not resolve"),
        ("a\nb", "api_host does not resolve"),
        ("a..b", "api_host is neither a name nor an address"),
        ("x" * 64, "api_host is neither a name nor an address"),
        ("\ud800", "api_host is neither a name nor an address"),
    ],
)
def test_host_that_cannot_be_had(path: str, host: str, problem: str) -> None:
    with pytest.raises(ListenError, match=problem) as caught:
        Listeners.bind(GlobalConfig(api_enabled=True, api_host=host, api_socket=path))
    assert "\n" not in str(caught.value)
    assert not os.path.exists(path)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ("api_enabled: true, api_host: a..b", "global.api_host"),
        ("metrics_enabled: true, metrics_host: a..b", "global.metrics_host"),
        ("readiness: {enabled: true, path: '', http_port: 9, http_host: a..b}", "global.readiness.http_host"),
        ("api_socket: /tmp/" + "x" * 200, "global.api_socket"),
        ('api_socket: "/tmp/\\0"', "global.api_socket"),
    ],
)
def test_a_start_without_a_place_to_listen_is_one_line(path: str, settings: str, key: str) -> None:
    config = f"{os.path.dirname(path)}/c.yaml"
    socket_key = "" if "api_socket" in settings else f", api_socket: {path}"
    with open(config, "w") as file:
        file.write(f"global: {{{settings}{socket_key}}}\nprocesses: {{web: {{command: [sleep, '1000']}}}}\n")
    done = subprocess.run(
        [sys.executable, "-m", "cbox_init", "serve", "-c", config], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 1
    assert (done.stdout, done.stderr.count("\n")) == ("", 1)
    assert key in done.stderr
    assert not os.path.exists(path)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        (
            GlobalConfig(
                api_enabled=True, api_acl=AclConfig(enabled=True, allow_list=("10.0.0.0/8", "::1%lo"))
            ),
            "global.api_acl.allow_list[1]: '::1%lo' has a zone",
        ),
    ],
)
def test_a_door_that_cannot_be_locked_stays_shut(path: str, settings: GlobalConfig, key: str) -> None:
    listeners = Listeners.bind(replace(settings, api_socket=path, api_port=free_port()))
    assert listeners.tcp == ()
    assert key in listeners.missing[0]
    listeners.close()


def test_import_is_cheap() -> None:
    """The module is loaded before the first child is started."""
    script = (
        "import sys, cbox_init.api.listeners\n"
        "print({'asyncio', 'httptools', 'starlette', 'ssl', 'logging', 'inspect'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_machine_without_a_place_for_the_unix_socket_is_served_over_tcp(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def nowhere(path: str | None, backlog: int, **_: object) -> UnixSocket:
        return bind_unix(path, backlog, ("/proc/s", "/sys/s"))

    monkeypatch.setattr("cbox_init.api.listeners.bind_unix", nowhere)
    settings = GlobalConfig(api_enabled=True, api_host="127.0.0.1", api_port=free_port())
    listeners = Listeners.bind(settings)
    assert listeners.unix is None
    assert listeners.sockets == listeners.tcp != ()
    assert "no Unix socket" in listeners.missing[0]
    assert listeners.addresses() == (f"http://127.0.0.1:{settings.api_port}",)
    listeners.close()
