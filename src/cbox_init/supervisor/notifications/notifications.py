"""All notifications of the daemon: they listen to its events, and are changed by a reload."""

from __future__ import annotations

from socket import gethostname
from typing import TYPE_CHECKING

from cbox_init.config.model import notification_name
from cbox_init.errors import UnknownNotification
from cbox_init.supervisor.notifications.bodies import Sender
from cbox_init.supervisor.notifications.notifier import Notifier

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cbox_init.config.model import NotificationConfig
    from cbox_init.logs.hub import LogHub
    from cbox_init.supervisor.events import Event
    from cbox_init.supervisor.notifications.command import CommandSender
    from cbox_init.supervisor.notifications.notifier import NotifierState
    from cbox_init.supervisor.notifications.webhook import WebhookSender
    from cbox_init.supervisor.runtime import Runtime


class Notifications:
    """Hands each event to the notifications that want it. Made when the first one is configured."""

    def __init__(self, *, runtime: Runtime, logs: LogHub) -> None:
        self._runtime = runtime
        self._logs = logs
        self._host = gethostname()
        self._notifiers: dict[str, Notifier] = {}
        self._leave: Callable[[], None] | None = None
        self._closed = False

    def configure(self, configs: Sequence[NotificationConfig]) -> None:
        """Notify by these from now on. Those of the same name go on with what waits; what waits in one that
        is gone is dropped.
        """
        if self._closed:
            return
        wanted = {
            notification_name(config, index): config for index, config in enumerate(configs) if config.enabled
        }
        for name in [name for name in self._notifiers if name not in wanted]:
            left = self._notifiers.pop(name).abandon()
            if left:
                self._runtime.log.warn(
                    "Notifications are dropped", notification=name, error="it was removed", count=left
                )
        before, self._notifiers = self._notifiers, {}
        for name, config in wanted.items():
            notifier = before.get(name)
            if notifier is None:
                notifier = Notifier(name, config, runtime=self._runtime, make=self._maker(name))
            else:
                notifier.configure(config)
            self._notifiers[name] = notifier
        if self._notifiers and self._leave is None:
            self._leave = self._runtime.events.listen(self._take)
        elif not self._notifiers and self._leave is not None:
            self._leave()
            self._leave = None

    def states(self) -> tuple[NotifierState, ...]:
        """The figures of all, in the order of the file."""
        return tuple(notifier.state for notifier in self._notifiers.values())

    async def test(self, name: str) -> str | None:
        """Send a test now; gives the error, if any. Raises UnknownNotification, and Conflict."""
        notifier = self._notifiers.get(name)
        if notifier is None:
            raise UnknownNotification(name)
        return await notifier.test()

    def attach(self) -> None:
        """Begin to send: there is an event loop."""
        for notifier in self._notifiers.values():
            self._runtime.run_queue.wake(notifier)

    async def close(self, timeout_s: float) -> None:
        """Send what waits within ``timeout_s``, then end what is under way."""
        from asyncio import get_running_loop, wait

        self._closed = True
        if self._leave is not None:
            self._leave()
            self._leave = None
        loop = get_running_loop()
        idle = {name: loop.create_future() for name in self._notifiers}
        for name, notifier in self._notifiers.items():
            notifier.close(idle[name])
        if idle:
            await wait(idle.values(), timeout=timeout_s)
        late = [name for name, notifier in self._notifiers.items() if notifier.abandon()]
        if late:
            names = ", ".join(late)
            self._runtime.log.warn("Notifications are left unsent", error=f"no time for those of {names}")

    def _take(self, event: Event) -> None:
        for notifier in self._notifiers.values():
            try:
                notifier.take(event)
            except Exception as error:  # noqa: BLE001  # it concerns this notification alone
                if event.kind != "daemon.defect":  # else each report would be the event of another
                    self._runtime.defects.report(
                        "an event could not be queued", error, notification=notifier.name
                    )

    def _maker(self, name: str) -> Callable[[NotificationConfig], WebhookSender | CommandSender]:
        """Makes what sends the messages of one notification."""
        sender = Sender(name, self._host)

        def make(config: NotificationConfig) -> WebhookSender | CommandSender:
            if config.webhook is not None:
                from cbox_init.supervisor.notifications.webhook import WebhookSender

                return WebhookSender(sender)
            from cbox_init.supervisor.notifications.command import CommandSender

            return CommandSender(sender, runtime=self._runtime, logs=self._logs)

        return make
