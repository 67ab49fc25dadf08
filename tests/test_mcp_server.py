"""``cbox-init mcp`` as an assistant uses it: the official client, over standard input and output."""

from __future__ import annotations

import json
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

from cbox_init.mcp_server import LONGEST_MESSAGE, MOST_LINES
from tests.e2e.daemon import DaemonProcess, wait_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

_CONFIG = """
global: {api_socket: SOCKET}
processes:
  web: {command: [sh, -c, "echo ready; echo trouble >&2; exec sleep 1000"], max_scale: 3}
  long: {command: [sh, -c, "head -c 5000 /dev/zero | tr '\\\\0' x; echo; exec sleep 1000"]}
  broken: {command: [sh, -c, "echo why; exit 3"], restart: never}
  job: {command: ["true"], schedule: "0 0 1 1 *"}
"""
_READING = {"list_processes", "process_status", "daemon_status", "logs", "history", "change_status"}
_WRITING = {"start_process", "stop_process", "restart_process", "scale_process", "trigger_run"}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    daemon = DaemonProcess(tmp_path_factory.mktemp("mcp"), _CONFIG)
    try:
        wait_for(lambda: "is not restarted" in daemon.output(), "broken has failed")
        wait_for(lambda: len(daemon.lines("web")) == 2 and daemon.lines("long"), "they have spoken")
        yield daemon
    finally:
        daemon.end()


@asynccontextmanager
async def session(socket: object, *options: str) -> AsyncIterator[ClientSession]:
    arguments = ["-m", "cbox_init", "mcp", "--socket", str(socket), *options]
    server = StdioServerParameters(command=sys.executable, args=arguments)
    async with stdio_client(server) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        yield session


async def call(session: ClientSession, tool: str, **arguments: object) -> Any:
    result = await session.call_tool(tool, arguments)
    text = result.content[0].text  # type: ignore[union-attr]
    return (
        f"error: {text.removeprefix(f'Error executing tool {tool}: ')}"
        if result.is_error
        else json.loads(text)
    )


async def test_it_reads_and_cannot_write(daemon: DaemonProcess) -> None:
    async with session(daemon.socket) as assistant:
        tools = {tool.name: tool for tool in (await assistant.list_tools()).tools}
        assert set(tools) == _READING
        assert all(tool.annotations and tool.annotations.read_only_hint for tool in tools.values())
        assert all(tool.description for tool in tools.values())
        processes = (await call(assistant, "list_processes"))["processes"]
        assert [(one["name"], one["state"], one["wanted_instances"]) for one in processes] == [
            ("web", "running", 1),
            ("long", "running", 1),
            ("broken", "failed", 1),
            ("job", "scheduled", 0),
        ]
        status = await call(assistant, "process_status", name="broken")
        assert status["instances"][0]["exit_code"] == 3
        assert status["instances"][0]["last_output"] == ["why"]
        assert (await call(assistant, "daemon_status"))["counts"]["processes"] == 4
        lines = (await call(assistant, "logs", name="web"))["lines"]
        assert sorted(line.split()[1:] for line in lines) == [
            ["web-0", "INFO", "ready"],
            ["web-0", "INFO", "trouble"],
        ]
        assert len((await call(assistant, "logs", grep="trou"))["lines"]) == 1
        assert (await call(assistant, "logs", level="error"))["lines"] == []
        (line,) = (await call(assistant, "logs", name="long"))["lines"]
        assert len(line) < LONGEST_MESSAGE + 100
        assert line.endswith("x… (3000 characters more)")
        assert (await call(assistant, "history", name="job"))["history"] == []
        assert "Unknown tool" in await call(assistant, "stop_process", name="web")


async def test_errors_are_answers(daemon: DaemonProcess) -> None:
    async with session(daemon.socket) as assistant:
        assert (
            await call(assistant, "process_status", name="wep")
            == "error: process not found: wep; list_processes has the names"
        )
        assert "500" in await call(assistant, "logs", limit=MOST_LINES + 1)
        assert (await call(assistant, "logs", since="yesterday")).startswith("error: since must be")
        assert len((await call(assistant, "list_processes"))["processes"]) == 4


async def test_with_write_it_acts(daemon: DaemonProcess) -> None:
    async with session(daemon.socket, "--write") as assistant:
        tools = {tool.name: tool.annotations for tool in (await assistant.list_tools()).tools}
        assert set(tools) == _READING | _WRITING
        interrupting = {name for name, hints in tools.items() if hints and hints.destructive_hint}
        assert interrupting == {"stop_process", "restart_process"}
        reply = await call(assistant, "scale_process", name="web", count=2)
        assert (reply["process"], reply["scale"], reply["status"]) == ("web", 2, "done")
        again = await call(assistant, "change_status", change=reply["change"])
        assert (again["kind"], again["progress"]) == ("scale", {"done": 2, "total": 2})
        wait_for(lambda: len(daemon.lines("web")) == 4, "the second one has spoken")
        refused = await call(assistant, "scale_process", name="web", count=9)
        assert refused.startswith("error: ")
        assert "max_scale" in refused
        await call(assistant, "trigger_run", name="job")
        await call(assistant, "stop_process", name="web")
        await call(assistant, "start_process", name="web")
        await call(assistant, "restart_process", name="long")


async def test_a_daemon_that_is_not_there(daemon: DaemonProcess) -> None:
    """The server goes on: the daemon may come later."""
    async with session(f"{daemon.socket}.none") as assistant:
        for _ in range(2):
            assert (await call(assistant, "list_processes")).startswith("error: no daemon ")
