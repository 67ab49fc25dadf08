"""A scheduled process that has not succeeded for too long (``heartbeat.interval`` and ``grace``). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from msgspec import Struct
from msgspec.structs import replace

if TYPE_CHECKING:
    from cbox_init.config.model import HeartbeatConfig


class OverdueAlert(Struct, frozen=True, kw_only=True):
    """``alert_at`` is the monotonic time of the alert; None when none is to come.

    ``limit_s`` is how long may pass between two successes; None is for ever.
    """

    limit_s: float | None = None
    alert_at: float | None = None
    alerted: bool = False

    @classmethod
    def of(cls, heartbeat: HeartbeatConfig | None) -> Self:
        """As the configuration asks for it; nobody waits for a success yet."""
        if heartbeat is None or not heartbeat.enabled or not heartbeat.interval:
            return cls()
        return cls(limit_s=heartbeat.interval + heartbeat.grace)

    @property
    def reason(self) -> str:
        return f"no run has succeeded for {self.limit_s or 0:g} s (heartbeat.interval and grace)"

    def rings(self, now: float) -> bool:
        """Whether the alert is due."""
        return self.alert_at is not None and self.alert_at <= now

    def begun(self, now: float) -> Self:
        """From now on a success is waited for."""
        return self if self.limit_s is None else replace(self, alert_at=now + self.limit_s)

    def succeeded(self, now: float) -> Self:
        """A run has succeeded. A schedule that is paused is not waited for."""
        if self.alert_at is None and not self.alerted:
            return self
        return replace(self.begun(now), alerted=False)

    def told(self) -> Self:
        """The alert was given; the next is not before a success."""
        return replace(self, alert_at=None, alerted=True)

    def ended(self) -> Self:
        """Nobody waits for a success any more."""
        return replace(self, alert_at=None, alerted=False)
