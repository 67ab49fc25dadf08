"""Who is notified of events, and how."""

from typing import Annotated, ClassVar

from msgspec import Meta, Struct, field

from cbox_init.config.model.kinds import DURATION, Command
from cbox_init.config.secret import Secret


class WebhookConfig(Struct, frozen=True, kw_only=True):
    """An HTTP request for each message. Its address and its headers are keys, hence secrets.

    ``template`` is the word for a built-in one, or a text with placeholders
    (`cbox_init.config.notification_templates`).
    """

    one_value_gives: ClassVar[tuple[str, ...]] = ("url",)

    url: Secret | None = None
    url_file: str | None = None
    headers: dict[str, Secret] = field(default_factory=dict)
    header_files: dict[str, str] = field(default_factory=dict)
    template: str = "json"
    routing_key: Secret | None = None
    routing_key_file: str | None = None


class NotificationConfig(Struct, frozen=True, kw_only=True):
    """Has one of ``command`` and ``webhook``. Without ``events`` it is for problems, without ``processes``
    for all of them and the daemon.
    """

    name: str = ""
    enabled: bool = True
    events: tuple[str, ...] = ()
    processes: tuple[str, ...] = ()
    command: Command = ()
    webhook: WebhookConfig | None = None
    min_interval: Annotated[float, Meta(ge=0, le=86_400, extra=DURATION)] = 60.0
    timeout: Annotated[float, Meta(gt=0, le=300, extra=DURATION)] = 10.0
    retry: Annotated[int, Meta(ge=0, le=100)] = 4
    retry_delay: Annotated[float, Meta(gt=0, le=3600, extra=DURATION)] = 1.0


def notification_name(config: NotificationConfig, index: int) -> str:
    """The name of the notification at this place of the list."""
    return config.name or f"notification-{index}"
