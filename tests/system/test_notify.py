"""Datagrams of all sorts, and who sent them."""

from __future__ import annotations

import array
import os
import select
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from cbox_init.errors import SpawnError
from cbox_init.system import descriptors
from cbox_init.system.notify import LONGEST, Datagram, NotifyReceiver
from cbox_init.system.tree import descends_from

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def receiver() -> Iterator[NotifyReceiver]:
    made = NotifyReceiver()
    yield made
    made.close()


@pytest.fixture
def sender(receiver: NotifyReceiver) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as made:
        made.connect(f"\0{receiver.address[1:]}")
        yield made


def test_what_is_sent_comes_in_order_with_its_sender(receiver: NotifyReceiver, sender: socket.socket) -> None:
    for word in (b"one", b"", b"\0\xff\n"):
        sender.send(word)
    me = os.getpid()
    assert list(receiver.receive(9)) == [Datagram(me, b"one"), Datagram(me, b""), Datagram(me, b"\0\xff\n")]
    assert list(receiver.receive(9)) == []


def test_no_more_than_was_asked_for(receiver: NotifyReceiver, sender: socket.socket) -> None:
    for _ in range(3):
        sender.send(b"x")
    assert [len(list(receiver.receive(2))) for _ in range(3)] == [2, 1, 0]


def test_what_is_too_long_is_no_message(receiver: NotifyReceiver, sender: socket.socket) -> None:
    sender.send(b"a" * LONGEST)
    sender.send(b"a" * (LONGEST + 1))
    sender.send(b"READY=1\n" * 20_000)
    assert [datagram.data and len(datagram.data) for datagram in receiver.receive(9)] == [LONGEST, None, None]


def test_descriptors_are_closed_and_never_opened_here(
    receiver: NotifyReceiver, sender: socket.socket
) -> None:
    """As a BARRIER=1 wants it: its end of the pipe hangs up when the messages before it were read."""
    read_end, write_end = os.pipe()
    before = os.listdir("/proc/self/fd")
    rights = array.array("i", [write_end] * 200)
    sender.sendmsg([b"BARRIER=1"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    os.close(write_end)
    waiting = select.poll()
    waiting.register(read_end, 0)
    assert waiting.poll(0) == []
    assert list(receiver.receive(9)) == [Datagram(os.getpid(), b"BARRIER=1")]
    assert waiting.poll(0) == [(read_end, select.POLLHUP)]
    os.close(read_end)
    assert len(os.listdir("/proc/self/fd")) <= len(before) - 2


def test_another_user_may_send_and_cannot_say_that_it_is_another(receiver: NotifyReceiver) -> None:
    script = """
import os, socket, struct, sys
os.setgid(65534)
os.setuid(65534)
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.connect("\\0" + sys.argv[1][1:])
s.send(b"hello")
try:
    forged = struct.pack("3i", 1, 0, 0)
    s.sendmsg([b"forged"], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, forged)])
except PermissionError:
    s.send(b"refused")
"""
    child = subprocess.Popen([sys.executable, "-c", script, receiver.address])
    assert child.wait(20) == 0
    assert list(receiver.receive(9)) == [Datagram(child.pid, b"hello"), Datagram(child.pid, b"refused")]


def test_each_has_an_address_of_its_own_and_none_is_inherited(receiver: NotifyReceiver) -> None:
    other = NotifyReceiver()
    assert other.address != receiver.address
    assert not os.get_inheritable(other.fileno())
    other.close()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as late, pytest.raises(ConnectionRefusedError):
        late.connect(f"\0{other.address[1:]}")


def test_the_last_descriptors_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.listdir("/proc/self/fd")
    monkeypatch.setattr(descriptors, "_limit", lambda: 20)
    with pytest.raises(SpawnError, match="raise the limit"):
        NotifyReceiver()
    assert len(os.listdir("/proc/self/fd")) <= len(before)


def test_who_descends_from_whom() -> None:
    child = subprocess.Popen(
        ["sh", "-c", "setsid sh -c 'sleep 1000 & echo $! $$; wait'; true"],
        stdout=subprocess.PIPE,
        process_group=0,
        text=True,
    )
    assert child.stdout
    grandchild, between = map(int, child.stdout.readline().split())
    try:
        assert descends_from(child.pid, child.pid)
        assert descends_from(grandchild, child.pid)
        assert descends_from(grandchild, between)
        assert not descends_from(os.getpid(), child.pid)
        assert not descends_from(child.pid, grandchild)
        assert not descends_from(0, child.pid)
        assert not descends_from(-1, child.pid)
    finally:
        os.kill(grandchild, 9)
        child.wait(20)
        child.stdout.close()
    assert not descends_from(grandchild, child.pid)
