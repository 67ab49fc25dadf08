"""The client for ordinary code."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Self, TypeVar, Unpack

from cbox_init.client import calls
from cbox_init.client.answers import check_event_stream, read_answer, refusal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

    import httpx

    from cbox_init.api.schemas import (
        ActionReply,
        DaemonEntry,
        EditReply,
        Health,
        LogList,
        LogOutputs,
        OneshotHistory,
        ProcessDetail,
        ProcessEntry,
        ReloadReply,
        SavedReply,
        ScaledReply,
        ScaleReply,
        ScheduleDetail,
        ScheduleHistory,
        ScheduleReply,
        TriggerReply,
    )
    from cbox_init.client.calls import Call, LogFilters, Order, StreamFilters
    from cbox_init.client.settings import Settings
    from cbox_init.client.stream import LogStream

_Reply = TypeVar("_Reply")


class Client:
    """Speaks to one daemon. Made by ``connect``; close it, or use it as a context manager:

        with Client.connect() as client:
            for process in client.processes():
                print(process.name, process.state)

    Every method raises DaemonUnreachable when nothing answers, or not in time, and ApiError when the daemon
    refuses or what answers is no cbox-init. Their texts are one line that says what to do.
    """

    def __init__(self, settings: Settings, http: httpx.Client) -> None:
        self._settings = settings
        self._http = http

    @classmethod
    def connect(
        cls,
        url: str | None = None,
        socket: str | None = None,
        token: str | None = None,
        *,
        timeout_s: float = 10.0,
    ) -> Self:
        """A client for the daemon at ``url`` or on the Unix socket ``socket``; without both it is looked for.

        The places are CBOX_INIT_API_SOCKET, /var/run/cbox-init.sock, /tmp/cbox-init.sock,
        /run/cbox-init.sock and http://localhost:9180. The token, from the argument or from
        CBOX_INIT_API_AUTH, is sent over TCP alone. ``timeout_s`` limits each wait for the daemon, in
        seconds. Proxies of the environment are not used. Raises ClientError for a URL or a token that
        cannot be one, and DaemonUnreachable when nothing listens on ``socket``.
        """
        import httpx

        from cbox_init.client.settings import Settings

        settings = Settings.of(url, socket, token, timeout_s)
        transport = httpx.HTTPTransport(
            verify=settings.verify(), uds=settings.address.socket, trust_env=False
        )
        http = httpx.Client(
            transport=transport,
            base_url=settings.address.url,
            headers=settings.headers,
            timeout=settings.timeout(),
            trust_env=False,
        )
        return cls(settings, http)

    @property
    def address(self) -> str:
        """The URL or the path of the socket that this client speaks to."""
        return str(self._settings.address)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def health(self) -> Health:
        """Whether the API answers. Needs no token."""
        return self._send(calls.health())

    def openapi(self) -> dict[str, object]:
        """The OpenAPI document of the API."""
        return self._send(calls.openapi())

    def daemon(self) -> DaemonEntry:
        """The daemon itself: its version and age, what it uses, how its event loop does, what it counts."""
        return self._send(calls.daemon())

    def processes(self) -> tuple[ProcessEntry, ...]:
        """All processes with their instances, in the order of the configuration file."""
        return (self._send(calls.processes())).processes

    def status(self, name: str) -> ProcessEntry:
        """One process with its instances. Raises UnknownProcess."""
        return calls.entry_of(name, self.processes())

    def process(self, name: str) -> ProcessDetail:
        """The configuration of one process, secrets masked."""
        return self._send(calls.process(name))

    def start(self, name: str) -> ActionReply:
        """Have the process run. Returns when the daemon has taken the command, not when done."""
        return self._send(calls.act(name, "start"))

    def stop(self, name: str) -> ActionReply:
        """Have every instance stopped. Returns when the daemon has taken the command, not when done."""
        return self._send(calls.act(name, "stop"))

    def restart(self, name: str) -> ActionReply:
        """Have every instance replaced. Returns when the daemon has taken the command, not when done."""
        return self._send(calls.act(name, "restart"))

    def scale(self, name: str, count: int) -> ScaleReply:
        """Have ``count`` instances. Returns when the daemon has taken the command, not when done."""
        return self._send(calls.scale(name, count))

    def scale_by(self, name: str, delta: int, *, timeout_s: float = 120.0) -> ScaledReply:
        """Have ``delta`` instances more, or fewer; not below 0. Returns when that is done.

        The daemon adds to the number that it has, so two callers at once both count. After ``timeout_s``
        DaemonUnreachable is raised; the command stands all the same.
        """
        return self._send(calls.scale_by(name, delta), timeout_s)

    def schedule(self, name: str) -> ScheduleDetail:
        """The schedule of a process with its figures."""
        return self._send(calls.schedule(name))

    def schedule_history(self, name: str, *, limit: int = 100) -> ScheduleHistory:
        """The last ``limit`` (1 to 10000) runs of a scheduled process that are over, newest first."""
        return self._send(calls.schedule_history(name, limit))

    def oneshot_history(self, name: str | None = None, *, limit: int = 100) -> OneshotHistory:
        """The last ``limit`` (1 to 10000) executions of oneshots, newest first; of one process, or of all."""
        return self._send(calls.oneshot_history(name, limit))

    def pause(self, name: str) -> ScheduleReply:
        """Have no run of a scheduled process begin until it is resumed."""
        return self._send(calls.act_on_schedule(name, "pause"))

    def resume(self, name: str) -> ScheduleReply:
        """Have a scheduled process run at its times again."""
        return self._send(calls.act_on_schedule(name, "resume"))

    def trigger(self, name: str) -> ScheduleReply:
        """Have a scheduled process run now. Returns when the daemon has taken the command, not when done."""
        return self._send(calls.act_on_schedule(name, "trigger"))

    def trigger_and_wait(self, name: str) -> TriggerReply:
        """Have a scheduled process run now, and wait for its end, for at most 5 minutes.

        After those ``status`` is "triggered" and there is no ``exit_code``; the run goes on.
        """
        return self._send(calls.trigger_and_wait(name), calls.LONGEST_SYNC_S + 10.0)

    def add_process(self, name: str, process: Mapping[str, object]) -> EditReply:
        """Add a process with these keys, as in the file; it is started unless they say otherwise.

        An ApiError with status 422 has every problem in ``details``.
        """
        return self._send(calls.add_process(name, process))

    def update_process(self, name: str, process: Mapping[str, object]) -> EditReply:
        """Give a process these keys in place of all that it has; it alone is restarted, if it must be."""
        return self._send(calls.update_process(name, process))

    def remove_process(self, name: str, *, timeout_s: float = 120.0) -> EditReply:
        """Stop a process and forget it. Returns when nothing of it is left."""
        return self._send(calls.remove_process(name), timeout_s)

    def reload_config(self, *, dry_run: bool = False, timeout_s: float = 60.0) -> ReloadReply:
        """Have the file read again, and what differs changed; with ``dry_run`` only tell what that would be.

        An ApiError with status 422 has every problem of the file in ``details``; nothing has changed then.
        """
        return self._send(calls.reload_config(dry_run), timeout_s)

    def save_config(self, *, timeout_s: float = 60.0) -> SavedReply:
        """Have what was changed through the API written to the configuration file."""
        return self._send(calls.save_config(), timeout_s)

    def logs(
        self, *names: str, limit: int = 100, order: Order = "desc", **filters: Unpack[LogFilters]
    ) -> LogList:
        """The last ``limit`` (1 to 10000) log lines of the named processes together, or of all.

        ``order`` is newest first ("desc") or oldest first ("asc"). The filters are ``level``, ``stream``,
        ``instance``, ``since``, ``until``, ``grep`` and ``ignore_case``, as for the API.
        """
        return self._send(calls.logs(names, limit, order, filters))

    def log_outputs(self) -> LogOutputs:
        """Where log records go, standard output first, and how many were written, dropped, or wait."""
        return self._send(calls.log_outputs())

    @contextmanager
    def follow(
        self,
        *names: str,
        tail: int | None = None,
        last_event_id: str | None = None,
        **filters: Unpack[StreamFilters],
    ) -> Iterator[LogStream]:
        """New log lines of the named processes, or of all, from the moment of entering on.

            with client.follow("web", tail=10) as records:
                for record in records: ...

        ``tail`` (0 to 10000) has the last lines come first, ``since`` those from a time on. Where a stream
        broke another one goes on with its ``records.last_event_id``. The filters are those of ``logs``
        without ``until``. A MissedEvent among the records stands where lines are missing. The iteration ends
        when the daemon ends the stream, and raises DaemonUnreachable when it breaks.
        """
        from cbox_init.client.failures import translated
        from cbox_init.client.stream import SILENCE_S, LogStream

        address = self._settings.address
        request = self._http.build_request(
            "GET",
            calls.log_stream(names, tail, last_event_id, filters),
            headers={"Accept": "text/event-stream"},
            timeout=self._settings.timeout(SILENCE_S),
        )
        with translated(address):
            response = self._http.send(request, stream=True)
        try:
            if response.status_code != 200:
                with translated(address):
                    response.read()
                raise refusal(response.status_code, response.content, address)
            check_event_stream(response.headers.get("Content-Type", ""), address)
            yield LogStream(response.iter_bytes(), address, last_event_id)
        finally:
            response.close()

    def _send(self, call: Call[_Reply], timeout_s: float | None = None) -> _Reply:
        from cbox_init.client.failures import translated

        settings = self._settings
        with translated(settings.address):
            response = self._http.request(
                call.method,
                call.path,
                content=call.body,
                headers=call.headers(),
                timeout=settings.timeout(timeout_s),
            )
        return read_answer(response.status_code, response.content, call.reply, settings.address)
