"""Processes whose scale follows their load: real instances, commands and servers."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import TYPE_CHECKING, Self

import msgspec
import pytest

from cbox_init.core.autoscale import Load
from cbox_init.errors import CheckFailed, Conflict
from cbox_init.supervisor.autoscale.sources import number_in
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

    from cbox_init.supervisor.status import AutoscaleStatus
    from tests.supervisor.house import Build, House

#: Prints the number that the test has written.
READ = "command: [cat, ${DIR}/load]"
QUICK = "interval: 0.1s, stabilization: 0s, timeout: 10s"


def config(autoscale: str, others: str = "") -> str:
    return f"processes: {{web: {{command: [sleep, '1000'], {others}autoscale: {{{autoscale}}}}}}}"


def load(house: House, text: str) -> None:
    """Have the command of `READ` print this from now on, never a part of it."""
    file = house.log_file.parent / "load"
    beside = file.with_suffix(".new")
    beside.write_text(text)
    beside.rename(file)


def shown(house: House) -> AutoscaleStatus:
    found = house.supervisor.status("web").autoscale
    assert found is not None
    return found


async def reload(house: House, text: str) -> None:
    house.file.write_text(text)
    await house.parts.configuration.reload()


def scale(house: House) -> int:
    return house.supervisor.status("web").desired_scale


async def test_it_follows_a_command(build: Build) -> None:
    house = build(config(f"max: 5, target: 10, {READ}, {QUICK}"))
    load(house, "something else\n42\n")
    await house.until(lambda: scale(house) == 5)
    await house.until(lambda: len(house.supervisor.status("web").instances) == 5)
    assert shown(house).value == 42
    assert shown(house).reason == "command says 42 for 1 instances, target 10 each"
    load(house, "11")
    await house.until(lambda: scale(house) == 2)
    load(house, "0")
    await house.until(lambda: scale(house) == 1)
    lines = [json.loads(line) for line in house.log_text().splitlines()]
    said = [(one["before"], one["scale"]) for one in lines if one["msg"] == "Process autoscaled"]
    assert said == [(1, 5), (5, 2), (2, 1)]
    changes = list(house.supervisor.changes.latest())
    assert [(one.kind, one.actor.id, one.why) for one in changes][-1] == (
        "autoscale",
        "autoscale",
        "command says 42 for 1 instances, target 10 each",
    )
    events = [event for event in house.runtime.events.history("web") if event.kind == "autoscale.decided"]
    assert [event.change for event in events] == [one.id for one in reversed(changes)]


async def test_to_none_and_back(build: Build) -> None:
    house = build(config(f"min: 0, max: 5, target: 10, {READ}, {QUICK}"))
    load(house, "0")
    await house.until(lambda: scale(house) == 0)
    load(house, "3")
    await house.until(lambda: scale(house) == 1)


@pytest.mark.parametrize(
    ("printed", "error"),
    [
        ("many", "cat: expected a number, got 'many'"),
        ("-3", "cat: expected a number of 0 or more, got '-3'"),
        ("", "cat: expected a number, got ''"),
        ("nan", "cat: expected a number, got 'nan'"),
    ],
)
async def test_what_is_no_number_changes_nothing(build: Build, printed: str, error: str) -> None:
    house = build(config(f"min: 2, max: 5, target: 10, {READ}, {QUICK}"))
    load(house, printed)
    await house.until(lambda: shown(house).errors > 2)
    assert shown(house).error == error
    assert scale(house) == 2
    load(house, "30")
    await house.until(lambda: scale(house) == 3)
    assert shown(house).error is None


@pytest.mark.parametrize(
    ("command", "timeout", "error"),
    [
        ("[sh, -c, 'echo no; exit 3']", "10s", "sh: exit code 3: no"),
        ("[/no/such/program]", "10s", "/no/such/program: "),
        ("[sh, -c, 'sleep 1000 & sleep 1000']", "0.3s", "sh: no answer within 0.3 s"),
    ],
)
async def test_commands_that_fail(build: Build, command: str, timeout: str, error: str) -> None:
    keys = f"max: 5, target: 10, command: {command}, interval: 0.1s, timeout: {timeout}"
    house = build(config(keys))
    await house.until(lambda: (shown(house).error or "").startswith(error))
    assert scale(house) == 1
    assert "The load cannot be measured, the scale stays" in house.messages()


async def test_warnings_are_no_part_of_json(build: Build) -> None:
    command = """command: [sh, -c, 'echo {\\"n\\": 30}; echo old >&2'], value: n"""
    house = build(config(f"max: 5, target: 10, {command}, {QUICK}"))
    await house.until(lambda: scale(house) == 3)


async def test_of_much_output_the_last_line_counts(build: Build) -> None:
    command = "command: [sh, -c, 'yes | head -c 1000000; echo old >&2; echo 30']"
    house = build(config(f"max: 5, target: 10, {command}, {QUICK}"))
    await house.until(lambda: scale(house) == 3)


class Server:
    """Answers every request with ``reply``; None keeps the connection open without one."""

    def __init__(self) -> None:
        self.port = free_port()
        self.reply: bytes | None = b""
        self.asked = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    def answer(self, body: str, status: str = "200 OK", more: str = "") -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
        self.reply = (head + body).encode()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            self.asked += 1
            if self.reply is None:
                await reader.read()
            else:
                writer.write(self.reply)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


def fails_with(house: House, error: str) -> bool:
    return (shown(house).error or "").startswith(error)


async def test_it_follows_a_server(build: Build) -> None:
    async with Server() as server:
        url = f"url: 'http://127.0.0.1:{server.port}/stats'"
        house = build(config(f"max: 5, target: 10, {url}, value: queues.1.length, {QUICK}"))
        server.answer('{"queues": [{"length": 99}, {"length": 21.5}]}')
        await house.until(lambda: scale(house) == 3)
        where = f"http://127.0.0.1:{server.port}/stats"
        for body, status, more, error in (
            ('{"queues": []}', "200 OK", "", "the answer has no queues.1.length: there is no '1'"),
            ("[" * 20_000, "200 OK", "", "the answer is not JSON"),
            ('{"queues": [0, {"length": true}]}', "200 OK", "", "expected a number, got 'True'"),
            ("1" * 70_000, "200 OK", "", "the answer is longer than 64 KiB"),
            ("9", "500 Oh", "", "status 500, expected 200-299"),
            ("9", "302 There", f"Location: {where}\r\n", "status 302, expected 200-299"),
        ):
            server.answer(body, status, more)
            await house.until(partial(fails_with, house, f"{where}: {error}"))
        assert scale(house) == 3
        server.answer('{"queues": [0, {"length": 0}]}')
        await house.until(lambda: scale(house) == 1)


async def test_a_server_that_hangs(build: Build) -> None:
    async with Server() as server:
        server.reply = None
        house = build(
            config(
                f"max: 5, target: 10, url: 'http://127.0.0.1:{server.port}/', "
                "interval: 0.1s, timeout: 0.2s, stabilization: 0s"
            )
        )
        await house.until(lambda: shown(house).errors > 1)
        assert shown(house).error == f"http://127.0.0.1:{server.port}/: no answer within 0.2 s"
        server.answer("30")
        await house.until(lambda: scale(house) == 3)


async def test_it_follows_the_memory(build: Build) -> None:
    """The target is a part of what a sleep uses, so that more are wanted than there may be."""
    house = build(config("max: 3, metric: memory, target: 1k, interval: 0.1s"))
    await house.until(lambda: scale(house) == 3)
    assert "for each of" in str(shown(house).reason)


async def test_it_follows_the_cpu(build: Build) -> None:
    busy = "command: [sh, -c, 'while :; do :; done']"
    text = f"processes: {{web: {{{busy}, autoscale: {{max: 2, target: 1%, interval: 0.2s}}}}}}"
    house = build(text)
    await house.until(lambda: scale(house) == 2)
    assert shown(house).metric == "cpu"
    house.supervisor.stop("web")
    value = shown(house).value
    assert value is not None and value > 1


async def test_by_hand_it_stays_for_the_stabilization(build: Build) -> None:
    house = build(config(f"max: 5, target: 10, {READ}, interval: 0.1s, stabilization: 1h"))
    load(house, "10")
    await house.until(lambda: shown(house).value == 10)
    house.supervisor.scale("web", 4)
    load(house, "11")
    await house.until(lambda: shown(house).value == 11)
    assert scale(house) == 4
    load(house, "50")
    await house.until(lambda: scale(house) == 5)


async def test_zero_by_hand_is_not_undone(build: Build) -> None:
    house = build(config(f"max: 5, target: 10, {READ}, {QUICK}"))
    load(house, "30")
    await house.until(lambda: scale(house) == 3)
    house.supervisor.scale("web", 0)
    load(house, "many")
    # A measurement that was under way may still end, with an error.
    errors = shown(house).errors + 1
    await measured_again(house, lambda: shown(house).errors <= errors)
    assert scale(house) == 0
    load(house, "30")
    house.supervisor.scale("web", 1)
    await house.until(lambda: scale(house) == 3)


async def measured_again(house: House, same: Callable[[], bool]) -> None:
    """Wait for three more intervals of the run queue, in which nothing may be measured."""
    until = house.runtime.now() + 0.35
    while house.runtime.now() < until:
        assert same()
        await asyncio.sleep(0.02)


async def test_only_the_load_scales_what_is_locked(build: Build) -> None:
    house = build(config(f"max: 5, target: 10, {READ}, {QUICK}", "scale_locked: true, "))
    load(house, "30")
    await house.until(lambda: scale(house) == 3)
    with pytest.raises(Conflict, match="scale_locked"):
        house.supervisor.scale("web", 1)


async def test_nothing_is_decided_while_it_is_stopped(build: Build) -> None:
    house = build(config(f"max: 5, target: 10, {READ}, {QUICK}", "initial_state: stopped, "))
    load(house, "30")
    await measured_again(house, lambda: shown(house).value is None)
    house.supervisor.start("web")
    await house.until(lambda: scale(house) == 3)
    house.supervisor.stop("web")
    await house.until(lambda: not house.supervisor.status("web").scale)
    assert scale(house) == 3


async def test_one_for_each_cpu_is_shown_as_a_number(build: Build) -> None:
    house = build("processes: {web: {command: [sleep, '1000'], scale: auto}}")
    assert msgspec.json.decode(msgspec.json.encode(house.supervisor.status("web")))["desired_scale"] >= 1
    await reload(house, "processes: {web: {command: [sleep, '1000'], scale: 5}}")
    await reload(house, "processes: {web: {command: [sleep, '1000'], scale: auto}}")
    assert type(scale(house)) is int


async def test_it_starts_within_the_limits(build: Build) -> None:
    house = build(config("min: 3, max: 5, target: 10, command: ['false']"))
    assert scale(house) == 3


async def test_a_reload_takes_it_on_and_off(build: Build) -> None:
    house = build(config(f"max: 5, target: 10, {READ}, {QUICK}", "scale: 2, "))
    load(house, "50")
    await house.until(lambda: scale(house) == 5)
    await reload(house, config(f"max: 3, target: 10, {READ}, {QUICK}", "scale: 2, "))
    await house.until(lambda: scale(house) == 3)
    await reload(house, "processes: {web: {command: [sleep, '1000'], scale: 2}}")
    assert scale(house) == 2
    assert house.supervisor.status("web").autoscale is None
    await reload(house, config(f"max: 4, target: 10, {READ}, {QUICK}", "scale: 2, "))
    await house.until(lambda: scale(house) == 4)


async def test_a_defect_of_one_measurement_is_contained(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = build(config(f"max: 5, target: 10, {READ}, {QUICK}"))
    house.expects_defects = True
    load(house, "30")
    with monkeypatch.context() as patch:

        def broken(*_: object) -> float:
            raise RuntimeError("oh")

        patch.setattr("cbox_init.supervisor.autoscale.sources.number_in", broken)
        await house.until(lambda: "autoscaling failed" in house.log_text())
    await house.until(lambda: scale(house) == 3)


@pytest.mark.parametrize("text", ["", "a", "true", "null", "1,5", "0x10", "1e999", "[1]", "-1"])
def test_texts_that_are_no_load(text: str) -> None:
    with pytest.raises(CheckFailed):
        number_in(text, None)


@pytest.mark.parametrize(
    ("text", "path", "number"),
    [(" 4\n", None, 4.0), ('{"a": [1, "2.5"]}', "a.1", 2.5), ('{"a.b": 1, "a": {"b": 3}}', "a.b", 3.0)],
)
def test_texts_that_are_a_load(text: str, path: str | None, number: float) -> None:
    assert number_in(text, path) == number


async def test_a_measurement_of_no_instance_is_no_success(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[int] = []

    class Source:
        where = "cpu"

        async def __call__(self, instances: object) -> Load:
            measured.append(1)
            if len(measured) == 1:
                raise CheckFailed("nothing can be read")
            return Load(0, 0)

    monkeypatch.setattr("cbox_init.supervisor.autoscale.autoscaler.load_source", lambda *_: Source())
    house = build(config(f"max: 3, target: 10, {QUICK}"))
    await house.until(lambda: len(measured) > 3)
    assert shown(house).error == "cpu: nothing can be read"
    assert "can be measured again" not in house.log_text()
