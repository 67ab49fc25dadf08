"""The life of the API: nothing until somebody asks, and a good end."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING

import httpx
import pytest
from msgspec.structs import replace

from cbox_init.api import process_list
from cbox_init.api import server as api_server
from cbox_init.api.listeners import Listeners
from cbox_init.api.server import ApiServer
from cbox_init.api.views import process_entry
from cbox_init.core.states import State
from cbox_init.telemetry.figures import Figures
from cbox_init.telemetry.vitals import Vitals
from tests.api.service import read_answer
from tests.ports import free_port
from tests.supervisor.conftest import adopted_orphans, build  # noqa: F401  # the fixtures
from tests.supervisor.house import WAITS

if TYPE_CHECKING:
    from cbox_init.api.schemas import ProcessEntry
    from cbox_init.api.stack import Stack
    from cbox_init.supervisor.status import ProcessStatus
    from tests.api.service import Serve, Service
    from tests.supervisor.house import Build

HEALTH = b"GET /api/v1/health HTTP/1.1\r\nhost: x\r\n\r\n"
STUBBORN = """
  web:
    command: [sh, -c, "trap '' TERM; echo on; while :; do sleep 0.05; done"]
"""

SLOW = """
  web:
    command: [sh, -c, "trap '%s; exit 0' TERM; (echo on; exec sleep 99) & wait"]
""".replace("%s", WAITS)

LAZY = """
import asyncio, socket, sys
from types import SimpleNamespace as Names

from cbox_init.api import process_list
from cbox_init.api.listeners import Listeners
from cbox_init.api.server import ApiServer
from cbox_init.api.views import process_entry
from cbox_init.config.model import Config, GlobalConfig
from cbox_init.telemetry.vitals import Vitals

HEAVY = {"uvicorn", "starlette", "httptools", "anyio"}
supervisor = Names(version=0, statuses=tuple)
parts = Names(supervisor=supervisor, runtime=Names(audit=None), logs=Names(daemon=Names(error=print)))
supervisor.start = supervisor.stop = supervisor.restart = supervisor.pause = supervisor.resume = None

async def main(path, preload):
    config = supervisor.config = Config(global_=GlobalConfig(api_socket=path, api_preload=preload))
    server = ApiServer(Listeners.bind(config.global_), parts, config.global_, Vitals())
    server.attach(asyncio.get_running_loop())
    print(HEAVY & (set(sys.modules) - BEFORE) or "nothing heavy")
    if preload:
        while "cbox_init.api.stack" not in sys.modules:
            await asyncio.sleep(0.01)
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"GET /api/v1/health HTTP/1.0\\r\\n\\r\\n")
    print((await reader.read()).split()[1].decode())
    writer.close()
    await server.close(1)

