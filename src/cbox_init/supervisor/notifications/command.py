"""Runs a command for a message. It has the message as JSON on its standard input, and in its variables."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from cbox_init.config.child_variables import without_settings
from cbox_init.config.model import RateLimitConfig
from cbox_init.config.substitute import expand_instance
from cbox_init.errors import SpawnError
from cbox_init.supervisor.instance.live import spawn_captured
from cbox_init.supervisor.notifications.bodies import plain, values_of
from cbox_init.supervisor.notifications.outcome import DeliveryOutcome
from cbox_init.system.spawn_request import SpawnRequest
from cbox_init.system.tree import kill_tree, signal_strays

if TYPE_CHECKING:
    from collections.abc import Callable

    from cbox_init.config.model import NotificationConfig
    from cbox_init.logs.capture import Capture
    from cbox_init.logs.hub import LogHub
    from cbox_init.supervisor.notifications.bodies import Sender
    from cbox_init.supervisor.notifications.messages import Message
    from cbox_init.supervisor.runtime import Runtime
    from cbox_init.system.reaper import ExitStatus

_SIGKILL: Final = 9
#: Variables begin so.
PREFIX: Final = "CBOX_INIT_EVENT_"
#: What a command may write; more is dropped.
_OUTPUT: Final = RateLimitConfig(lines=50, burst=200)


class CommandSender:
    """Runs the command of one notification for each of its messages. What it writes is logged."""

    def __init__(self, sender: Sender, *, runtime: Runtime, logs: LogHub) -> None:
        self._sender = sender
        self._runtime = runtime
        self._log_name = f"notifications/{sender.notification}"
        self._logs = logs

    def send(
        self, message: Message, config: NotificationConfig, on_over: Callable[[DeliveryOutcome], None]
    ) -> CommandDelivery | None:
        """Begin one try; None when it could not begin, which ``on_over`` is called for at once."""
        runtime = self._runtime
        values = values_of(message, self._sender)
        environ = without_settings(runtime.environ)
        argv = tuple(expand_instance(word, environ) for word in config.command)
        env = {**environ, "CBOX_INIT_NOTIFICATION": self._sender.notification}
        data = {f"DATA_{name}": value for name, value in message.event.data.items()}
        for name, value in (*values.items(), *data.items()):
            shown = str(value).lower() if isinstance(value, bool) else str(value)
            if value is not None and name != "notification":
                env[PREFIX + name.upper()] = shown.replace("\0", "")
        log = self._logs.open(self._log_name, replace(self._logs.defaults, rate_limit=_OUTPUT))
        stdin = -1
        try:
            stdin = os.memfd_create("message", os.MFD_CLOEXEC)
            with open(stdin, "wb", closefd=False) as file:
                file.write(msgspec.json.encode(plain(message, values)) + b"\n")
            os.lseek(stdin, 0, os.SEEK_SET)
            pid, capture = spawn_captured(
                runtime,
                log,
                self._sender.notification,
                lambda out, err: SpawnRequest(argv, env, None, None, out, err, stdin_fd=stdin),
            )
        except SpawnError as error:
            on_over(DeliveryOutcome(str(error), again=error.shortage))
            return None
        except OSError as error:
            on_over(DeliveryOutcome(f"cannot hold the message: {error.strerror}", again=True))
            return None
        finally:
            if stdin >= 0:
                os.close(stdin)
        delivery = CommandDelivery(runtime, pid, on_over)
        runtime.reaper.watch(pid, lambda status: delivery.exited(status, capture))
        return delivery


class CommandDelivery:
    """One run of a command. ``abort`` kills it with all that it has started."""

    def __init__(self, runtime: Runtime, pid: int, on_over: Callable[[DeliveryOutcome], None]) -> None:
        self._runtime = runtime
        self._pid = pid
        self._on_over: Callable[[DeliveryOutcome], None] | None = on_over
        self._ended = False

    def abort(self) -> None:
        self._on_over = None
        if not self._ended:
            kill_tree(self._pid)  # not reaped yet: no other process can have its pid

    def exited(self, status: ExitStatus, capture: Capture) -> None:
        """Take in its end, for the reaper. A command that succeeds may leave processes behind."""
        self._ended = True
        with self._runtime.defects.contain("the last output of a notification could not be read"):
            capture.drain()
        succeeded = status.exit_code == 0
        if not succeeded:
            # Its pid may be another's by now; so signal only orphans that are in its group.
            signal_strays(self._runtime.group_left(self._pid), _SIGKILL)
        on_over, self._on_over = self._on_over, None
        if on_over is not None:
            on_over(DeliveryOutcome() if succeeded else DeliveryOutcome(status.describe(), again=True))
