"""A supervisor whose metrics are served, and what a test asks of them."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, NamedTuple, Protocol

from prometheus_client.parser import text_string_to_metric_families

from cbox_init.metrics.server import MetricsServer
from cbox_init.telemetry.vitals import Vitals
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.supervisor.house import Build, House

DEADLINE_S = 20.0


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Samples:
    """What a scrape has told, as prometheus_client's own parser reads it."""

    def __init__(self, text: str) -> None:
        self.families = {one.name: one for one in text_string_to_metric_families(text)}
        self._values: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        for family in self.families.values():
            for sample in family.samples:
                key = sample.name.removeprefix("cbox_init_"), frozenset(sample.labels.items())
                assert key not in self._values, f"{key} is there twice"
                self._values[key] = sample.value

    def of(self, name: str, /, **labels: str) -> float | None:
        """The value of one time series, None when there is none."""
        return self._values.get((name, frozenset(labels.items())))

    def labels(self, name: str) -> list[dict[str, str]]:
        """The labels of all time series of a name, without the prefix."""
        return [dict(labels) for found, labels in self._values if found == name]


class Scraped:
    """The supervisor, the port and its server."""

    def __init__(self, build: Build, processes: str, more: str, settings: dict[str, str]) -> None:
        self.port = free_port()
        chosen = {
            "metrics_enabled": "true",
            "metrics_host": "127.0.0.1",
            "metrics_port": str(self.port),
            **settings,
        }
        keys = "".join(f"  {key}: {value}\n" for key, value in chosen.items())
        self.house: House = build(f"global:\n{keys}{more}\nprocesses:{processes}")
        self.server = MetricsServer.bind(self.house.supervisor.config.global_)

    async def serve(self) -> None:
        await self.server.serve(asyncio.get_running_loop(), self.house.parts, Vitals())

    async def ask(self, request: bytes) -> Reply:
        """The answer to the bytes of a request, which ends the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(request)
            answer = await asyncio.wait_for(reader.read(), DEADLINE_S)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        head, _, body = answer.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        return Reply(int(first.split()[1]), dict(line.split(": ") for line in lines), body)

    async def get(self, path: str = "/metrics", accept: str | None = None) -> Reply:
        header = "" if accept is None else f"accept: {accept}\r\n"
        return await self.ask(f"GET {path} HTTP/1.1\r\nhost: x\r\n{header}\r\n".encode())

    async def samples(self) -> Samples:
        """What a scrape tells now."""
        reply = await self.get()
        assert reply.status == 200
        return Samples(reply.body.decode())

    async def until(self, condition: Callable[[Samples], object]) -> Samples:
        """Scrape until ``condition`` holds; gives that scrape."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                samples = await self.samples()
                if condition(samples):
                    return samples
                await asyncio.sleep(0.01)


class Scrape(Protocol):
    async def __call__(self, processes: str, *, more: str = "", **settings: str) -> Scraped: ...
