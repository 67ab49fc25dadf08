"""Syslog to receivers that are there, not there, and there again."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from cbox_init.config.model import SyslogFacility
from cbox_init.config.model.enums import LogLevel
from cbox_init.config.outputs import syslog_address
from cbox_init.logs.outputs.retry import Retry
from cbox_init.logs.outputs.syslog import SyslogBackend
from cbox_init.logs.outputs.syslog_format import SyslogFormat
from cbox_init.logs.record import Block, RecordSource
from cbox_init.logs.writer import Writer
from tests.logs.conftest import DEADLINE_S, end
from tests.logs.outputs.conftest import wait_for
from tests.ports import free_port

if TYPE_CHECKING:
    from pathlib import Path

    from tests.logs.conftest import Said

WEB = RecordSource("web", "web-0", "stdout")


class Sender:
    """An writer to a syslog server."""

    def __init__(self, address: str, said: Said) -> None:
        self.retry = Retry(said.log, address)
        self.writer = Writer(SyslogBackend(syslog_address(address), self.retry))
        self._encode = SyslogFormat(SyslogFacility.USER).encoder(WEB, {})

    def send(self, *lines: str) -> None:
        for line in lines:
            self.writer.write(*self._encode(Block(1, WEB, LogLevel.INFO, line.encode(), single=True)), WEB)


class Receiver:
    """Takes one connection after another, and all that comes in."""

    def __init__(self, port: int = 0) -> None:
        self._server = socket.create_server(("127.0.0.1", port))
        self.port = self._server.getsockname()[1]
        self.received = b""
        self._connection: socket.socket | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._closing:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self._connection = connection
            with contextlib.suppress(OSError):
                while data := connection.recv(65536):
                    self.received += data
            connection.close()

    def drop(self) -> None:
        """End the connection that there is."""
        assert self._connection
        self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._closing = True
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        if self._connection:
            with contextlib.suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)
        self._thread.join(DEADLINE_S)

    def lines(self) -> list[str]:
        """The text of each complete message."""
        return texts(self.received)


def texts(received: bytes) -> list[str]:
    found = []
    start = 0
    while (blank := received.find(b" ", start)) >= 0:
        end = blank + 1 + int(received[start:blank])
        if end > len(received):
            break
        found.append(received[blank + 1 : end].rpartition(b"] ")[2].decode())
        start = end
    return found


def numbers(count: int, start: int = 0) -> list[str]:
    return [f"line {number}" for number in range(start, start + count)]


def test_over_tcp_messages_come_with_their_length(said: Said) -> None:
    receiver = Receiver()
    sender = Sender(f"tcp://127.0.0.1:{receiver.port}", said)
    sender.send(*numbers(5000))
    sender.send("several\nlines")
    end(sender.writer)
    wait_for(lambda: len(receiver.lines()) == 5001, "all messages")
    receiver.close()
    assert receiver.lines()[:-1] == numbers(5000)
    assert sender.writer.written == 5001
    assert said.records() == []


def test_who_goes_away_and_comes_back_misses_nothing(said: Said) -> None:
    receiver = Receiver()
    port = receiver.port
    sender = Sender(f"tcp://127.0.0.1:{port}", said)
    seen: list[str] = []
    for turn in range(5):
        sender.send(*numbers(1000, turn * 1000))
        wait_for(lambda: numbers(1, turn * 1000 + 999)[0] in receiver.lines(), f"turn {turn}")  # noqa: B023
        receiver.close()
        seen += receiver.lines()
        sender.send(f"while away {turn}")
        receiver = Receiver(port)
    sender.writer.reopen()
    wait_for(lambda: "while away 4" in receiver.lines(), "the last one")
    end(sender.writer)
    receiver.close()
    seen += receiver.lines()
    expected = numbers(5000) + [f"while away {turn}" for turn in range(5)]
    assert set(seen) == set(expected)
    assert sender.writer.dropped == 0
    in_order = list(dict.fromkeys(seen))
    assert [line for line in in_order if line.startswith("line")] == numbers(5000)


def test_a_connection_that_is_lost_under_load_loses_nothing(said: Said) -> None:
    """The receiver ends connections in the middle of messages, after all of what it got."""
    receiver = Receiver()
    sender = Sender(f"tcp://127.0.0.1:{receiver.port}", said)
    sender.send(*[f"{line} x" for line in numbers(100)])
    wait_for(lambda: receiver.received, "a connection")
    sender.send(*[f"{line} {'x' * 2000}" for line in numbers(3000, 100)])
    wait_for(lambda: len(receiver.received) > 1_000_000, "a flood")
    receiver.drop()
    end(sender.writer)
    wait_for(lambda: b"line 3099 x" in receiver.received, "the end")
    receiver.close()
    found = {int(number) for number in re.findall(rb"\] line (\d+) x", receiver.received)}
    assert found == set(range(3100))


def test_over_udp_each_message_is_a_datagram(said: Said) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(DEADLINE_S)
        sender = Sender(f"udp://127.0.0.1:{server.getsockname()[1]}", said)
        sender.send(*numbers(50))
        received = [server.recv(65536) for _ in range(50)]
        end(sender.writer)
    assert [data.rpartition(b"] ")[2].decode() for data in received] == numbers(50)
    assert all(data.startswith(b"<14>1 ") for data in received)


def test_over_udp_nobody_holds_up_anybody(said: Said) -> None:
    port = free_port()
    sender = Sender(f"udp://127.0.0.1:{port}", said)
    for line in numbers(50):
        sender.send(line)
        assert sender.writer.flush(DEADLINE_S)
    end(sender.writer)
    assert said.messages() == ["Log output refuses records"]


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_over_a_unix_socket_of_either_kind(tmp_path: Path, said: Said, kind: socket.SocketKind) -> None:
    path = tmp_path / "log"
    sender = Sender(f"unix://{path}", said)
    sender.send("waits for the socket")
    wait_for(lambda: sender.retry.error, "nobody is there")
    with socket.socket(socket.AF_UNIX, kind) as server:
        server.settimeout(DEADLINE_S)
        server.bind(str(path))
        if kind is socket.SOCK_STREAM:
            server.listen()
        sender.writer.reopen()
        if kind is socket.SOCK_DGRAM:
            assert server.recv(65536).endswith(b"] waits for the socket")
        else:
            connection, _ = server.accept()
            with connection:
                assert texts(connection.recv(65536)) == ["waits for the socket"]
        end(sender.writer)
    os.unlink(path)
    assert said.messages() == ["Log output cannot be written", "Log output can be written again"]


def test_who_is_not_there_is_said_once_and_given_up_when_nobody_minds(said: Said) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        sender = Sender(f"tcp://127.0.0.1:{port}", said)
        sender.send(*numbers(10))
        wait_for(lambda: sender.retry.error, "the refusal")
        sender.writer.reopen()
        sender.retry.leave(0)
        end(sender.writer)
    assert (sender.writer.written, sender.writer.dropped) == (0, 10)
    assert [record["error"] for record in said.records()] == ["Connection refused"]


@pytest.mark.parametrize("address", ["tcp://a..b:514", "udp://a..b:514", f"tcp://{'a' * 70}.example:514"])
def test_a_name_that_can_never_be_one_holds_up_nobody(said: Said, address: str) -> None:
    sender = Sender(address, said)
    sender.send("one", "two")
    wait_for(lambda: sender.writer.dropped == 2, "dropped")
    sender.writer.reopen()
    sender.send("three")
    end(sender.writer)
    assert (sender.writer.written, sender.writer.dropped) == (0, 3)
    (record,) = said.records()
    assert record["error"] == (
        "the address cannot be the name of a host; records are dropped until it can be written"
    )
