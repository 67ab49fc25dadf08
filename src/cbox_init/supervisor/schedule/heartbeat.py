"""Sends HTTP requests (pings) that report the runs of scheduled processes to a monitoring service.

They are sent from threads: the library takes 100 ms to import, a name can take a minute to resolve, and a
server may accept and never answer. Neither the event loop nor the end of the daemon waits for them.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from cbox_init.supervisor.run_queue import RETRY_S
from cbox_init.threads import NoThreadError, start_thread

if TYPE_CHECKING:
    import httpx

    from cbox_init.config.model import HeartbeatConfig, Secret
    from cbox_init.logs.daemon import DaemonLog
    from cbox_init.supervisor.run_queue import RunQueue
    from cbox_init.telemetry.counters import Counters

#: Threads at most. A server that never answers delays the pings of one process, and keeps one thread busy.
_MOST_THREADS: Final = 8
#: Pings of one process that wait at most; when another is added the oldest is dropped.
_MOST_WAITING: Final = 20
_MOST_REDIRECTS: Final = 5
#: Statuses after which another try may succeed, beside all of 500 and above.
_TRY_AGAIN: Final = frozenset({408, 425, 429})


class Ping(Struct, frozen=True):
    """One request to send. ``key`` is the key of the configuration that has the URL."""

    process: str
    key: str
    url: Secret
    config: HeartbeatConfig


class Heartbeat:
    """Queues the pings of one process, as its configuration says."""

    def __init__(self, process: str, config: HeartbeatConfig, sender: HeartbeatSender) -> None:
        self._process = process
        self._config = config
        self._sender = sender

    def started(self) -> None:
        """A run begins."""
        self._ping("start_url", self._config.start_url)

    def ended(self, *, success: bool) -> None:
        """A run is over."""
        self._ping("url", self._config.url)
        if success:
            self._ping("success_url", self._config.success_url)
        else:
            self._ping("failure_url", self._config.failure_url)

    def _ping(self, key: str, url: Secret | None) -> None:
        if url:
            self._sender.send(Ping(self._process, key, url, self._config))


class HeartbeatSender:
    """Sends the pings of all processes: those of one process in their order, of several at the same time.

    A ping that fails is tried again, then logged as lost, without its URL and headers, which may be secret.
    Until the first ping there is no thread, and nothing is imported. ``close`` it at the end.
    """

    def __init__(self, log: DaemonLog, run_queue: RunQueue, counters: Counters | None = None) -> None:
        self._counters = counters
        self._log = log
        self._run_queue = run_queue
        self._changed = threading.Condition()
        self._waiting: dict[str, deque[Ping]] = {}
        self._ready: deque[str] = deque()
        self._busy = 0
        self._threads = 0
        self._closing = False
        self._complained = False
        self._client: httpx.Client | None = None

    def send(self, ping: Ping) -> None:
        """Queue a ping; returns at once."""
        with self._changed:
            lane = self._waiting.get(ping.process)
            if lane is None:
                lane = self._waiting[ping.process] = deque()
                self._ready.append(ping.process)
            lane.append(ping)
            dropped = lane.popleft() if len(lane) > _MOST_WAITING else None
            if self._threads - self._busy < len(self._ready) and self._threads < _MOST_THREADS:
                self._start_thread()
            if not self._threads:
                self._run_queue.wake(self)
            self._changed.notify_all()
        if dropped is not None:
            self._tell_lost(dropped, "too many wait to be sent")

    def close(self, timeout_s: float) -> None:
        """Wait, at most ``timeout_s``, until all are sent; no failed ping is tried again. Blocks."""
        with self._changed:
            self._closing = True
            if self._waiting and not self._threads:
                self._start_thread()
            self._changed.notify_all()
            if not self._changed.wait_for(lambda: not self._waiting, timeout_s):
                names = ", ".join(self._waiting)
                self._log.warn("Heartbeats are left unsent", error=f"no time for those of {names}")

    def _start_thread(self) -> None:
        """Start one more thread. If that fails, what waits is sent by another, or `reconcile` tries again."""
        try:
            start_thread(self._work, name="heartbeat", failed=self._failed)
        except NoThreadError as error:
            if not self._threads and not self._complained:
                self._complained = True
                self._log.warn("Heartbeats wait", error=error.strerror)
        else:
            self._threads += 1
            self._complained = False

    def reconcile(self, stop_at: float) -> float | None:
        """Try again to start a thread, if pings wait and there was none for them."""
        with self._changed:
            if self._threads or self._closing or not self._ready:
                return None
            self._start_thread()
            return None if self._threads else time.monotonic() + RETRY_S

    # -- in the threads --------------------------------------------------------------------------------

    def _work(self) -> None:
        while (process := self._take()) is not None:
            while (ping := self._next_of(process)) is not None:
                try:
                    self._deliver(ping)
                except Exception as error:  # noqa: BLE001  # it concerns this ping alone
                    self._tell_lost(ping, f"unexpected: {error!r}")

    def _failed(self, error: Exception) -> None:
        """A thread has ended by an unexpected error."""
        with self._changed:
            self._threads -= 1
        self._log.error("Unexpected failure while sending heartbeats", error=repr(error))

    def _take(self) -> str | None:
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._closing)
            if not self._ready:
                self._threads -= 1
                return None
            self._busy += 1
            return self._ready.popleft()

    def _next_of(self, process: str) -> Ping | None:
        with self._changed:
            lane = self._waiting[process]
            if lane:
                return lane.popleft()
            del self._waiting[process]
            self._busy -= 1
            self._changed.notify_all()
            return None

    def _deliver(self, ping: Ping) -> None:
        tries = 1 + ping.config.retry_count
        for attempt in range(1, tries + 1):
            try:
                problem, again = _ask(self._client_for_all(), ping)
            except Exception as error:  # noqa: BLE001  # whatever the library raises, it is only logged
                problem, again = _describe(error, ping), True
            if problem is None:
                if self._counters is not None:
                    self._counters.pinged(ping.process, time.time())
                return
            if attempt == tries or not again or self._pause(ping.config.retry_delay):
                self._tell_lost(ping, f"{problem} ({attempt} tries)" if attempt > 1 else problem)
                return

    def _pause(self, seconds: float) -> bool:
        """Wait before the next try. Returns whether the daemon began to end meanwhile."""
        with self._changed:
            return bool(self._changed.wait_for(lambda: self._closing, seconds))

    def _client_for_all(self) -> httpx.Client:
        with self._changed:
            if self._client is not None:
                return self._client
        import httpx

        from cbox_init import __version__

        client = httpx.Client(
            headers={"User-Agent": f"cbox-init/{__version__}"},
            limits=httpx.Limits(max_keepalive_connections=0),
        )
        with self._changed:
            self._client = self._client or client
            return self._client

    def _tell_lost(self, ping: Ping, problem: str) -> None:
        if self._counters is not None:
            self._counters.pinged(ping.process, None)
        self._log.warn(
            "Heartbeat could not be delivered", process=ping.process, error=f"heartbeat.{ping.key}: {problem}"
        )


def _ask(client: httpx.Client, ping: Ping) -> tuple[str | None, bool]:
    """Send a ping once. Returns what went wrong (None for success), and whether another try may succeed.

    Only the head of the answer is read. Headers of the configuration may be keys, so they are not sent to
    another server after a redirect.
    """
    config = ping.config
    own = {name: value.reveal() for name, value in config.headers.items()}
    request = client.build_request(config.method, ping.url.reveal(), headers=own, timeout=config.timeout)
    host = request.url.host
    until = time.monotonic() + config.timeout
    for _ in range(1 + _MOST_REDIRECTS):
        response = client.send(request, stream=True)
        response.close()
        status = response.status_code
        if response.next_request is None:
            break
        if time.monotonic() >= until:
            return f"no answer within {config.timeout:g} s, but redirects", True
        request = response.next_request
        if request.url.host != host:
            for name in own:
                request.headers.pop(name, None)
    else:
        return f"redirected more than {_MOST_REDIRECTS} times", False
    if response.is_success:
        return None, False
    return f"answered with {status}", status >= 500 or status in _TRY_AGAIN


def _describe(error: Exception, ping: Ping) -> str:
    import httpx

    if isinstance(error, httpx.TimeoutException):
        return f"no answer within {ping.config.timeout:g} s"
    text = str(error).replace(ping.url.reveal(), "its URL")
    return text or type(error).__name__
