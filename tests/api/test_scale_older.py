"""The older form of a scale: it answers when it is done."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from cbox_init.core.states import State
from tests.api.contract import as_others_have_it

if TYPE_CHECKING:
    from tests.api.service import Serve, Service

SCALE = "/api/v1/processes/web/scale"

STUBBORN = """
  web:
    command: [sh, -c, "trap '' TERM; echo on; while :; do sleep 0.05; done"]
"""

SLOW = """
  web:
    command: [sh, -c, "trap 'sleep 0.3; exit 0' TERM; (echo on; exec sleep 99) & wait"]
"""


async def test_desired(service: Service) -> None:
    reply = await service.tcp.post(SCALE, json={"desired": 4})
    assert reply.status_code == 200
    assert as_others_have_it(reply.content) == b'{"status":"scaled","process":"web","desired":4}'
    assert len(service.house.pids("web")) == 4


async def test_delta(service: Service) -> None:
    reply = await service.tcp.post(SCALE, json={"delta": 1})
    assert reply.status_code == 200
    assert as_others_have_it(reply.content) == b'{"status":"scaled","process":"web","delta":1}'
    assert len(service.house.pids("web")) == 3


async def test_delta_stops_at_zero(service: Service) -> None:
    reply = await service.tcp.post(SCALE, json={"delta": -9})
    assert as_others_have_it(reply.content) == b'{"status":"scaled","process":"web","delta":-9}'
    assert service.house.status("web").desired_scale == 0
    assert service.house.pids("web") == []


async def test_it_waits(serve: Serve) -> None:
    service = await serve(SLOW)
    await service.house.until_said("web", "on")
    reply = asyncio.create_task(service.unix.post(SCALE, json={"desired": 0}))
    await service.house.until_state("web", State.STOPPING)
    assert not reply.done()
    assert (await reply).status_code == 200
    assert service.house.pids("web") == []


async def test_a_client_that_does_not_wait_leaves_nothing_behind(serve: Serve) -> None:
    service = await serve(STUBBORN)
    await service.house.until_said("web", "on")
    before = len(asyncio.all_tasks())
    async with service.connection() as (_, writer):
        writer.write(
            f"POST {SCALE} HTTP/1.1\r\nhost: x\r\ncontent-length: 13\r\n\r\n".encode() + b'{"desired":0}'
        )
        await service.house.until_state("web", State.STOPPING)
        assert len(asyncio.all_tasks()) > before
    await service.house.until(lambda: len(asyncio.all_tasks()) <= before)
    assert not [message for message in service.house.messages() if "Exception" in message]


async def test_the_end_of_the_daemon_answers_who_waits(serve: Serve) -> None:
    service = await serve(STUBBORN)
    await service.house.until_said("web", "on")
    reply = asyncio.create_task(service.unix.post(SCALE, json={"desired": 0}))
    await service.house.until_state("web", State.STOPPING)
    service.house.supervisor.kill(1)
    assert (await asyncio.wait_for(reply, 10)).status_code in (200, 409)
