"""A web server as people run them in containers: answers on $PORT, and ends what it has begun on SIGTERM."""

from __future__ import annotations

import asyncio
import os
import signal

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"


async def main() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    open_: set[asyncio.Task[None]] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        open_.add(task)
        task.add_done_callback(open_.discard)
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(ANSWER)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", int(os.environ["PORT"]))
    await stop.wait()
    server.close()
    while open_:
        await asyncio.wait(open_)


asyncio.run(main())
