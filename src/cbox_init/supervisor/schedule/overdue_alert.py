"""The alert that no run of a schedule has succeeded in time (``heartbeat.interval`` and ``grace``). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from msgspec import Struct
from msgspec.structs import replace

if TYPE_CHECKING:
    from cbox_init.config.model import HeartbeatConfig


class OverdueAlert(Struct, frozen=True, kw_only=True):
    """When a schedule is overdue: the limit, the time of the alert, and whether it was given.

    ``alert_at`` is a monotonic time; None when no alert is pending. ``limit_s`` is how long may pass between
    two successes; None is no limit. ``alerted``: the alert was given, and no run has succeeded since.
    """

    limit_s: float | None = None
    alert_at: float | None = None
    alerted: bool = False

    @classmethod
    def of(cls, heartbeat: HeartbeatConfig | None) -> Self:
        """The alert of a configuration, not pending yet."""
        if heartbeat is None or not heartbeat.enabled or not heartbeat.interval:
            return cls()
        return cls(limit_s=heartbeat.interval + heartbeat.grace)

    @property
    def reason(self) -> str:
        return f"no run has succeeded for {self.limit_s or 0:g} s (heartbeat.interval and grace)"

    def is_due(self, now: float) -> bool:
        """Whether the alert is due."""
        return self.alert_at is not None and self.alert_at <= now

    def begun(self, now: float) -> Self:
        """Pending from ``now`` on."""
        return self if self.limit_s is None else replace(self, alert_at=now + self.limit_s)

    def succeeded(self, now: float) -> Self:
        """After the success of a run: pending again, unless the schedule is paused."""
        if self.alert_at is None and not self.alerted:
            return self
        return replace(self.begun(now), alerted=False)

    def given(self) -> Self:
        """After the alert was given: not pending before the next success."""
        return replace(self, alert_at=None, alerted=True)

    def ended(self) -> Self:
        """Not pending any more, as the schedule is paused."""
        return replace(self, alert_at=None, alerted=False)
