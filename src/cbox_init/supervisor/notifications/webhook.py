"""Sends messages as HTTP requests, each from a thread: a name may hang, a server may never answer.

Redirects are not followed: a request with a body and keys goes where the configuration says, and nowhere
else. Of an answer the head is read, and a few bytes of the body when it says what is wrong.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from cbox_init.config.notification_templates import PAGERDUTY_URL
from cbox_init.config.small_file import SmallFileError, read_small_file
from cbox_init.sensitive import MASK
from cbox_init.supervisor.notifications.bodies import MessageTooLargeError, render
from cbox_init.supervisor.notifications.outcome import DeliveryOutcome
from cbox_init.threads import NoThreadError, begin_in_thread

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Callable

    import httpx

    from cbox_init.config.model import NotificationConfig, WebhookConfig
    from cbox_init.supervisor.notifications.bodies import Sender
    from cbox_init.supervisor.notifications.messages import Message

_MOST_OF_SECRET: Final = 16 * 1024
_MOST_OF_ANSWER: Final = 300
_MOST_CHUNKS: Final = 10
#: Threads of one notification that may hang; a further request waits until one has ended.
_MOST_STUCK: Final = 2
#: The longest wait that a server can ask for.
_LONGEST_WAIT_S: Final = 300.0
#: Statuses after which another try may succeed, beside all of 500 and above.
_TRY_AGAIN: Final = frozenset((408, 425, 429))
#: Parts of a URL that are this long may be keys.
_SHORTEST_KEY: Final = 8


class _UnusableError(Exception):
    """A request that cannot be made; another try would not help unless a file has changed."""


class WebhookSender:
    """Sends the messages of one notification. The library is imported with the first."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._lock = Lock()
        self._client: httpx.Client | None = None
        self._threads = 0

    def send(
        self, message: Message, config: NotificationConfig, on_over: Callable[[DeliveryOutcome], None]
    ) -> WebhookDelivery | None:
        """Begin one try; None when it could not begin, which ``on_over`` is called for at once."""
        assert config.webhook is not None
        if self._threads >= _MOST_STUCK:
            on_over(DeliveryOutcome("earlier requests hang", again=True))
            return None
        delivery = WebhookDelivery(on_over)
        work = _Request(self, delivery, message, config.webhook, config.timeout)
        try:
            future = begin_in_thread(work.run, name="notification")
        except NoThreadError as error:
            on_over(DeliveryOutcome(str(error.strerror), again=True))
            return None
        self._threads += 1
        future.add_done_callback(self._thread_ended)
        future.add_done_callback(delivery.ended)
        return delivery

    def _thread_ended(self, future: Future[DeliveryOutcome]) -> None:
        self._threads -= 1

    def client(self) -> httpx.Client:
        """The client of the library, for any thread. Takes 100 ms the first time."""
        with self._lock:
            if self._client is None:
                import httpx

                from cbox_init import __version__

                self._client = httpx.Client(
                    headers={"User-Agent": f"cbox-init/{__version__}", "Accept-Encoding": "identity"},
                    limits=httpx.Limits(max_keepalive_connections=0),
                    follow_redirects=False,
                )
            return self._client

    def rendered_by(self) -> Sender:
        return self._sender