BEFORE = set(sys.modules)
asyncio.run(main(sys.argv[1], sys.argv[2] == "preload"))
"""


@pytest.mark.parametrize("mode", ["lazy", "preload"])
def test_the_http_stack_is_imported_when_it_is_needed(mode: str) -> None:
    with tempfile.TemporaryDirectory(prefix="cbox") as folder:
        done = subprocess.run(
            [sys.executable, "-c", LAZY, f"{folder}/s", mode], capture_output=True, text=True, timeout=30
        )
    assert (done.stdout, done.stderr) == ("nothing heavy\n200\n", "")


async def test_connections_that_come_while_it_is_imported_are_served(build: Build) -> None:  # noqa: F811
    house = build("processes:\n  web: {command: [sleep, '1000']}")
    with tempfile.TemporaryDirectory(prefix="cbox") as folder:
        settings = replace(house.supervisor.config.global_, api_socket=f"{folder}/s")
        server = ApiServer(Listeners.bind(settings), house.parts, settings, Vitals())
        waiting = [await asyncio.open_unix_connection(f"{folder}/s") for _ in range(20)]
        for _, writer in waiting:
            writer.write(HEALTH)
        server.attach(asyncio.get_running_loop())
        for reader, writer in waiting:
            assert (await read_answer(reader)).status == 200
            writer.close()
        await server.close(5)


async def test_a_lack_that_passes_is_waited_out(
    build: Build,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = api_server._stack
    lacks = [OSError(errno.EMFILE, "Too many open files"), RuntimeError("can't start new thread")]

    def short() -> type[Stack]:
        if lacks:
            raise lacks.pop()
        return whole()

    monkeypatch.setattr(api_server, "_stack", short)
    monkeypatch.setattr(api_server, "TRY_AGAIN_S", 0.01)
    house = build("processes:\n  web: {command: [sleep, '1000']}")
    with tempfile.TemporaryDirectory(prefix="cbox") as folder:
        settings = replace(house.supervisor.config.global_, api_socket=f"{folder}/s")
        server = ApiServer(Listeners.bind(settings), house.parts, house.supervisor.config.global_, Vitals())
        server.attach(asyncio.get_running_loop())
        reader, writer = await asyncio.open_unix_connection(f"{folder}/s")
        writer.write(HEALTH)
        assert (await read_answer(reader)).status == 200
        writer.close()
        await server.close(5)
    assert sum("tried again" in message for message in house.messages()) == 1, "the second shortly after"


async def test_closing_removes_the_socket_and_refuses_connections(service: Service) -> None:
    await service.server.close(5)
    assert os.listdir(os.path.dirname(service.path)) == []
    with pytest.raises(httpx.ConnectError):
        await service.tcp.get("/api/v1/health")
    with pytest.raises(httpx.ConnectError):
        await service.unix.get("/api/v1/health")


async def test_closing_before_anybody_asked(build: Build) -> None:  # noqa: F811
    with tempfile.TemporaryDirectory(prefix="cbox") as folder:
        house = build(
            f"global: {{api_enabled: true, api_port: {free_port()}, api_socket: {folder}/s}}\n"
            "processes:\n  web: {command: [sleep, '1000']}"
        )
        settings = house.supervisor.config.global_
        server = ApiServer(Listeners.bind(settings), house.parts, settings, Vitals())
        server.attach(asyncio.get_running_loop())
        await server.close(5)
        assert os.listdir(folder) == []


async def test_closing_lets_a_request_end_that_is_being_answered(serve: Serve) -> None:
    service = await serve(SLOW)
    await service.house.until_said("web", "on")
    reply = asyncio.create_task(service.tcp.post("/api/v1/processes/web/scale", json={"desired": 0}))
    await service.house.until_state("web", State.STOPPING)
    closing = asyncio.create_task(service.server.close(20))
    await asyncio.sleep(0)
    service.house.let_go()
    await closing
    assert (await reply).status_code == 200


async def test_closing_does_not_wait_for_ever(serve: Serve) -> None:
    service = await serve(STUBBORN)
    await service.house.until_said("web", "on")
    reply = asyncio.create_task(service.tcp.post("/api/v1/processes/web/scale", json={"desired": 0}))
    await service.house.until_state("web", State.STOPPING)
    await asyncio.wait_for(service.server.close(0.1), 20)
    with pytest.raises(httpx.RemoteProtocolError):
        await reply
    assert not [message for message in service.house.messages() if "Unexpected" in message]


async def test_closing_ends_idle_connections_at_once(service: Service) -> None:
    async with service.connection() as (reader, writer):
        writer.write(HEALTH)
        await read_answer(reader)
        await asyncio.wait_for(service.server.close(60), 20)
        assert await reader.read() == b""


async def test_a_door_that_cannot_be_locked_is_told_in_the_log(serve: Serve) -> None:
    service = await serve(api_tls="{enabled: true}")
    assert (await service.unix.get("/api/v1/health")).status_code == 200
    with pytest.raises(httpx.ConnectError):
        await service.tcp.get("/api/v1/health")
    told = "The API is not opened on TCP until this is fixed: global.api_tls.cert_file: is not set"
    await service.house.until(lambda: any(told in message for message in service.house.messages()))


async def test_a_defect_of_ours_is_a_500_and_in_the_log(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(name: str) -> None:
        raise ZeroDivisionError(name)

    service.unix.event_hooks = {}  # no document allows for it
    monkeypatch.setattr(service.house.supervisor, "process_config", broken)
    reply = await service.unix.get("/api/v1/processes/web")
    assert reply.status_code == 500
    assert list(reply.json()) == ["error"]
    assert any("Unexpected: a request failed" in message for message in service.house.messages())


async def test_the_list_is_encoded_once_for_all_who_ask(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:

    await service.house.supervisor.settled("web")
    monkeypatch.setattr(Figures, "due", lambda self: not self.version)  # whatever the machine's speed
    made: list[str] = []
    real = process_entry

    def counting(status: ProcessStatus, figures: Figures) -> ProcessEntry:
        made.append(status.name)
        return real(status, figures)

    monkeypatch.setattr(process_list, "process_entry", counting)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        version = service.house.supervisor.version
        first = (await service.unix.get("/api/v1/processes")).content
        made.clear()
        replies = {(await service.unix.get("/api/v1/processes")).content for _ in range(20)}
        if service.house.supervisor.version == version:
            break  # nothing has changed meanwhile
    else:
        pytest.fail("the processes change all the time")
    assert (replies, made) == ({first}, [])
