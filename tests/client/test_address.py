"""Where the daemon is looked for."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from cbox_init.client.address import USUAL_URL, DaemonAddress, find_address
from cbox_init.errors import ClientError


def listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(1)
    return listener


def test_the_first_socket_that_listens_is_taken(tmp_path: Path) -> None:
    dead, alive, later = (str(tmp_path / name) for name in ("dead", "alive", "later"))
    listen(Path(dead)).close()
    with listen(Path(alive)), listen(Path(later)):
        assert find_address(None, None, {}, [dead, alive, later]) == DaemonAddress("http://localhost", alive)


def test_a_socket_whose_queue_is_full_still_listens(tmp_path: Path) -> None:
    path = tmp_path / "busy"
    with listen(path):
        waiting = [socket.socket(socket.AF_UNIX) for _ in range(4)]
        for connection in waiting:
            connection.setblocking(False)
            connection.connect_ex(str(path))
        assert find_address(None, None, {}, [str(path)]).socket == str(path)
        for connection in waiting:
            connection.close()


@pytest.mark.parametrize("variable", ["CBOX_INIT_API_SOCKET", "CBOX_INIT_GLOBAL_API_SOCKET"])
def test_the_environment_names_the_first_place(tmp_path: Path, variable: str) -> None:
    usual, named = tmp_path / "usual", tmp_path / "named"
    with listen(usual), listen(named):
        assert find_address(None, None, {variable: str(named)}, [str(usual)]).socket == str(named)
    assert find_address(None, None, {variable: ""}, []).tried == ()


def test_without_a_socket_it_is_localhost_and_the_tried_places_are_known(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a socket")
    places = [str(tmp_path / "none"), str(tmp_path / "file"), str(tmp_path / "file" / "below"), "x" * 200]
    address = find_address(None, None, {}, [*places, *places])
    assert address == DaemonAddress(USUAL_URL, None, tuple(places))
    assert str(address) == USUAL_URL


def test_what_is_given_is_not_looked_for(tmp_path: Path) -> None:
    with listen(tmp_path / "usual"):
        usual = [str(tmp_path / "usual")]
        assert find_address("https://host:1/base/", None, {}, usual) == DaemonAddress("https://host:1/base")
        assert find_address(None, usual[0], {}, []) == DaemonAddress("http://localhost", usual[0])


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:9180",
        "localhost",
        "ftp://host",
        "http://",
        "http://host:x",
        "http://host:99999",
        "http://[::1",
    ],
)
def test_what_is_no_url_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(ClientError, match="write it like http://localhost:9180"):
        find_address(url, None, {})


@pytest.mark.parametrize("url", ["http://user:secret@host", "http://host/?token=secret1", "http://host/#x"])
def test_a_url_carries_no_secret(url: str) -> None:
    with pytest.raises(ClientError, match="give the token separately") as raised:
        find_address(url, None, {})
    assert "secret" not in str(raised.value)


def test_a_url_and_a_socket_are_one_too_many() -> None:
    with pytest.raises(ClientError, match="give one of them"):
        find_address("http://host", "/socket", {})
