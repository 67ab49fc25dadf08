"""The client for asynchronous code."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar, Unpack

from cbox_init.client import calls
from cbox_init.client.address import ClientSettings, ClientTls
from cbox_init.client.answers import read_answer
from cbox_init.client.stream import AsyncEventStream, AsyncLiveStream, AsyncLogStream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
    from types import TracebackType

    from cbox_init.client.calls import Call, StreamFilters
    from cbox_init.client.httpx_transport import AsyncHttpxTransport

_Parameters = ParamSpec("_Parameters")
_Reply = TypeVar("_Reply")


def _method(
    call: Callable[_Parameters, Call[_Reply]],
) -> Callable[Concatenate[AsyncClient, _Parameters], Coroutine[Any, Any, _Reply]]:
    """A method that sends a call: the same parameters, and the reply as its result."""

    async def method(self: AsyncClient, /, *args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Reply:
        return await self.send(call(*args, **kwargs))

    calls.document(method, call)
    return method


class AsyncClient:
    """Talks to one daemon. Made by ``connect``; close it, or use it as an asynchronous context manager:

        async with AsyncClient.connect() as client:
            for process in await client.processes():
                print(process.name, process.state)

    The methods are those of ``calls``. Each raises DaemonUnreachable when no answer comes, or not in time,
    and ApiError when the daemon refuses or the server is not cbox-init. The message is one line that says
    how to fix it.
    """

    def __init__(self, transport: AsyncHttpxTransport) -> None:
        self._transport = transport

    @classmethod
    def connect(
        cls,
        url: str | None = None,
        socket: str | None = None,
        token: str | None = None,
        *,
        timeout_s: float = 10.0,
        tls: ClientTls = ClientTls(),  # noqa: B008
    ) -> Self:
        """A client for the daemon at ``url`` or on the Unix socket ``socket``; by default it is searched for.

        The places are CBOX_INIT_API_SOCKET, /var/run/cbox-init.sock, /tmp/cbox-init.sock,
        /run/cbox-init.sock, /dev/shm/cbox-init.sock and http://localhost:9180. The token, from the
        argument or from CBOX_INIT_API_AUTH, is sent only over TCP. ``timeout_s`` limits each wait, in
        seconds. ``tls`` has the files for an https URL; CBOX_INIT_API_CA, CBOX_INIT_API_CERT and
        CBOX_INIT_API_KEY name those that it does not. Proxies of the environment are not used. Raises
        ClientError for an invalid URL, token or file, and DaemonUnreachable when nothing listens on
        ``socket``.
        """
        from cbox_init.client.httpx_transport import AsyncHttpxTransport

        return cls(AsyncHttpxTransport(ClientSettings.of(url, socket, token, timeout_s, tls)))

    @property
    def address(self) -> str:
        """The URL or the path of the socket of the daemon."""
        return str(self._transport.settings.address)

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def send(self, call: Call[_Reply]) -> _Reply:
        """Send one of ``calls``."""
        answer = await self._transport.send(call)
        return read_answer(call, answer.status, answer.body, self._transport.settings.address)

    health = _method(calls.health)
    openapi = _method(calls.openapi)
    readiness = _method(calls.readiness)
    daemon = _method(calls.daemon)
    whoami = _method(calls.whoami)
    processes = _method(calls.processes)
    status = _method(calls.status)
    process = _method(calls.process)
    start = _method(calls.start)
    stop = _method(calls.stop)
    restart = _method(calls.restart)
    signal = _method(calls.signal)
    stop_instance = _method(calls.stop_instance)
    restart_instance = _method(calls.restart_instance)
    signal_instance = _method(calls.signal_instance)
    act = _method(calls.act)
    scale = _method(calls.scale)
    scale_by = _method(calls.scale_by)
    change = _method(calls.change)
    changes = _method(calls.changes)
    abandon_change = _method(calls.abandon_change)
    schedule = _method(calls.schedule)
    schedule_history = _method(calls.schedule_history)
    upcoming_runs = _method(calls.upcoming_runs)
    oneshot_history = _method(calls.oneshot_history)
    metrics_history = _method(calls.metrics_history)
    pause = _method(calls.pause)
    resume = _method(calls.resume)
    trigger = _method(calls.trigger)
    trigger_and_wait = _method(calls.trigger_and_wait)
    add_process = _method(calls.add_process)
    update_process = _method(calls.update_process)
    remove_process = _method(calls.remove_process)
    reload_config = _method(calls.reload_config)
    save_config = _method(calls.save_config)
    shutdown = _method(calls.shutdown)
    config = _method(calls.config)
    validate_process = _method(calls.validate_process)
    validate_config = _method(calls.validate_config)
    login_code = _method(calls.login_code)
    begin_session = _method(calls.begin_session)
    end_session = _method(calls.end_session)
    logs = _method(calls.logs)
    log_outputs = _method(calls.log_outputs)
    notifications = _method(calls.notifications)
    test_notification = _method(calls.test_notification)
    process_events = _method(calls.process_events)
    next_events = _method(calls.next_events)

    @asynccontextmanager
    async def follow(
        self,
        *names: str,
        tail: int | None = None,
        last_event_id: str | None = None,
        **filters: Unpack[StreamFilters],
    ) -> AsyncIterator[AsyncLogStream]:
        """New log lines of the named processes, or of all, from now on.

            async with client.follow("web", tail=10) as records:
                async for record in records: ...

        ``tail`` (0 to 10000) yields the last lines first, ``since`` those since a time. After a stream broke,
        another one can continue with its ``records.last_event_id``. The filters are those of ``logs``
        without ``until``. A MissedEvent among the records stands where lines are missing. The iteration ends
        when the daemon ends the stream, and raises DaemonUnreachable when it breaks.
        """
        path = calls.log_stream(names, tail, last_event_id, filters)
        async with self._transport.stream(path) as events:
            yield AsyncLogStream(events, last_event_id)

    @asynccontextmanager
    async def events(
        self,
        *names: str,
        tail: int | None = None,
        since: str | float | None = None,
        kind: str | Sequence[str] = (),
        last_event_id: str | None = None,
    ) -> AsyncIterator[AsyncEventStream]:
        """Events of the named processes (also patterns such as "queue-*"), or of all and of the daemon.

            async with client.events("web", kind="instance.*") as events:
                async for event in events: ...

        They come from now on, after ``tail`` (0 to 10000) earlier ones, or those since a time or an id. After
        a stream broke, another one can continue with its ``events.last_event_id``. MissedEvents stands where
        events are missing. The iteration ends when the daemon ends the stream, and raises DaemonUnreachable
        when it breaks.
        """
        path = calls.event_stream(names, tail, since, kind, last_event_id)
        async with self._transport.stream(path) as events:
            yield AsyncEventStream(events, last_event_id)

    @asynccontextmanager
    async def live(self, *, interval_s: int = 2) -> AsyncIterator[AsyncLiveStream]:
        """The state of the daemon and of its processes, and how it changes.

            async with client.live() as messages:
                async for message in messages: ...

        The first message is a LiveSnapshot, which has everything. LiveProcesses has what has changed, and
        LiveFigures, each ``interval_s`` (1 to 60) seconds, what is used. A later LiveSnapshot takes the place
        of all before it; so does that of another stream, after this one has ended or broken. `LiveState`
        takes them in. The iteration ends when the daemon ends the stream, and raises DaemonUnreachable when
        it breaks.
        """
        async with self._transport.stream(calls.live_stream(interval_s)) as events:
            yield AsyncLiveStream(events)
