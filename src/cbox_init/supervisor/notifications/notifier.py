"""One notification: its queue, and the delivery of one message after another, with retries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from cbox_init.errors import Conflict
from cbox_init.logs.daemon import RepeatedError
from cbox_init.supervisor.events import Event
from cbox_init.supervisor.notifications.messages import Message, MessageQueue, MessageStatus
from cbox_init.supervisor.notifications.outcome import DeliveryOutcome
from cbox_init.supervisor.notifications.wording import TEST_KIND

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Callable

    from cbox_init.config.model import NotificationConfig
    from cbox_init.supervisor.notifications.command import CommandSender
    from cbox_init.supervisor.notifications.outcome import Delivery
    from cbox_init.supervisor.notifications.webhook import WebhookSender
    from cbox_init.supervisor.runtime import Runtime

#: The longest wait before another try, in seconds, unless a server asks for more.
_LONGEST_DELAY_S: Final = 60.0
#: Between two messages of the log about lost notifications, in seconds.
_REPEAT_S: Final = 60.0
#: Characters of an error that are kept.
_LONGEST_ERROR: Final = 500
#: Tries with other delays than these do not differ.
_MOST_DOUBLINGS: Final = 16


class NotifierState(Struct, frozen=True, kw_only=True):
    """The figures of one notification, as the API shows them. Times are Unix seconds."""

    name: str
    config: NotificationConfig
    waiting: int
    sent: int
    failed: int
    dropped: int
    retries: int
    sent_unix: float | None
    failed_unix: float | None
    error: str | None


class _Attempt(Struct):
    """A message that is being delivered. ``over`` is the number of tries that have ended."""

    message: Message
    tries: int = 0
    over: int = 0
    next_at: float = 0.0
    delivery: Delivery | None = None
    until: float = 0.0


class Notifier:
    """Delivers the messages of one notification, one after another.

    Nothing waits for it. ``make`` makes what sends, for a configuration. A message that cannot be delivered
    is tried again after a growing delay, then counted as failed, and logged at intervals.
    """

    def __init__(
        self,
        name: str,
        config: NotificationConfig,
        *,
        runtime: Runtime,
        make: Callable[[NotificationConfig], WebhookSender | CommandSender],
    ) -> None:
        self.name = name
        self._config = config
        self._runtime = runtime
        self._make = make
        self._sender = make(config)
        self._queue = MessageQueue(config)
        self._current: _Attempt | None = None
        self._testing = False
        self._closing = False
        self._idle: Future[None] | None = None
        self._sent = self._failed = self._retries = 0
        self._sent_unix: float | None = None
        self._failed_unix: float | None = None
        self._error: str | None = None
        self._failing = False
        self._dropped_said = 0
        self._complaint = RepeatedError(
            runtime.log, "Notification could not be delivered", interval_s=_REPEAT_S, notification=name
        )
        self._drop_complaint = RepeatedError(
            runtime.log, "Notifications are dropped", interval_s=_REPEAT_S, notification=name
        )

    @property
    def config(self) -> NotificationConfig:
        """The configuration in force."""
        return self._config

    @property
    def state(self) -> NotifierState:
        """The present figures."""
        return NotifierState(
            name=self.name,
            config=self._config,
            waiting=len(self._queue) + (self._current is not None),
            sent=self._sent,
            failed=self._failed,
            dropped=self._queue.dropped,
            retries=self._retries,
            sent_unix=self._sent_unix,
            failed_unix=self._failed_unix,
            error=self._error,
        )

    def configure(self, config: NotificationConfig) -> None:
        """Send by this configuration from the next try on; what waits stays."""
        if config == self._config:
            return
        if bool(config.command) is not bool(self._config.command):
            self._sender = self._make(config)
        self._config = config
        self._queue.configure(config)
        self._runtime.run_queue.wake(self)

    def take(self, event: Event) -> None:
        """Queue an event, if it is chosen; returns at once."""
        if self._closing or (
            event.kind == "notification.failed" and event.data.get("notification") == self.name
        ):
            return
        if self._queue.add(event, self._runtime.now()):
            self._runtime.run_queue.wake(self)
        if self._queue.dropped > self._dropped_said:
            count = self._queue.dropped - self._dropped_said
            self._dropped_said = self._queue.dropped
            self._drop_complaint.report("too many wait to be sent", count=count)

    def reconcile(self, stop_at: float) -> float | None:
        """Begin the try that is due; end one that takes too long."""
        runtime = self._runtime
        if runtime.run_queue.loop is None:
            return None  # woken when there is one
        while True:
            now = runtime.now()
            attempt = self._current
            if attempt is None:
                message = self._queue.take(now)
                if message is None:
                    self._tell_idle()
                    return self._queue.next_at()
                attempt = self._current = _Attempt(message)
            if attempt.delivery is not None:
                if now < attempt.until:
                    return attempt.until
                attempt.delivery.abort()
                self._over(attempt, attempt.tries, DeliveryOutcome(self._timeout_error, again=True))
                continue
            if now < attempt.next_at:
                return attempt.next_at
            self._try(attempt, now)
            if now >= stop_at:
                return now

    async def test(self) -> str | None:
        """Deliver a message now that says that it is a test, beside all others; gives the error, if any.

        An incident that it opens is closed again. Raises Conflict while another test is under way.
        """
        if self._testing:
            raise Conflict(f"a test of {self.name} is under way")
        self._testing = True
        try:
            webhook = self._config.webhook
            opens = webhook is not None and webhook.template == "pagerduty"
            for status in (MessageStatus.TEST, MessageStatus.RECOVERY) if opens else (MessageStatus.TEST,):
                if (error := (await self._send_test(status)).error) is not None:
                    return self._shown(error)
            return None
        finally:
            self._testing = False

    async def _send_test(self, status: MessageStatus) -> DeliveryOutcome:
        from asyncio import get_running_loop, timeout

        done: Future[DeliveryOutcome] = get_running_loop().create_future()

        def over(outcome: DeliveryOutcome) -> None:
            if not done.done():
                done.set_result(outcome)

        unix = self._runtime.unix()
        event = Event(0, unix, TEST_KIND, reason="sent by hand, to see whether it arrives")
        message = Message(event=event, status=status, key="test", since_unix=unix)
        delivery = self._sender.send(message, self._config, over)
        try:
            async with timeout(self._config.timeout):
                return await done
        except TimeoutError:
            return DeliveryOutcome(self._timeout_error)
        finally:
            if delivery is not None and not done.done():
                delivery.abort()

    def close(self, idle: Future[None]) -> None:
        """Send what waits, without another try of what fails; ``idle`` is done when nothing is left."""
        self._closing = True
        self._idle = idle
        self._queue.flush()
        if self._current is not None:
            self._current.next_at = 0.0
        self._runtime.run_queue.wake(self)

    def abandon(self) -> int:
        """End what is under way, and drop what waits; gives the number of messages."""
        self._closing = True
        self._runtime.run_queue.forget(self)
        left = self._queue.clear()
        attempt, self._current = self._current, None
        if attempt is not None:
            left += 1
            if attempt.delivery is not None:
                attempt.delivery.abort()
        return left

    def _try(self, attempt: _Attempt, now: float) -> None:
        attempt.tries += 1
        tried = attempt.tries
        attempt.until = now + self._config.timeout
        try:
            delivery = self._sender.send(
                attempt.message, self._config, lambda outcome: self._over(attempt, tried, outcome)
            )
        except Exception as error:  # noqa: BLE001  # it concerns this message alone
            if attempt.message.event.kind != "daemon.defect":  # else each would be followed by another
                self._runtime.defects.report(
                    "a notification could not be sent", error, notification=self.name
                )
            self._over(attempt, tried, DeliveryOutcome(f"unexpected: {error!r}"))
            return
        if attempt.over < tried:
            attempt.delivery = delivery

    def _over(self, attempt: _Attempt, tried: int, outcome: DeliveryOutcome) -> None:
        """Take in the end of a try: the message is done with, or is tried again."""
        if attempt is not self._current or attempt.over >= tried:
            return
        attempt.over = tried
        attempt.delivery = None
        self._runtime.run_queue.wake(self)
        if outcome.error is None:
            self._current = None
            self._delivered()
            return
        self._error = self._shown(outcome.error)
        self._failed_unix = self._runtime.unix()
        if outcome.again and tried <= self._config.retry and not self._closing:
            self._retries += 1
            delay_s = self._config.retry_delay * 2.0 ** min(tried - 1, _MOST_DOUBLINGS)
            delay_s = min(delay_s, max(_LONGEST_DELAY_S, self._config.retry_delay))
            attempt.next_at = self._runtime.now() + max(delay_s, outcome.wait_s)
            return
        self._current = None
        self._lost(attempt.message.event, tried)

    def _delivered(self) -> None:
        self._sent += 1
        self._sent_unix = self._runtime.unix()
        if self._failing:
            self._failing = False
            self._runtime.log.info("Notifications are delivered again", notification=self.name)

    def _lost(self, event: Event, tries: int) -> None:
        """Report a message that will not arrive; the event of it comes once until one is delivered again."""
        self._failed += 1
        self._complaint.report(
            self._error or "", process=event.process or None, event=event.kind, tries=tries
        )
        if not self._failing:
            self._failing = True
            self._runtime.events.emit(
                "notification.failed", reason=self._error or "", notification=self.name, event=event.kind
            )

    def _tell_idle(self) -> None:
        if self._idle is not None and not self._idle.done() and not len(self._queue):
            self._idle.set_result(None)

    def _shown(self, error: str) -> str:
        return self._runtime.secrets.masked(error)[:_LONGEST_ERROR]

    @property
    def _timeout_error(self) -> str:
        return f"not done within {self._config.timeout:g} s"