class WebhookDelivery:
    """One request, under way. ``abort`` also ends one whose server sends a byte now and then for ever."""

    def __init__(self, on_over: Callable[[DeliveryOutcome], None]) -> None:
        self._on_over: Callable[[DeliveryOutcome], None] | None = on_over
        self._lock = Lock()
        self._socket: socket.socket | None = None
        self._aborted = False

    def abort(self) -> None:
        """End the connection, if there is one; the thread ends by that."""
        self._on_over = None
        with self._lock:
            self._aborted = True
            if self._socket is not None:
                with suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)

    def ended(self, future: Future[DeliveryOutcome]) -> None:
        """Take in the end of the thread's work, in the loop."""
        on_over, self._on_over = self._on_over, None
        if on_over is None or future.cancelled():
            return
        error = future.exception()
        on_over(future.result() if error is None else DeliveryOutcome(f"unexpected: {error!r}"))

    def trace(self, event: str, info: dict[str, object]) -> None:
        """Remember the connection, for ``abort``. Called by the library in the thread."""
        if event != "connection.connect_tcp.complete":
            return
        stream = info.get("return_value")
        found = stream.get_extra_info("socket") if hasattr(stream, "get_extra_info") else None
        if not isinstance(found, socket.socket):
            return
        with self._lock:
            self.forget()
            # A descriptor of its own: TLS takes the first one over, and closes it.
            self._socket = socket.socket(fileno=os.dup(found.fileno()))
            if self._aborted:
                self._socket.shutdown(socket.SHUT_RDWR)

    def forget(self) -> None:
        """Close the descriptor of the connection. The lock is held, or the thread is over."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def release(self) -> None:
        with self._lock:
            self.forget()


class _Request:
    """The work of the thread for one try."""

    def __init__(
        self,
        owner: WebhookSender,
        delivery: WebhookDelivery,
        message: Message,
        webhook: WebhookConfig,
        timeout_s: float,
    ) -> None:
        self._owner = owner
        self._delivery = delivery
        self._message = message
        self._webhook = webhook
        self._timeout_s = timeout_s
        self._secrets: list[str] = []

    def run(self) -> DeliveryOutcome:
        try:
            return self._send()
        except (_UnusableError, MessageTooLargeError) as error:
            return DeliveryOutcome(self._shown(str(error)))
        except SmallFileError as error:
            return DeliveryOutcome(error.message, again=True)
        except Exception as error:  # noqa: BLE001  # whatever the library raises, it is only logged
            return DeliveryOutcome(self._described(error), again=True)
        finally:
            self._delivery.release()

    def _send(self) -> DeliveryOutcome:
        webhook = self._webhook
        url = self._secret("url", webhook.url.reveal() if webhook.url else None, webhook.url_file)
        url = url or PAGERDUTY_URL
        key = webhook.routing_key.reveal() if webhook.routing_key else None
        routing_key = self._secret("routing_key", key, webhook.routing_key_file)
        if not url.lower().startswith(("http://", "https://")) or not urlsplit(url).hostname:
            raise _UnusableError("webhook.url is not an HTTP URL")
        self._secrets += sorted(_parts_of(url), key=len, reverse=True)
        headers = {name: value.reveal() for name, value in webhook.headers.items()}
        self._secrets += headers.values()
        for name, file in webhook.header_files.items():
            headers[name] = self._secret(f"header_files.{name}", None, file)
        made = render(self._message, self._owner.rendered_by(), webhook.template, url, routing_key)
        client = self._owner.client()
        if not any(name.lower() == "content-type" for name in headers):
            headers["Content-Type"] = made.content_type
        request = client.build_request(
            "POST",
            made.url,
            content=made.body,
            headers=headers,
            timeout=self._timeout_s,
            extensions={"trace": self._delivery.trace},
        )
        response = client.send(request, stream=True)
        try:
            return self._judged(response)
        finally:
            response.close()

    def _judged(self, response: httpx.Response) -> DeliveryOutcome:
        status = response.status_code
        if response.is_success:
            return DeliveryOutcome()
        if response.is_redirect:
            return DeliveryOutcome(f"answered with {status}, a redirect, which is not followed")
        again = status >= 500 or status in _TRY_AGAIN
        said = self._answer_of(response)
        error = f"answered with {status}{': ' if said else ''}{said}"
        return DeliveryOutcome(error, again, _wait_of(response.headers.get("retry-after")) if again else 0.0)

    def _answer_of(self, response: httpx.Response) -> str:
        """The first bytes of an answer, which say what is wrong with a request."""
        found = b""
        with suppress(Exception):
            for count, chunk in enumerate(response.iter_raw(_MOST_OF_ANSWER)):
                found += chunk
                if len(found) >= _MOST_OF_ANSWER or count >= _MOST_CHUNKS:
                    break
        text = " ".join(found[:_MOST_OF_ANSWER].decode("utf-8", "replace").split())
        return "" if text.startswith("<") else self._shown("".join(filter(str.isprintable, text)))

    def _secret(self, key: str, given: str | None, file: str | None) -> str:
        """A value that is given or in a file. Raises SmallFileError, or _UnusableError."""
        text = given or ""
        if file is not None:
            data, _ = read_small_file(
                file, _MOST_OF_SECRET, "name a file that holds the value", "name a file with the value alone"
            )
            text = data.decode("utf-8-sig", "replace").strip()
            if not text or not text.isascii() or not text.isprintable():
                raise _UnusableError(f"{file} (webhook.{key}) does not hold one line of printable ASCII")
        if text:
            self._secrets.append(text)
        return text

    def _described(self, error: Exception) -> str:
        import httpx

        if isinstance(error, httpx.TimeoutException):
            return f"no answer within {self._timeout_s:g} s"
        return self._shown(str(error)) or type(error).__name__

    def _shown(self, text: str) -> str:
        """``text`` without anything that may be a key."""
        for secret in self._secrets:
            if len(secret) >= 4:
                text = text.replace(secret, MASK)
        return text


def _parts_of(url: str) -> set[str]:
    """The parts of a URL that may be keys: a server may repeat them in its answer."""
    parts = urlsplit(url)
    found = {parts.path, parts.query, parts.password or "", *parts.path.split("/"), *parts.query.split("&")}
    found |= {value.partition("=")[2] for value in parts.query.split("&")}
    return {part for part in found if len(part) >= _SHORTEST_KEY}


def _wait_of(retry_after: str | None) -> float:
    """The seconds of a header ``Retry-After``, which has seconds or a date."""
    if not retry_after:
        return 0.0
    try:
        seconds = float(retry_after)
    except ValueError:
        import time
        from email.utils import parsedate_to_datetime

        try:
            seconds = parsedate_to_datetime(retry_after).timestamp() - time.time()
        except (ValueError, OverflowError):
            return 0.0
    return min(max(seconds, 0.0), _LONGEST_WAIT_S) if seconds == seconds else 0.0
